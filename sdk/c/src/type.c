#include <math.h>
#include <string.h>

#include "internal.h"

// As `CARPE_LIST_OF` makes it, of any item.
typedef struct any_list {
    void *items;
    size_t length;
} any_list;

static const char *wanted(carpe_kind kind) {
    switch (kind) {
    case CARPE_BOOL: return "true or false";
    case CARPE_INT32: return "a whole number from -2147483648 to 2147483647";
    case CARPE_UINT32: return "a whole number from 0 to 4294967295";
    case CARPE_INT64: return "a whole number from -2^63 to 2^63 - 1";
    case CARPE_UINT64: return "a whole number from 0 to 2^64 - 1";
    case CARPE_DOUBLE: return "a number";
    case CARPE_TEXT: return "a string";
    case CARPE_STRUCT: return "an object";
    case CARPE_LIST: return "a list of objects";
    default: return "a value";
    }
}

static bool wrong(reading *reading, const char *path, const yyjson_val *value, carpe_kind kind) {
    if (path[0] == 0) {
        reading->problem = format_into(reading->arena, "it is %s, where %s should be", kind_name(value), wanted(kind));
        return false;
    }
    carpe_output out = {.arena = reading->arena, .allocator = arena_allocator(reading->arena)};
    carpe_text text = written_value(&out, value);
    if (text.length > 100) text = text_of(kind_name(value));
    reading->problem =
        format_into(reading->arena, "`%s` is %s, where %s should be", path, text.bytes, wanted(kind));
    return false;
}

static bool read_list(reading *reading, const carpe_field *field, const yyjson_val *value, char *at, const char *path) {
    if (!yyjson_is_arr((yyjson_val *)value)) return wrong(reading, path, value, CARPE_LIST);
    size_t size = field->of->size;
    any_list list = {NULL, yyjson_arr_size((yyjson_val *)value)};
    if (list.length > 0) list.items = arena_zeros(reading->arena, list.length * size);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)value, index, count, item) {
        carpe_text below = format_into(reading->arena, "%s/%llu", path, (unsigned long long)index);
        if (!read_type(reading, field->of, item, (char *)list.items + index * size, below.bytes)) return false;
    }
    memcpy(at, &list, sizeof list);
    return true;
}

static bool read_field(reading *reading, const carpe_field *field, const yyjson_val *of, char *at, const char *path) {
    yyjson_val *value = (yyjson_val *)of;
    int64_t integer = 0;
    switch (field->kind) {
    case CARPE_BOOL:
        if (!carpe_value_bool(value, (bool *)at)) return wrong(reading, path, value, field->kind);
        return true;
    case CARPE_INT32:
        if (!whole_number(value, &integer) || integer < INT32_MIN || integer > INT32_MAX)
            return wrong(reading, path, value, field->kind);
        *(int32_t *)at = (int32_t)integer;
        return true;
    case CARPE_UINT32:
        if (!whole_number(value, &integer) || integer < 0 || integer > (int64_t)UINT32_MAX)
            return wrong(reading, path, value, field->kind);
        *(uint32_t *)at = (uint32_t)integer;
        return true;
    case CARPE_INT64:
        if (!whole_number(value, &integer)) return wrong(reading, path, value, field->kind);
        *(int64_t *)at = integer;
        return true;
    case CARPE_UINT64:
        if (yyjson_is_uint(value)) {
            *(uint64_t *)at = yyjson_get_uint(value);
            return true;
        }
        if (!whole_number(value, &integer) || integer < 0) return wrong(reading, path, value, field->kind);
        *(uint64_t *)at = (uint64_t)integer;
        return true;
    case CARPE_DOUBLE:
        if (!carpe_value_number(value, (double *)at)) return wrong(reading, path, value, field->kind);
        return true;
    case CARPE_TEXT:
        if (!carpe_value_text(value, (carpe_text *)at)) return wrong(reading, path, value, field->kind);
        return true;
    case CARPE_VALUE: memcpy(at, &of, sizeof of); return true;
    case CARPE_STRUCT: return read_type(reading, field->of, value, at, path);
    case CARPE_LIST: return read_list(reading, field, value, at, path);
    }
    return false;
}

static carpe_text under(reading *reading, const char *path, const char *name) {
    return path[0] == 0 ? text_of(name) : format_into(reading->arena, "%s/%s", path, name);
}

