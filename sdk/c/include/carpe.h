/// Rules for Carpe in C11 (and C++17): four ideas, Rule, Event, State and Output.
///
/// A rule is a pure function: it is given what happened and what it remembers, and says what should follow. Whatever a
/// function here returns lives until the call of the rule's handler ends; nothing is to be freed, and nothing but the
/// configuration is kept from one call to the next.
#ifndef CARPE_H
#define CARPE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CARPE_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define CARPE_FORMAT(text, first)
#endif

/// Milliseconds since the Unix epoch, from 0 to below 2^53.
typedef int64_t carpe_instant;

/// Text in UTF-8, or bytes. After the last one stands a 0 that is not counted, so `bytes` is a C string too, up to the
/// first 0 that a text has in it.
typedef struct carpe_text {
    const char *bytes;
    size_t length;
} carpe_text;

/// A JSON value that was read. A null pointer stands for `null` where one is written.
typedef struct yyjson_val carpe_value;

/// A JSON object or list that is being written.
typedef struct carpe_json carpe_json;

/// Takes what should follow from one input. Nothing happens unless the handler returns true; then all of it does.
typedef struct carpe_output carpe_output;

/// A moment in the making.
typedef struct carpe_moment carpe_moment;

// ---- Types: what a struct looks like as JSON ------------------------------------------------------------------------

/// What a field holds, and how it stands in JSON.
typedef enum carpe_kind {
    CARPE_BOOL,   ///< `bool`.
    CARPE_INT32,  ///< A whole number in an `int32_t`.
    CARPE_UINT32, ///< A whole number in a `uint32_t`.
    CARPE_INT64,  ///< A whole number in an `int64_t`.
    CARPE_UINT64, ///< A whole number in a `uint64_t`.
    CARPE_DOUBLE, ///< A number; one that is not finite cannot be written.
    CARPE_TEXT,   ///< A string in a `carpe_text`.
    CARPE_VALUE,  ///< Any value: a `const carpe_value *`.
    CARPE_STRUCT, ///< An object: another struct.
    CARPE_LIST,   ///< A list of objects: a `CARPE_LIST_OF`.
} carpe_kind;

struct carpe_type;

/// One field of a struct. Made by `CARPE_FIELD` and its like.
typedef struct carpe_field {
    const char *name;
    size_t offset;
    carpe_kind kind;
    bool required;
    const struct carpe_type *of;
} carpe_field;

/// The fields of a struct: how it is read from JSON and written as it. Made by `CARPE_TYPE`.
typedef struct carpe_type {
    size_t size;
    const carpe_field *fields;
    size_t count;
} carpe_type;

/// A list in a struct: `struct lights { CARPE_LIST_OF(struct vehicle) vehicles; };`
#define CARPE_LIST_OF(item)                                                                                            \
    struct {                                                                                                           \
        item *items;                                                                                                   \
        size_t length;                                                                                                 \
    }

/// Adds an item of zeros to a list, at its end, and is a pointer to it until the next is added.
#define CARPE_APPEND(out, list) ((__typeof__((list)->items))carpe_list_append((out), (list), sizeof *(list)->items))

/// Removes an item of a list; those after it move up.
#define CARPE_REMOVE(list, index) carpe_list_remove((list), sizeof *(list)->items, (index))

