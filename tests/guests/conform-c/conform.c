// The rule of `tests/conformance`, with the SDK for C.
#include <carpe.h>

struct conform {
    carpe_text greeting;
    uint64_t limit;
};
CARPE_TYPE(configuration, struct conform, CARPE_REQUIRED(struct conform, greeting), CARPE_FIELD(struct conform, limit));

struct memory {
    uint64_t count;
    const carpe_value *value;
};
CARPE_TYPE(memory, struct memory, CARPE_FIELD(struct memory, count), CARPE_FIELD(struct memory, value));

static bool check(const void *configuration, carpe_output *out) {
    const struct conform *rule = configuration;
    return rule->greeting.length > 0 || carpe_fail(out, "`greeting` is empty");
}

static const carpe_value *member(const carpe_value *deed, const char *pointer) {
    const carpe_value *value = carpe_value_at(deed, pointer);
    return carpe_value_is_null(value) ? NULL : value;
}

// Is there a string?
static bool text(const carpe_value *deed, const char *pointer, carpe_text *text) {
    return carpe_value_text(carpe_value_at(deed, pointer), text);
}

static bool is_true(const carpe_value *deed, const char *pointer) {
    bool value = false;
    return carpe_value_bool(carpe_value_at(deed, pointer), &value) && value;
}

static void put_attribute(carpe_json *data, const carpe_event *event, const char *name) {
    carpe_text text;
    if (carpe_event_has_attribute(event, name) && carpe_event_attribute(event, name, &text)) {
        carpe_put_text(data, name, text);
    } else {
        carpe_put_value(data, name, NULL);
    }
}

static void show_event(const carpe_event *event, carpe_output *out) {
    const carpe_value *all = NULL;
    carpe_event_value(event, "", &all);
    carpe_json *data = carpe_object(out);
    carpe_put_integer(data, "subscription", event->subscription);
    carpe_put_integer(data, "time", event->time);
    carpe_put_integer(data, "now", event->now);
    put_attribute(data, event, "id");
    put_attribute(data, event, "type");
    put_attribute(data, event, "note");
    carpe_put_value(data, "data", all);
    carpe_moment_data(carpe_occurred(out, "conform.said", "event"), data);
}

static void show_state(const carpe_event *event, const struct memory *memory, carpe_output *out) {
    carpe_json *data = carpe_object(out);
    carpe_put_integer(data, "count", memory->count);
    carpe_put_value(data, "value", memory->value);
    carpe_put_text(data, "key", event->key);
    carpe_moment_data(carpe_occurred(out, "conform.said", "state"), data);
}

// Is there a whole number from 0 on?
static bool whole(const carpe_value *deed, const char *pointer, int64_t *number) {
    return carpe_value_integer(carpe_value_at(deed, pointer), number) && *number >= 0;
}

static bool act(const carpe_value *deed, carpe_text reference, carpe_output *out) {
    carpe_moment *moment = carpe_occurred(out, "conform.acted", "acted");
    carpe_moment_action_value(moment, "conform.do", reference.bytes, carpe_value_at(deed, "/data"));
    carpe_moment_action(moment, "conform.tell", NULL, NULL);
    if (carpe_value_at(deed, "/about") != NULL) {
        carpe_text subject;
        if (!text(deed, "/about", &subject)) return carpe_fail(out, "`about` is no string");
        carpe_moment_subject(moment, subject.bytes);
    }
    if (carpe_value_at(deed, "/expires") != NULL) {
        int64_t expires;
        if (!whole(deed, "/expires", &expires)) return carpe_fail(out, "`expires` is no instant");
        carpe_moment_expires_at(moment, expires);
    }
    return true;
}

static bool set_timer(const carpe_value *deed, carpe_text name, carpe_output *out) {
    int64_t number;
    if (whole(deed, "/at", &number)) {
        carpe_timer_at(out, name.bytes, number);
        return true;
    }
    if (whole(deed, "/in", &number)) {
        carpe_timer_in(out, name.bytes, number);
        return true;
    }
    return carpe_fail(out, "a timer has no `at` and no `in`");
}