bool read_type(reading *reading, const carpe_type *type, const yyjson_val *object, void *into, const char *path) {
    if (!yyjson_is_obj((yyjson_val *)object)) return wrong(reading, path, object, CARPE_STRUCT);
    bool *seen = arena_zeros(reading->arena, type->count + 1);
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)object, index, count, key, value) {
        size_t place = 0;
        while (place < type->count && !yyjson_equals_str(key, type->fields[place].name)) place++;
        if (place == type->count) {
            if (!reading->refuses_unknown) continue;
            carpe_text name = copy_text(reading->arena, (carpe_text){yyjson_get_str(key), yyjson_get_len(key)});
            reading->problem = format_into(reading->arena, "`%s` is unknown", under(reading, path, name.bytes).bytes);
            return false;
        }
        const carpe_field *field = &type->fields[place];
        // The path matters only where something is wrong, or deeper.
        carpe_text at = path[0] == 0 ? text_of(field->name) : under(reading, path, field->name);
        if (!read_field(reading, field, value, (char *)into + field->offset, at.bytes)) return false;
        seen[place] = true;
    }
    for (size_t place = 0; place < type->count; place++) {
        const carpe_field *field = &type->fields[place];
        if (seen[place] || !reading->requires || !field->required) continue;
        reading->problem = format_into(reading->arena, "`%s` is missing, where %s should be",
                                       under(reading, path, field->name).bytes, wanted(field->kind));
        return false;
    }
    return true;
}

void own_lists(arena *arena, const carpe_type *type, void *of) {
    for (size_t place = 0; place < type->count; place++) {
        const carpe_field *field = &type->fields[place];
        char *at = (char *)of + field->offset;
        if (field->kind == CARPE_STRUCT) own_lists(arena, field->of, at);
        if (field->kind != CARPE_LIST) continue;
        any_list list;
        memcpy(&list, at, sizeof list);
        if (list.length == 0) continue;
        size_t size = field->of->size;
        void *items = arena_take(arena, list.length * size, 16);
        memcpy(items, list.items, list.length * size);
        list.items = items;
        memcpy(at, &list, sizeof list);
        for (size_t index = 0; index < list.length; index++) own_lists(arena, field->of, (char *)items + index * size);
    }
}

static yyjson_mut_val *write_list(yyjson_mut_doc *document, const carpe_field *field, const char *at,
                                  carpe_text *problem, arena *arena) {
    any_list list;
    memcpy(&list, at, sizeof list);
    yyjson_mut_val *value = yyjson_mut_arr(document);
    for (size_t index = 0; index < list.length; index++) {
        const char *item = (const char *)list.items + index * field->of->size;
        yyjson_mut_val *written = write_type(document, field->of, item, problem, arena);
        if (written == NULL) return NULL;
        yyjson_mut_arr_append(value, written);
    }
    return value;
}

static yyjson_mut_val *write_field(yyjson_mut_doc *document, const carpe_field *field, const char *at,
                                   carpe_text *problem, arena *arena) {
    switch (field->kind) {
    case CARPE_BOOL: return yyjson_mut_bool(document, *(const bool *)at);
    case CARPE_INT32: return yyjson_mut_sint(document, *(const int32_t *)at);
    case CARPE_UINT32: return yyjson_mut_uint(document, *(const uint32_t *)at);
    case CARPE_INT64: return yyjson_mut_sint(document, *(const int64_t *)at);
    case CARPE_UINT64: return yyjson_mut_uint(document, *(const uint64_t *)at);
    case CARPE_DOUBLE:
        if (!isfinite(*(const double *)at)) {
            *problem = format_into(arena, "`%s` is no number that JSON has: it is not finite", field->name);
            return NULL;
        }
        return yyjson_mut_real(document, *(const double *)at);
    case CARPE_TEXT: {
        carpe_text text = valid_text(arena, *(const carpe_text *)at);
        return yyjson_mut_strn(document, text.bytes == NULL ? "" : text.bytes, text.length);
    }
    case CARPE_VALUE: {
        yyjson_val *value;
        memcpy(&value, at, sizeof value);
        return value == NULL ? yyjson_mut_null(document) : yyjson_val_mut_copy(document, value);
    }
    case CARPE_STRUCT: return write_type(document, field->of, at, problem, arena);
    case CARPE_LIST: return write_list(document, field, at, problem, arena);
    }
    return NULL;
}

yyjson_mut_val *write_type(yyjson_mut_doc *document, const carpe_type *type, const void *from, carpe_text *problem,
                           arena *arena) {
    yyjson_mut_val *object = yyjson_mut_obj(document);
    for (size_t place = 0; place < type->count; place++) {
        const carpe_field *field = &type->fields[place];
        const char *at = (const char *)from + field->offset;
        yyjson_mut_val *value = write_field(document, field, at, problem, arena);
        if (value == NULL) return NULL;
        yyjson_mut_obj_add(object, yyjson_mut_str(document, field->name), value);
    }
    return object;
}

void *carpe_list_append(carpe_output *out, void *of, size_t item_size) {
    any_list list;
    memcpy(&list, of, sizeof list);
    list.items = arena_grow(out->arena, list.items, list.length * item_size, (list.length + 1) * item_size, 16);
    void *item = (char *)list.items + list.length * item_size;
    memset(item, 0, item_size);
    list.length++;
    memcpy(of, &list, sizeof list);
    return item;
}

void carpe_list_remove(void *of, size_t item_size, size_t index) {
    any_list list;
    memcpy(&list, of, sizeof list);
    if (index >= list.length) return;
    char *at = (char *)list.items + index * item_size;
    memmove(at, at + item_size, (list.length - index - 1) * item_size);
    list.length--;
    memcpy(of, &list, sizeof list);
}
