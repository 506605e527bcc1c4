#include <string.h>

#include "internal.h"

const char *carpe_status_name(carpe_status status) {
    static const char *const names[] = {"delivered", "rejected", "withheld", "failed", "expired"};
    return (unsigned)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}

// The event's data. A null pointer, and the input fails, if it is no JSON; if `quiet`, it does not fail.
static const yyjson_val *root(const carpe_event *event, bool quiet) {
    struct carpe_payload *payload = event->payload;
    const wit_data *data = &payload->event->data;
    if (payload->root != NULL) return payload->root;
    if (data->kind != DATA_JSON) {
        if (!quiet) carpe_fail(payload->out, "the event has no %s", data->kind == DATA_ABSENT ? "data" : "JSON data");
        return NULL;
    }
    carpe_text problem = {"", 0};
    payload->root = parse_json(payload->out->arena, data->bytes, &problem);
    if (payload->root == NULL && !quiet) carpe_fail(payload->out, "the event's data is no JSON: %s", problem.bytes);
    return payload->root;
}

static bool no_such(const carpe_event *event, const char *pointer, const yyjson_val *value, const char *wanted) {
    if (pointer[0] == 0)
        return carpe_fail(event->payload->out, "the event's data is %s, where %s should be", kind_name(value), wanted);
    if (value == NULL)
        return carpe_fail(event->payload->out, "the event's data has nothing at `%s`, where %s should be", pointer,
                          wanted);
    carpe_text text = written_value(event->payload->out, value);
    if (text.length > 100) text = text_of(kind_name(value));
    return carpe_fail(event->payload->out, "the event's data has %s at `%s`, where %s should be", text.bytes, pointer,
                      wanted);
}

bool carpe_event_number(const carpe_event *event, const char *pointer, double *number) {
    const yyjson_val *all = root(event, false);
    if (all == NULL) return false;
    const yyjson_val *value = carpe_value_at(all, pointer);
    return carpe_value_number(value, number) || no_such(event, pointer, value, "a number");
}

bool carpe_event_integer(const carpe_event *event, const char *pointer, int64_t *integer) {
    const yyjson_val *all = root(event, false);
    if (all == NULL) return false;
    const yyjson_val *value = carpe_value_at(all, pointer);
    return carpe_value_integer(value, integer) || no_such(event, pointer, value, "a whole number");
}

bool carpe_event_bool(const carpe_event *event, const char *pointer, bool *boolean) {
    const yyjson_val *all = root(event, false);
    if (all == NULL) return false;
    const yyjson_val *value = carpe_value_at(all, pointer);
    return carpe_value_bool(value, boolean) || no_such(event, pointer, value, "true or false");
}

bool carpe_event_text(const carpe_event *event, const char *pointer, carpe_text *text) {
    const yyjson_val *all = root(event, false);
    if (all == NULL) return false;
    const yyjson_val *value = carpe_value_at(all, pointer);
    return carpe_value_text(value, text) || no_such(event, pointer, value, "a string");
}

bool carpe_event_value(const carpe_event *event, const char *pointer, const carpe_value **value) {
    const yyjson_val *all = root(event, false);
    if (all == NULL) return false;
    *value = carpe_value_at(all, pointer);
    return *value != NULL || no_such(event, pointer, NULL, "a value");
}

bool carpe_event_read(const carpe_event *event, const char *pointer, const carpe_type *type, void *into) {
    const yyjson_val *all = root(event, false);
    if (all == NULL) return false;
    const yyjson_val *value = carpe_value_at(all, pointer);
    if (!carpe_value_is_object(value)) return no_such(event, pointer, value, "an object");
    carpe_output *out = event->payload->out;
    reading reading = {.arena = out->arena, .requires = true};
    return read_type(&reading, type, value, into, "")
        || carpe_fail(out, "the event's data%s%s: %s", pointer[0] == 0 ? "" : " at ", pointer, reading.problem.bytes);
}

bool carpe_event_has(const carpe_event *event, const char *pointer) {
    return carpe_value_at(root(event, true), pointer) != NULL;
}

bool carpe_event_bytes(const carpe_event *event, carpe_text *bytes) {
    const wit_data *data = &event->payload->event->data;
    if (data->kind != DATA_BINARY)
        return carpe_fail(event->payload->out, "the event has %s, where other bytes should be",
                          data->kind == DATA_ABSENT ? "no data" : "JSON data");
    *bytes = copy_text(event->payload->out->arena, data->bytes);
    return true;
}

// Which of the subscription's attributes it is, from 0; -1 if it asks for none of this name.
static int asked_for(const carpe_event *event, const char *name) {
    const char *const *names = event->payload->subscription->attributes;
    for (int place = 0; names != NULL && names[place] != NULL; place++) {
        if (strcmp(names[place], name) == 0) return place;
    }
    return -1;
}

static const option_text *attribute(const carpe_event *event, int place) {
    const wit_event *given = event->payload->event;
    bool is = place >= 0 && (size_t)place < given->attributes.length && given->attributes.items[place].is;
    return is ? &given->attributes.items[place] : NULL;
}

bool carpe_event_has_attribute(const carpe_event *event, const char *name) {
    return attribute(event, asked_for(event, name)) != NULL;
}

bool carpe_event_attribute(const carpe_event *event, const char *name, carpe_text *text) {
    carpe_output *out = event->payload->out;
    int place = asked_for(event, name);
    if (place < 0)
        return carpe_fail(out, "the subscription does not ask for the attribute `%s`: add it to `attributes`", name);
    const option_text *found = attribute(event, place);
    if (found == NULL) return carpe_fail(out, "the event has no attribute `%s`", name);
    *text = found->text;
    return true;
}
