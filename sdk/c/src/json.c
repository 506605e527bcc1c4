#include <math.h>
#include <string.h>

#include "internal.h"

static void *take(void *context, size_t size) {
    return arena_take(context, size, 16);
}

static void *grow(void *context, void *old, size_t old_size, size_t size) {
    if (size <= old_size) return old;
    return arena_grow(context, old, old_size, size, 16);
}

static void give_back(void *context, void *memory) {
    (void)context;
    (void)memory;
}

yyjson_alc arena_allocator(arena *arena) {
    return (yyjson_alc){take, grow, give_back, arena};
}

// As the other SDKs have it: what walks a value may do so by recursion.
static const int most_nested = 127;

static bool is_nested_too_deep(carpe_text text) {
    int depth = 0;
    bool in_string = false;
    for (size_t place = 0; place < text.length; place++) {
        switch (text.bytes[place]) {
        case '"': in_string = !in_string; break;
        case '\\': place += in_string; break;
        case '[':
        case '{':
            if (!in_string && ++depth > most_nested) return true;
            break;
        case ']':
        case '}': depth -= !in_string; break;
        default: break;
        }
    }
    return false;
}

const yyjson_val *parse_json(arena *arena, carpe_text text, carpe_text *problem) {
    yyjson_alc allocator = arena_allocator(arena);
    yyjson_read_err error;
    if (is_nested_too_deep(text)) {
        *problem = format_into(arena, "it is nested more than %d deep", most_nested);
        return NULL;
    }
    // It is not written to without YYJSON_READ_INSITU.
    yyjson_doc *document = yyjson_read_opts((char *)text.bytes, text.length, 0, &allocator, &error);
    if (document != NULL) return yyjson_doc_get_root(document);
    *problem = text.length == 0 ? text_of("it is empty")
                                : format_into(arena, "%s at byte %llu", error.msg, (unsigned long long)error.pos);
    return NULL;
}

bool write_json(carpe_output *out, yyjson_mut_doc *document, yyjson_mut_val *value, carpe_text *text) {
    (void)document;
    yyjson_write_err error;
    size_t length = 0;
    char *bytes = yyjson_mut_val_write_opts(value, 0, &out->allocator, &length, &error);
    if (bytes == NULL) return carpe_fail(out, "cannot be written as JSON: %s", error.msg);
    *text = (carpe_text){bytes, length};
    return true;
}

carpe_text written_value(carpe_output *out, const yyjson_val *value) {
    if (value == NULL) return text_of("null");
    size_t length = 0;
    yyjson_write_err error;
    char *bytes = yyjson_val_write_opts(value, 0, &out->allocator, &length, &error);
    return bytes == NULL ? text_of("null") : (carpe_text){bytes, length};
}

const char *kind_name(const yyjson_val *value) {
    switch (yyjson_get_type((yyjson_val *)value)) {
    case YYJSON_TYPE_NULL: return "null";
    case YYJSON_TYPE_BOOL: return "a truth value";
    case YYJSON_TYPE_NUM: return "a number";
    case YYJSON_TYPE_STR: return "a string";
    case YYJSON_TYPE_ARR: return "a list";
    case YYJSON_TYPE_OBJ: return "an object";
    default: return "nothing";
    }
}

bool whole_number(const yyjson_val *of, int64_t *integer) {
    yyjson_val *value = (yyjson_val *)of;
    if (yyjson_is_sint(value)) {
        *integer = yyjson_get_sint(value);
        return true;
    }
    if (yyjson_is_uint(value)) {
        uint64_t number = yyjson_get_uint(value);
        if (number > INT64_MAX) return false;
        *integer = (int64_t)number;
        return true;
    }
    if (!yyjson_is_real(value)) return false;
    double number = yyjson_get_real(value);
    // Above, a double stands for more whole numbers than one.
    if (!(number >= -9007199254740992.0 && number <= 9007199254740992.0)) return false;
    if ((double)(int64_t)number != number) return false;
    *integer = (int64_t)number;
    return true;
}

const carpe_value *carpe_parse(carpe_output *out, carpe_text json) {
    carpe_text problem;
    const yyjson_val *value = parse_json(out->arena, json, &problem);
    if (value == NULL) carpe_fail(out, "this is no JSON: %s", problem.bytes);
    return value;
}

const carpe_value *carpe_value_at(const carpe_value *value, const char *pointer) {
    if (value == NULL) return NULL;
    // yyjson takes the empty pointer for all of it, as the standard says.
    return yyjson_ptr_get((yyjson_val *)value, pointer);
}

