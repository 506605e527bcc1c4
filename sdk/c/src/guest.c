// The component's side: what the contract exports, lowered by hand. A component is called by one thread at a time.
#include <string.h>

#include "internal.h"

#define EXPORT(name) __attribute__((export_name(name)))

// What `carpe build` writes from rule.toml.
extern const char carpe_rule_name[];
extern const char carpe_rule_version[];
extern const char carpe_rule_summary[];

_Static_assert(sizeof(carpe_text) == 8 && sizeof(option_text) == 12 && sizeof(option_instant) == 16, "canonical ABI");
_Static_assert(sizeof(wit_subscription) == 40 && offsetof(wit_subscription, keyed_by) == 20, "canonical ABI");
_Static_assert(sizeof(wit_description) == 64 && offsetof(wit_description, state_version) == 60, "canonical ABI");
_Static_assert(sizeof(wit_keyed) == 20 && sizeof(wit_data) == 12 && sizeof(wit_event) == 24, "canonical ABI");
_Static_assert(sizeof(wit_outcome) == 40 && offsetof(wit_outcome, answer) == 20, "canonical ABI");
_Static_assert(sizeof(wit_payload) == 44 && sizeof(wit_input) == 72, "canonical ABI");
_Static_assert(sizeof(wit_state_change) == 16 && sizeof(wit_timer_change) == 32, "canonical ABI");
_Static_assert(sizeof(wit_action) == 28 && sizeof(wit_failure) == 12, "canonical ABI");
_Static_assert(sizeof(wit_moment) == 72 && offsetof(wit_moment, expires) == 48, "canonical ABI");
_Static_assert(sizeof(wit_effects) == 32, "canonical ABI");

static const void *configuration;
// Of the configuration, for as long as the instance lives.
static arena kept;
// Of one call: its arguments, all that the rule makes, and the result, until the host has read that.
static arena call;

EXPORT("cabi_realloc") void *carpe_wit_realloc(void *old, size_t old_size, size_t align, size_t new_size) {
    // One more, and 0, so that each text is a C string.
    char *bytes = arena_grow(&call, old, old_size, new_size + 1, align);
    bytes[new_size] = 0;
    return bytes;
}

#define POST_RETURN(name, function)                                                                                    \
    EXPORT("cabi_post_" name) void function(void *result) {                                                            \
        (void)result;                                                                                                  \
        arena_reset(&call);                                                                                            \
    }

typedef struct init_result {
    uint8_t is_error;
    union {
        wit_description description;
        carpe_text error;
    } is;
} init_result;

EXPORT("carpe:rule/rule@0.1.0#init") init_result *carpe_wit_init(const char *json, size_t length) {
    init_result *result = arena_zeros(&call, sizeof *result);
    configuration = configure(&carpe_exported_rule, &kept, (carpe_text){json, length}, &result->is.error);
    result->is_error = configuration == NULL;
    if (result->is_error) return result;
    memset(&result->is, 0, sizeof result->is);
    describe(&carpe_exported_rule, &call, &result->is.description);
    result->is.description.name = text_of(carpe_rule_name);
    result->is.description.version = text_of(carpe_rule_version);
    result->is.description.summary = text_of(carpe_rule_summary);
    return result;
}
POST_RETURN("carpe:rule/rule@0.1.0#init", carpe_wit_after_init)

typedef struct handle_result {
    uint8_t is_error;
    union {
        wit_effects effects;
        carpe_text error;
    } is;
} handle_result;

static bool loaded(carpe_text *error) {
    if (configuration == NULL) *error = text_of("`init` was not called, or it failed");
    return configuration != NULL;
}

EXPORT("carpe:rule/rule@0.1.0#handle")
handle_result *carpe_wit_handle(wit_keyed *keys, size_t key_count, wit_input *inputs, size_t input_count) {
    handle_result *result = arena_zeros(&call, sizeof *result);
    wit_batch batch = {{keys, key_count}, {inputs, input_count}};
    wit_effects effects;
    carpe_text error;
    result->is_error = !loaded(&error)
        || !run_batch(&carpe_exported_rule, configuration, &call, &batch, &effects, &error);
    if (result->is_error) {
        result->is.error = valid_text(&call, error);
    } else {
        result->is.effects = effects;
    }
    return result;
}
POST_RETURN("carpe:rule/rule@0.1.0#handle", carpe_wit_after_handle)

// ---- columns ------------------------------------------------------------------------------------------------------

typedef struct state_length {
    uint32_t key;
    int32_t length;
} state_length;

typedef struct column_effects {
    LIST(state_length) changes;
    carpe_text states;
    LIST(wit_timer_change) timers;
    LIST(wit_moment) moments;
    LIST(wit_failure) failures;
} column_effects;

typedef struct columns_result {
    uint8_t is_error;
    union {
        column_effects effects;
        carpe_text error;
    } is;
} columns_result;

// Reads columns from their beginnings on.
typedef struct columns {
    const char *text;
    size_t text_left;
    const int64_t *numbers;
    size_t numbers_left;
    bool broken;
} columns;

static int64_t next_number(columns *columns) {
    if (columns->numbers_left == 0) {
        columns->broken = true;
        return 0;
    }
    columns->numbers_left--;
    return *columns->numbers++;
}

static uint32_t next_position(columns *columns) {
    int64_t number = next_number(columns);
    if (number < 0 || number > UINT32_MAX) columns->broken = true;
    return (uint32_t)number;
}