static bool done(const struct conform *rule, const carpe_event *event, const carpe_value *deed, struct memory *memory,
                 carpe_output *out) {
    carpe_text word;
    if (text(deed, "/say", &word)) {
        carpe_moment *moment = carpe_occurred(out, "conform.said", "%s", word.bytes);
        const carpe_value *data = member(deed, "/data");
        if (data != NULL) carpe_moment_value(moment, data);
        return true;
    }
    if (is_true(deed, "/greet")) {
        carpe_occurred(out, "conform.said", "%s, %s", rule->greeting.bytes, event->key.bytes);
        return true;
    }
    if (text(deed, "/show", &word) && carpe_text_is(word, "event")) {
        show_event(event, out);
        return true;
    }
    if (is_true(deed, "/show")) {
        show_state(event, memory, out);
        return true;
    }
    if (carpe_value_at(deed, "/set") != NULL) {
        memory->value = carpe_value_at(deed, "/set");
        return true;
    }
    if (text(deed, "/timer", &word)) return set_timer(deed, word, out);
    if (text(deed, "/cancel", &word)) {
        carpe_timer_cancel(out, word.bytes);
        return true;
    }
    if (text(deed, "/act", &word)) return act(deed, word, out);
    if (is_true(deed, "/forget")) {
        carpe_forget(out);
        return true;
    }
    if (text(deed, "/fail", &word)) return carpe_fail(out, "%s", word.bytes);
    return carpe_fail(out, "there is no such deed");
}

static bool on_event(const void *configuration, const carpe_event *event, void *state, carpe_output *out) {
    const struct conform *rule = configuration;
    struct memory *memory = state;
    memory->count++;
    if (memory->count > rule->limit) {
        return carpe_fail(out, "more than %llu events", (unsigned long long)rule->limit);
    }
    const carpe_value *told;
    if (!carpe_event_value(event, "", &told)) return false;
    if (!carpe_value_is_object(told)) return carpe_fail(out, "the data is no object");
    const carpe_value *deeds = carpe_value_at(told, "/do");
    if (deeds != NULL && !carpe_value_is_list(deeds)) return carpe_fail(out, "`do` is no list");
    for (size_t place = 0; place < carpe_value_size(deeds); place++) {
        if (!done(rule, event, carpe_value_item(deeds, place), memory, out)) return false;
    }
    return true;
}

static bool on_timer(const void *configuration, const carpe_timer *timer, void *state, carpe_output *out) {
    (void)configuration;
    struct memory *memory = state;
    carpe_json *data = carpe_object(out);
    carpe_put_integer(data, "count", memory->count);
    carpe_put_value(data, "value", memory->value);
    carpe_put_integer(data, "time", timer->time);
    carpe_put_integer(data, "now", timer->now);
    carpe_moment_data(carpe_occurred(out, "conform.said", "timer %s", timer->name.bytes), data);
    if (carpe_text_is(timer->name, "again") && memory->count > 0) {
        memory->count--;
        carpe_timer_at(out, "again", timer->time + 1000);
    }
    return true;
}

static bool on_outcome(const void *configuration, const carpe_outcome *outcome, void *state, carpe_output *out) {
    (void)configuration;
    (void)state;
    carpe_json *data = carpe_object(out);
    carpe_put_text(data, "action", outcome->action);
    carpe_put_text(data, "reference", outcome->reference);
    carpe_put_value(data, "answer", outcome->answer);
    carpe_moment_data(carpe_occurred(out, "conform.said", "outcome %s", carpe_status_name(outcome->status)), data);
    return true;
}

static bool migrate(const void *configuration, uint32_t from_version, carpe_text key, carpe_text before, void *state,
                    carpe_output *out) {
    (void)configuration;
    (void)key;
    struct memory *memory = state;
    if (from_version == 1 && carpe_text_is(before, "forget")) {
        carpe_forget(out);
        return true;
    }
    bool is_count = from_version == 1 && before.length > 0 && before.length <= 15;
    for (size_t place = 0; is_count && place < before.length; place++) {
        char digit = before.bytes[place];
        is_count = digit >= '0' && digit <= '9';
        memory->count = memory->count * 10 + (uint64_t)(digit - '0');
    }
    return is_count || carpe_fail(out, "the state is no count");
}

const carpe_rule carpe_exported_rule = {
    .configuration = &configuration,
    .default_configuration = &(const struct conform){.limit = 1000},
    .state = &memory,
    .check = check,
    .on_event = on_event,
    .on_timer = on_timer,
    .on_outcome = on_outcome,
    .migrate = migrate,
    .state_version = 2,
    .subscriptions = CARPE_ON({.event_type = "conform.*", .attributes = CARPE_NAMES("id", "type", "note")},
                              {.event_type = "other", .keyed_by_data = "/about/id"}),
    .moments = CARPE_NAMES("conform.said", "conform.acted"),
    .actions = CARPE_NAMES("conform.do", "conform.tell"),
};