const carpe_value *carpe_value_item(const carpe_value *list, size_t index) {
    return yyjson_arr_get((yyjson_val *)list, index);
}

size_t carpe_value_size(const carpe_value *value) {
    return yyjson_is_ctn((yyjson_val *)value) ? yyjson_get_len((yyjson_val *)value) : 0;
}

bool carpe_value_is_object(const carpe_value *value) {
    return yyjson_is_obj((yyjson_val *)value);
}

bool carpe_value_is_list(const carpe_value *value) {
    return yyjson_is_arr((yyjson_val *)value);
}

bool carpe_value_is_null(const carpe_value *value) {
    return yyjson_is_null((yyjson_val *)value);
}

bool carpe_value_number(const carpe_value *value, double *number) {
    if (!yyjson_is_num((yyjson_val *)value)) return false;
    *number = yyjson_get_num((yyjson_val *)value);
    return true;
}

bool carpe_value_integer(const carpe_value *value, int64_t *integer) {
    return whole_number(value, integer);
}

bool carpe_value_bool(const carpe_value *value, bool *boolean) {
    if (!yyjson_is_bool((yyjson_val *)value)) return false;
    *boolean = yyjson_get_bool((yyjson_val *)value);
    return true;
}

bool carpe_value_text(const carpe_value *value, carpe_text *text) {
    if (!yyjson_is_str((yyjson_val *)value)) return false;
    *text = (carpe_text){yyjson_get_str((yyjson_val *)value), yyjson_get_len((yyjson_val *)value)};
    return true;
}

static carpe_json *json_of(carpe_json *parent, yyjson_mut_val *value) {
    carpe_json *json = arena_zeros(parent->out->arena, sizeof *json);
    *json = (carpe_json){parent->out, parent->document, value};
    return json;
}

carpe_json *carpe_object(carpe_output *out) {
    carpe_json *json = arena_zeros(out->arena, sizeof *json);
    json->out = out;
    json->document = yyjson_mut_doc_new(&out->allocator);
    json->value = yyjson_mut_obj(json->document);
    return json;
}

static void put(carpe_json *into, const char *name, yyjson_mut_val *value) {
    carpe_output *out = into->out;
    if (value == NULL) {
        carpe_fail(out, "`%s` cannot be written as JSON", name == NULL ? "" : name);
    } else if (yyjson_mut_is_arr(into->value) && name == NULL) {
        yyjson_mut_arr_append(into->value, value);
    } else if (yyjson_mut_is_obj(into->value) && name != NULL) {
        carpe_text key = valid_text(out->arena, text_of(name));
        yyjson_mut_obj_put(into->value, yyjson_mut_strncpy(into->document, key.bytes, key.length), value);
    } else {
        carpe_fail(out, name == NULL ? "a member of an object needs a name" : "an item of a list has no name");
    }
}

void carpe_put_number(carpe_json *into, const char *name, double number) {
    if (!isfinite(number)) {
        carpe_fail(into->out, "`%s` is no number that JSON has: it is not finite", name == NULL ? "an item" : name);
        return;
    }
    put(into, name, yyjson_mut_real(into->document, number));
}

void carpe_put_integer(carpe_json *into, const char *name, int64_t integer) {
    put(into, name, yyjson_mut_sint(into->document, integer));
}

void carpe_put_bool(carpe_json *into, const char *name, bool value) {
    put(into, name, yyjson_mut_bool(into->document, value));
}

void carpe_put_string(carpe_json *into, const char *name, const char *string) {
    carpe_put_text(into, name, text_of(string));
}

void carpe_put_text(carpe_json *into, const char *name, carpe_text text) {
    text = valid_text(into->out->arena, text);
    put(into, name, yyjson_mut_strncpy(into->document, text.bytes == NULL ? "" : text.bytes, text.length));
}

void carpe_put_value(carpe_json *into, const char *name, const carpe_value *value) {
    put(into, name,
        value == NULL ? yyjson_mut_null(into->document)
                      : yyjson_val_mut_copy(into->document, (yyjson_val *)value));
}

carpe_json *carpe_put_object(carpe_json *into, const char *name) {
    yyjson_mut_val *value = yyjson_mut_obj(into->document);
    put(into, name, value);
    return json_of(into, value);
}

carpe_json *carpe_put_list(carpe_json *into, const char *name) {
    yyjson_mut_val *value = yyjson_mut_arr(into->document);
    put(into, name, value);
    return json_of(into, value);
}