// Cuts what comes next off a text, by its length; -1: there is none.
static option_text cut(columns *columns, int64_t length, const char **text, size_t *left) {
    if (length == -1) return (option_text){0, {"", 0}};
    if (length < 0 || (uint64_t)length > *left) {
        columns->broken = true;
        return (option_text){0, {"", 0}};
    }
    carpe_text part = {*text, (size_t)length};
    *text += length;
    *left -= (size_t)length;
    return (option_text){1, part};
}

static option_text next_text(columns *columns) {
    return cut(columns, next_number(columns), &columns->text, &columns->text_left);
}

// As a C string.
static option_text terminated(option_text of) {
    if (of.is) of.text = copy_text(&call, of.text);
    return of;
}

static bool read_columns(columns *columns, carpe_text states, uint32_t key_count, wit_batch *batch) {
    if (key_count > columns->numbers_left / 2) return false;
    batch->keys.items = arena_take(&call, (key_count + 1) * sizeof *batch->keys.items, 16);
    batch->keys.length = key_count;
    for (uint32_t place = 0; place < key_count; place++) {
        wit_keyed *keyed = &batch->keys.items[place];
        option_text name = terminated(next_text(columns));
        if (!name.is) return false;
        keyed->name = name.text;
        keyed->state = cut(columns, next_number(columns), &states.bytes, &states.length);
        if (columns->broken) return false;
    }
    // Each has six numbers or more.
    batch->inputs.items = arena_take(&call, (columns->numbers_left / 6 + 1) * sizeof *batch->inputs.items, 16);
    batch->inputs.length = 0;
    while (columns->numbers_left >= 6) {
        wit_input *input = &batch->inputs.items[batch->inputs.length++];
        input->key = next_position(columns);
        input->time = (uint64_t)next_number(columns);
        input->now = (uint64_t)next_number(columns);
        input->payload.kind = PAYLOAD_EVENT;
        wit_event *event = &input->payload.is.event;
        event->subscription = next_position(columns);
        option_text data = next_text(columns);
        event->data = (wit_data){data.is ? DATA_JSON : DATA_ABSENT, data.text};
        uint32_t count = next_position(columns);
        if (columns->broken || count > columns->numbers_left) return false;
        event->attributes.items = count == 0 ? NULL : arena_take(&call, count * sizeof(option_text), 16);
        event->attributes.length = count;
        for (uint32_t place = 0; place < count; place++) {
            event->attributes.items[place] = terminated(next_text(columns));
        }
        if (columns->broken) return false;
    }
    return columns->numbers_left == 0 && columns->text_left == 0 && states.length == 0;
}

static void write_columns(const wit_effects *from, column_effects *to) {
    size_t length = 0, count = from->states.length;
    for (size_t place = 0; place < count; place++) length += from->states.items[place].state.text.length;
    char *states = arena_take(&call, length + 1, 1);
    to->changes.items = arena_take(&call, (count + 1) * sizeof *to->changes.items, 16);
    to->changes.length = count;
    to->states = (carpe_text){states, length};
    for (size_t place = 0; place < count; place++) {
        const wit_state_change *change = &from->states.items[place];
        to->changes.items[place] =
            (state_length){change->key, change->state.is ? (int32_t)change->state.text.length : -1};
        memcpy(states, change->state.text.bytes, change->state.text.length);
        states += change->state.text.length;
    }
    memcpy(&to->timers, &from->timers, sizeof to->timers);
    memcpy(&to->moments, &from->moments, sizeof to->moments);
    memcpy(&to->failures, &from->failures, sizeof to->failures);
}

EXPORT("carpe:rule/columns@0.1.0#handle-events")
columns_result *carpe_wit_handle_events(const char *text, size_t text_length, const char *states, size_t states_length,
                                        uint32_t keys, const int64_t *numbers, size_t number_count) {
    columns_result *result = arena_zeros(&call, sizeof *result);
    columns columns = {text, text_length, numbers, number_count, false};
    wit_batch batch;
    wit_effects effects;
    carpe_text error = text_of("the batch's columns are not what the contract says");
    result->is_error = !read_columns(&columns, (carpe_text){states, states_length}, keys, &batch) || !loaded(&error)
        || !run_batch(&carpe_exported_rule, configuration, &call, &batch, &effects, &error);
    if (result->is_error) {
        result->is.error = valid_text(&call, error);
    } else {
        write_columns(&effects, &result->is.effects);
    }
    return result;
}
POST_RETURN("carpe:rule/columns@0.1.0#handle-events", carpe_wit_after_handle_events)

// ---- migration ----------------------------------------------------------------------------------------------------

#ifdef CARPE_MIGRATES
typedef struct migrate_result {
    uint8_t is_error;
    union {
        option_text state;
        carpe_text error;
    } is;
} migrate_result;

EXPORT("carpe:rule/migration@0.1.0#migrate")
migrate_result *carpe_wit_migrate(uint32_t from_version, const char *key, size_t key_length, const char *state,
                                  size_t state_length) {
    migrate_result *result = arena_zeros(&call, sizeof *result);
    option_text after;
    carpe_text error;
    result->is_error = !loaded(&error)
        || !run_migration(&carpe_exported_rule, configuration, &call, from_version, (carpe_text){key, key_length},
                          (carpe_text){state, state_length}, &after, &error);
    if (result->is_error) {
        result->is.error = valid_text(&call, error);
    } else {
        result->is.state = after;
    }
    return result;
}
POST_RETURN("carpe:rule/migration@0.1.0#migrate", carpe_wit_after_migrate)
#endif