/// Defines the type `name` of a struct by its fields: `CARPE_TYPE(machine, struct machine, CARPE_FIELD(struct machine, hot))`.
#define CARPE_TYPE(name, type, ...)                                                                                    \
    static const carpe_field name##_fields[] = {__VA_ARGS__};                                                          \
    static const carpe_type name = {sizeof(type), name##_fields, sizeof name##_fields / sizeof name##_fields[0]}

/// A field that keeps its initial value if JSON has none of this name.
#define CARPE_FIELD(type, member) {#member, offsetof(type, member), CARPE_KIND_OF(type, member), false, NULL}
/// A field that must be there.
#define CARPE_REQUIRED(type, member) {#member, offsetof(type, member), CARPE_KIND_OF(type, member), true, NULL}
/// A field that is another struct, of a `carpe_type`.
#define CARPE_FIELD_STRUCT(type, member, of) {#member, offsetof(type, member), CARPE_STRUCT, false, &(of)}
/// A field that is a `CARPE_LIST_OF` structs of a `carpe_type`.
#define CARPE_FIELD_LIST(type, member, of) {#member, offsetof(type, member), CARPE_LIST, false, &(of)}

#ifndef __cplusplus
#define CARPE_KIND_OF(type, member)                                                                                    \
    _Generic(((type *)0)->member,                                                                                      \
        bool: CARPE_BOOL,                                                                                              \
        int: CARPE_INT32,                                                                                              \
        unsigned: CARPE_UINT32,                                                                                        \
        long: sizeof(long) == 8 ? CARPE_INT64 : CARPE_INT32,                                                           \
        unsigned long: sizeof(long) == 8 ? CARPE_UINT64 : CARPE_UINT32,                                                \
        long long: CARPE_INT64,                                                                                        \
        unsigned long long: CARPE_UINT64,                                                                              \
        double: CARPE_DOUBLE,                                                                                          \
        carpe_text: CARPE_TEXT,                                                                                        \
        const carpe_value *: CARPE_VALUE)
#else
#define CARPE_KIND_OF(type, member) carpe_kind_of(static_cast<decltype(type::member) *>(nullptr))
#endif

void *carpe_list_append(carpe_output *out, void *list, size_t item_size);
void carpe_list_remove(void *list, size_t item_size, size_t index);

// ---- Inputs -------------------------------------------------------------------------------------------------------

/// An event that a subscription matched.
typedef struct carpe_event {
    carpe_text key;     ///< What it is about.
    carpe_instant time; ///< When it happened: may be earlier than that of an event before it.
    carpe_instant now;  ///< Where the host's timeline stands; timers and expiry go by it.
    uint32_t subscription; ///< Which of the rule's subscriptions matched, from 0.
    struct carpe_payload *payload;
} carpe_event;

/// A timer that the rule set, now due.
typedef struct carpe_timer {
    carpe_text key;     ///< Of which key.
    carpe_instant time; ///< What it was set to.
    carpe_instant now;  ///< Where the timeline stands.
    carpe_text name;    ///< As the rule named it.
} carpe_timer;

/// What became of an action.
typedef enum carpe_status {
    CARPE_DELIVERED, ///< The other side took it.
    CARPE_REJECTED,  ///< The other side refused it for good.
    CARPE_WITHHELD,  ///< It never went out: a guardrail stopped it, or no route takes it.
    CARPE_GIVEN_UP,  ///< The host gave up (the contract's `failed`): it may or may not have been taken.
    CARPE_EXPIRED,   ///< The moment expired before the first try: it was not taken.
} carpe_status;

/// What became of an action that asked for its outcome.
typedef struct carpe_outcome {
    carpe_text key;       ///< Of which key.
    carpe_instant time;   ///< When it was known.
    carpe_instant now;    ///< Where the timeline stands.
    carpe_text action;    ///< The action's name.
    carpe_text reference; ///< The action's reference.
    carpe_status status;  ///< What became of it.
    carpe_text detail;    ///< For people: why it was not taken. May be empty.
    const carpe_value *answer; ///< What the other side answered, if that was JSON; else a null pointer.
} carpe_outcome;

/// The contract's word for a status, e.g. `delivered`.
const char *carpe_status_name(carpe_status status);

// What follows reads an event's JSON data at a JSON Pointer, e.g. `/order/lines/0`; the empty one stands for all of it.
// If there is nothing of that kind they return false, and if the handler then does too, the input is set aside with a
// message that says so.

/// A number.
bool carpe_event_number(const carpe_event *event, const char *pointer, double *number);
/// A whole number; `1.0` is one too.
bool carpe_event_integer(const carpe_event *event, const char *pointer, int64_t *integer);
/// True or false.
bool carpe_event_bool(const carpe_event *event, const char *pointer, bool *value);
/// A string.
bool carpe_event_text(const carpe_event *event, const char *pointer, carpe_text *text);
/// Whatever is there.
bool carpe_event_value(const carpe_event *event, const char *pointer, const carpe_value **value);
/// An object as a struct of a type. Members that the type does not have are passed over.
bool carpe_event_read(const carpe_event *event, const char *pointer, const carpe_type *type, void *into);
/// Whether something is there. Never fails the input.
bool carpe_event_has(const carpe_event *event, const char *pointer);
/// The event's data, if it is not JSON.
bool carpe_event_bytes(const carpe_event *event, carpe_text *bytes);
/// A CloudEvents attribute that the subscription asks for.
bool carpe_event_attribute(const carpe_event *event, const char *name, carpe_text *text);
/// Whether the event has it, and the subscription asks for it. Never fails the input.
bool carpe_event_has_attribute(const carpe_event *event, const char *name);

// What follows looks at values; if one is of another kind they return false, or a null pointer, and say nothing.
// A null pointer may be given too.

/// What stands at a JSON Pointer.
const carpe_value *carpe_value_at(const carpe_value *value, const char *pointer);
/// An item of a list; a null pointer past its end.
const carpe_value *carpe_value_item(const carpe_value *list, size_t index);
/// How many items a list has, or members an object.
size_t carpe_value_size(const carpe_value *value);
bool carpe_value_is_object(const carpe_value *value);
bool carpe_value_is_list(const carpe_value *value);
bool carpe_value_is_null(const carpe_value *value);
bool carpe_value_number(const carpe_value *value, double *number);
bool carpe_value_integer(const carpe_value *value, int64_t *integer);
bool carpe_value_bool(const carpe_value *value, bool *boolean);
bool carpe_value_text(const carpe_value *value, carpe_text *text);

/// Reads a JSON text; a null pointer, and a reason for the input to fail, if it is none.
const carpe_value *carpe_parse(carpe_output *out, carpe_text json);

// ---- Output -------------------------------------------------------------------------------------------------------

/// Says why the input makes no sense, for people, and returns false: `return carpe_fail(out, "no such door: %s", door);`
/// An input that fails is set aside, and whatever it did is undone: state, timers and moments.
bool carpe_fail(carpe_output *out, const char *format, ...) CARPE_FORMAT(2, 3);

/// A moment of this kind, which the rule names, occurred: about the input's key, at its time. `why`, a format as of
/// `printf`, is one line for people.
carpe_moment *carpe_occurred(carpe_output *out, const char *kind, const char *why, ...) CARPE_FORMAT(3, 4);
/// Whom it concerns, if that is not the key: what consent, caps and erasure go by.
void carpe_moment_subject(carpe_moment *moment, const char *subject);
/// For programs: the facts of it.
void carpe_moment_data(carpe_moment *moment, const carpe_json *data);
/// As `carpe_moment_data`, of a value that was read.
void carpe_moment_value(carpe_moment *moment, const carpe_value *data);
/// Until when its actions may be taken.
void carpe_moment_expires_at(carpe_moment *moment, carpe_instant instant);
/// For how long from the timeline's `now` its actions may be taken.
void carpe_moment_expires_in(carpe_moment *moment, int64_t milliseconds);
/// What to do about it, and what the other side needs to know: a null pointer is `{}`. A `reference` asks for the
/// outcome, which the rule is then given, once; a null pointer does not.
void carpe_moment_action(carpe_moment *moment, const char *name, const char *reference, const carpe_json *data);
/// As `carpe_moment_action`, with a value that was read: a null pointer is `null`.
void carpe_moment_action_value(carpe_moment *moment, const char *name, const char *reference, const carpe_value *data);

/// Sets a timer of the input's key, or moves it. One that is already past is due at once.
void carpe_timer_at(carpe_output *out, const char *name, carpe_instant instant);
/// The same, counted from the timeline's `now`.
void carpe_timer_in(carpe_output *out, const char *name, int64_t milliseconds);
/// Cancels it; does nothing if it is not set.
void carpe_timer_cancel(carpe_output *out, const char *name);

/// The key has no state any more once the handler returns true: it is as one that was never seen, but for its timers.
void carpe_forget(carpe_output *out);

/// An empty JSON object.
carpe_json *carpe_object(carpe_output *out);
// These put a member into an object, or replace one. Into a list the name is a null pointer: it goes to the end.
void carpe_put_number(carpe_json *into, const char *name, double number);
void carpe_put_integer(carpe_json *into, const char *name, int64_t integer);
void carpe_put_bool(carpe_json *into, const char *name, bool value);
void carpe_put_string(carpe_json *into, const char *name, const char *string);
void carpe_put_text(carpe_json *into, const char *name, carpe_text text);
void carpe_put_value(carpe_json *into, const char *name, const carpe_value *value);
carpe_json *carpe_put_object(carpe_json *into, const char *name);
carpe_json *carpe_put_list(carpe_json *into, const char *name);

/// Text by a format as of `printf`, which knows all but `%n` and wide characters.
carpe_text carpe_format(carpe_output *out, const char *format, ...) CARPE_FORMAT(2, 3);
/// A copy of a text.
carpe_text carpe_copy(carpe_output *out, carpe_text text);
/// Memory of zeros that lives as long as what else the call is given.
void *carpe_memory(carpe_output *out, size_t size);
/// Whether a text is this string.
bool carpe_text_is(carpe_text text, const char *string);
/// Whether two texts are the same.
bool carpe_text_equals(carpe_text one, carpe_text other);

/// How grave a line of the log is.
typedef enum carpe_level {
    CARPE_DEBUG, ///< For the rule's author.
    CARPE_INFO,  ///< Of interest.
    CARPE_WARN,  ///< Not as it should be.
    CARPE_ERROR, ///< Gone wrong.
} carpe_level;

/// Writes a line to the operator's log. Not an effect: it is written even if the input fails.
void carpe_log(carpe_level level, const char *format, ...) CARPE_FORMAT(2, 3);

// ---- The rule -----------------------------------------------------------------------------------------------------

/// One kind of event that a rule is given.
typedef struct carpe_subscription {
    const char *event_type; ///< CloudEvents `type`; a trailing `*` stands for any rest.
    const char *filter;     ///< CloudEvents SQL expression, or none: only such events are given for which it is true.
    const char *keyed_by;   ///< The CloudEvents attribute that events are about; none: `subject`.
    const char *keyed_by_data;     ///< A JSON Pointer to what they are about, instead of an attribute.
    bool keyed_by_nothing;         ///< All have one key, whose name is empty.
    const char *const *attributes; ///< CARPE_NAMES of the CloudEvents attributes to be given. Each costs a little.
} carpe_subscription;

/// A rule. `configuration` and `state` in its handlers point to structs of the types named here. A handler that returns
/// false sets the input aside. One that is not there passes over such inputs.
typedef struct carpe_rule {
    const carpe_type *configuration;         ///< Of the operator's configuration; none: there is nothing to configure.
    const void *default_configuration;       ///< What fields that are not required begin as; none: zeros.
    const carpe_type *state;                 ///< Of what is remembered per key; none: nothing is.
    const void *initial_state;               ///< Of a key that is new; none: zeros. A state equal to it is not kept.
    const carpe_subscription *subscriptions; ///< CARPE_ON.
    const char *const *moments;              ///< CARPE_NAMES of all kinds of moments.
    const char *const *actions;              ///< CARPE_NAMES of all actions.
    const char *settings;                    ///< JSON Schema of the configuration, if there is one.
    uint32_t state_version; ///< Of the state's format; 0 stands for 1. Let it grow when states of before cannot be read.

    /// What types cannot check of the configuration.
    bool (*check)(const void *configuration, carpe_output *out);
    bool (*on_event)(const void *configuration, const carpe_event *event, void *state, carpe_output *out);
    bool (*on_timer)(const void *configuration, const carpe_timer *timer, void *state, carpe_output *out);
    bool (*on_outcome)(const void *configuration, const carpe_outcome *outcome, void *state, carpe_output *out);
    /// Makes today's state, which comes as the initial one, from one of an earlier version. rule.toml says `migrates = true`.
    bool (*migrate)(const void *configuration, uint32_t from_version, carpe_text key, carpe_text before, void *state,
                    carpe_output *out);
} carpe_rule;

/// The rule: a plugin defines one.
extern const carpe_rule carpe_exported_rule;

/// Names, for `carpe_rule`.
#define CARPE_NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
/// Subscriptions, for `carpe_rule`: `CARPE_ON({.event_type = "door.opened"}, {.event_type = "door.closed"})`.
#define CARPE_ON(...) ((const carpe_subscription[]){__VA_ARGS__, {.event_type = NULL}})

#ifdef __cplusplus
}
constexpr carpe_kind carpe_kind_of(bool *) { return CARPE_BOOL; }
constexpr carpe_kind carpe_kind_of(int32_t *) { return CARPE_INT32; }
constexpr carpe_kind carpe_kind_of(uint32_t *) { return CARPE_UINT32; }
constexpr carpe_kind carpe_kind_of(int64_t *) { return CARPE_INT64; }
constexpr carpe_kind carpe_kind_of(uint64_t *) { return CARPE_UINT64; }
constexpr carpe_kind carpe_kind_of(double *) { return CARPE_DOUBLE; }
constexpr carpe_kind carpe_kind_of(carpe_text *) { return CARPE_TEXT; }
constexpr carpe_kind carpe_kind_of(const carpe_value **) { return CARPE_VALUE; }
#endif

#endif
