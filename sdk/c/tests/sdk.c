// The SDK's own tests, with a rule that does what events tell it to.
#include <carpe_test.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    carpe_text name;
    double share;
    bool loud;
    int32_t small;
};
CARPE_TYPE(settings, struct settings, CARPE_REQUIRED(struct settings, name), CARPE_FIELD(struct settings, share),
           CARPE_FIELD(struct settings, loud), CARPE_FIELD(struct settings, small));

struct item {
    carpe_text name;
    int64_t size;
};
CARPE_TYPE(item_type, struct item, CARPE_REQUIRED(struct item, name), CARPE_FIELD(struct item, size));

struct memory {
    bool flag;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    double number;
    carpe_text text;
    const carpe_value *value;
    struct item one;
    CARPE_LIST_OF(struct item) items;
};
CARPE_TYPE(memory_type, struct memory, CARPE_FIELD(struct memory, flag), CARPE_FIELD(struct memory, i32),
           CARPE_FIELD(struct memory, u32), CARPE_FIELD(struct memory, i64), CARPE_FIELD(struct memory, u64),
           CARPE_FIELD(struct memory, number), CARPE_FIELD(struct memory, text), CARPE_FIELD(struct memory, value),
           CARPE_FIELD_STRUCT(struct memory, one, item_type), CARPE_FIELD_LIST(struct memory, items, item_type));

static bool check(const void *configuration, carpe_output *out) {
    const struct settings *settings = configuration;
    return settings->share <= 1 || carpe_fail(out, "`share` is above 1");
}

static bool on_event(const void *configuration, const carpe_event *event, void *state, carpe_output *out) {
    const struct settings *settings = configuration;
    struct memory *memory = state;
    carpe_text word = {"", 0};
    const carpe_value *value = NULL;
    if (event->subscription == 1) return carpe_event_bytes(event, &word) && (memory->text = word, true);
    if (!carpe_event_text(event, "/do", &word)) return false;
    if (carpe_text_is(word, "keep")) return carpe_event_read(event, "/state", &memory_type, memory);
    if (carpe_text_is(word, "append")) {
        struct item *item = CARPE_APPEND(out, &memory->items);
        return carpe_event_read(event, "/item", &item_type, item);
    }
    if (carpe_text_is(word, "remove")) {
        if (memory->items.length == 0) return carpe_fail(out, "there is no item");
        CARPE_REMOVE(&memory->items, 0);
        return true;
    }
    if (carpe_text_is(word, "spoil")) {
        // All of it is undone.
        for (size_t place = 0; place < memory->items.length; place++) memory->items.items[place].size = -1;
        memory->number = 1e9;
        CARPE_APPEND(out, &memory->items)->name = (carpe_text){"spoilt", 6};
        carpe_occurred(out, "said", "spoilt");
        carpe_timer_in(out, "spoilt", 1);
        carpe_forget(out);
        return carpe_fail(out, "spoilt by %s, %d, %5.2f, %llu", settings->name.bytes, -3, 1.005,
                          (unsigned long long)UINT64_MAX);
    }
    if (carpe_text_is(word, "silent")) return false;
    if (carpe_text_is(word, "infinite")) {
        memory->number = HUGE_VAL;
        return true;
    }
    if (carpe_text_is(word, "bad json")) {
        carpe_put_number(carpe_object(out), "x", NAN);
        return true;
    }
    if (carpe_text_is(word, "attribute")) return carpe_event_attribute(event, "note", &word) && (memory->text = word, true);
    if (carpe_text_is(word, "unasked")) return carpe_event_attribute(event, "id", &word);
    if (carpe_text_is(word, "forget")) {
        carpe_forget(out);
        return true;
    }
    if (carpe_text_is(word, "broken text")) {
        carpe_occurred(out, "said", "a\xff" "b");
        return true;
    }
    if (carpe_text_is(word, "long")) {
        carpe_occurred(out, "said", "%s", carpe_format(out, "%0500d", 7).bytes);
        return true;
    }
    if (carpe_text_is(word, "act")) {
        carpe_json *data = carpe_object(out);
        carpe_put_number(data, "zero", -0.0);
        carpe_put_integer(data, "whole", INT64_MIN);
        carpe_put_bool(data, "yes", true);
        carpe_put_text(data, "text", (carpe_text){"a\0ü\"", 5});
        carpe_put_value(data, "none", NULL);
        carpe_json *list = carpe_put_list(data, "list");
        carpe_put_string(list, NULL, "x");
        carpe_put_integer(carpe_put_object(list, NULL), "y", 1);
        carpe_moment *moment = carpe_occurred(out, "acted", "because of %s", word.bytes);
        carpe_moment_data(moment, data);
        carpe_moment_subject(moment, "somebody");
        carpe_moment_expires_in(moment, 1000);
        carpe_moment_action(moment, "do", "r-1", data);
        carpe_moment_action(moment, "tell", NULL, NULL);
        return true;
    }
    if (carpe_text_is(word, "timer")) {
        carpe_timer_in(out, "b", 2000);
        carpe_timer_in(out, "a", 2000);
        carpe_timer_at(out, "past", 5);
        carpe_timer_in(out, "cancelled", 1000);
        carpe_timer_cancel(out, "cancelled");
        return true;
    }
    int64_t integer;
    if (carpe_text_is(word, "integer")) return carpe_event_integer(event, "/n", &integer) && (memory->i64 = integer, true);
    return carpe_event_value(event, "/nowhere", &value);
}

static bool on_timer(const void *configuration, const carpe_timer *timer, void *state, carpe_output *out) {
    (void)configuration;
    (void)state;
    carpe_occurred(out, "said", "%s", timer->name.bytes);
    return true;
}

static bool on_outcome(const void *configuration, const carpe_outcome *outcome, void *state, carpe_output *out) {
    (void)configuration;
    (void)state;
    int64_t answer = -1;
    carpe_value_integer(carpe_value_at(outcome->answer, "/n"), &answer);
    carpe_occurred(out, "said", "%s %s %s %lld %s", outcome->action.bytes, outcome->reference.bytes,
                   carpe_status_name(outcome->status), (long long)answer, outcome->detail.bytes);
    return true;
}

static bool migrate(const void *configuration, uint32_t from_version, carpe_text key, carpe_text before, void *state,
                    carpe_output *out) {
    (void)configuration;
    (void)key;
    struct memory *memory = state;
    const carpe_value *value = carpe_parse(out, before);
    if (value == NULL) return false;
    return (from_version == 1 && carpe_value_integer(value, &memory->i64)) || carpe_fail(out, "not of version 1");
}

const carpe_rule carpe_exported_rule = {
    .configuration = &settings,
    .default_configuration = &(const struct settings){.share = 0.5},
    .state = &memory_type,
    .initial_state = &(const struct memory){.u32 = 7},
    .state_version = 2,
    .check = check,
    .on_event = on_event,
    .on_timer = on_timer,
    .on_outcome = on_outcome,
    .migrate = migrate,
    .subscriptions = CARPE_ON({.event_type = "told.*", .attributes = CARPE_NAMES("note")},
                              {.event_type = "bytes", .keyed_by = "source"}, {.event_type = "data", .keyed_by_data = "/id"},
                              {.event_type = "all", .keyed_by_nothing = true}),
    .moments = CARPE_NAMES("said", "acted"),
    .actions = CARPE_NAMES("do", "tell"),
};

static carpe_test *fresh(void) {
    return carpe_test_new("{\"name\": \"test\"}");
}

static carpe_happened tell(carpe_test *test, const char *data) {
    return carpe_test_send(test, (carpe_test_event){.type = "told.it", .subject = "k", .data = data});
}

static void configurations_are_typed(void) {
    static const char *const cases[][2] = {
        {"{\"name\": \"ü\"}", NULL},
        {"{\"name\": \"\", \"share\": 1, \"loud\": true, \"small\": -2147483648}", NULL},
        {"{}", "configuration: `name` is missing, where a string should be"},
        {"[]", "configuration: it is a list, where an object should be"},
        {"{\"name\": 7}", "configuration: `name` is 7, where a string should be"},
        {"{\"name\": \"\", \"share\": \"x\"}", "configuration: `share` is \"x\", where a number should be"},
        {"{\"name\": \"\", \"small\": 2147483648}",
         "configuration: `small` is 2147483648, where a whole number from -2147483648 to 2147483647 should be"},
        {"{\"name\": \"\", \"small\": 1.5}",
         "configuration: `small` is 1.5, where a whole number from -2147483648 to 2147483647 should be"},
        {"{\"name\": \"\", \"other\": 1}", "configuration: `other` is unknown"},
        {"{\"name\": \"\", \"share\": 2}", "configuration: `share` is above 1"},
    };
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        char *refusal = carpe_test_refusal(cases[place][0]);
        CARPE_CHECK_TEXT(refusal, cases[place][1]);
        free(refusal);
    }
    char *refusal = carpe_test_refusal("{");
    CARPE_CHECK(refusal != NULL && strncmp(refusal, "configuration: ", 15) == 0);
    free(refusal);
}

static void states_come_back_as_they_were(void) {
    carpe_test *test = fresh();
    static const char *const whole =
        "{\"flag\":true,\"i32\":-2147483648,\"u32\":4294967295,\"i64\":-9223372036854775808,"
        "\"u64\":18446744073709551615,\"number\":-0.0,\"text\":\"Grüße\\u0000 🌊\",\"value\":{\"a\":[1.5,null,\"\"]},"
        "\"one\":{\"name\":\"\",\"size\":9007199254740993},"
        "\"items\":[{\"name\":\"a\",\"size\":1},{\"name\":\"b\",\"size\":0}]}";
    char event[1024];
    snprintf(event, sizeof event, "{\"do\":\"keep\",\"state\":%s}", whole);
    CARPE_CHECK(tell(test, event).failure_count == 0);
    CARPE_CHECK_TEXT(carpe_test_state(test, "k"), whole);
    // Read, and written again.
    CARPE_CHECK(tell(test, "{\"do\":\"remove\"}").failure_count == 0);
    CARPE_CHECK(tell(test, "{\"do\":\"append\",\"item\":{\"name\":\"c\",\"size\":5e-324}}").failure_count == 1);
    CARPE_CHECK(tell(test, "{\"do\":\"append\",\"item\":{\"name\":\"c\",\"size\":3.0}}").failure_count == 0);
    CARPE_CHECK(strstr(carpe_test_state(test, "k"), "\"items\":[{\"name\":\"b\",\"size\":0},{\"name\":\"c\",\"size\":3}]") != NULL);
    CARPE_CHECK(strstr(carpe_test_state(test, "k"), "\"number\":-0.0,\"text\":\"Grüße\\u0000 🌊\"") != NULL);
    static const char *const numbers[] = {"1e300", "5e-324", "0.1", "-1.7976931348623157e308"};
    for (size_t place = 0; place < sizeof numbers / sizeof numbers[0]; place++) {
        snprintf(event, sizeof event, "{\"do\":\"keep\",\"state\":{\"number\":%s,\"one\":{\"name\":\"\"}}}", numbers[place]);
        CARPE_CHECK(tell(test, event).failure_count == 0);
        double kept = strtod(strstr(carpe_test_state(test, "k"), "\"number\":") + 9, NULL);
        CARPE_CHECK(kept == strtod(numbers[place], NULL));
    }
    // A state equal to the initial one is none.
    tell(test, "{\"do\":\"forget\"}");
    CARPE_CHECK_TEXT(carpe_test_state(test, "k"), NULL);
    CARPE_CHECK_TEXT(tell(test, "{\"do\":\"infinite\"}").failures[0],
                     "the state of key `k` cannot be written: `number` is no number that JSON has: it is not finite");
    CARPE_CHECK_TEXT(carpe_test_state(test, "k"), NULL);
    carpe_test_free(test);
}

static void an_input_that_fails_is_undone(void) {
    carpe_test *test = fresh();
    tell(test, "{\"do\":\"append\",\"item\":{\"name\":\"a\",\"size\":1}}");
    const char *before = carpe_test_state(test, "k");
    carpe_happened happened = tell(test, "{\"do\":\"spoil\"}");
    CARPE_CHECK_TEXT(happened.kinds, "");
    CARPE_CHECK(happened.failure_count == 1);
    CARPE_CHECK_TEXT(happened.failures[0], "spoilt by test, -3,  1.00, 18446744073709551615");
    CARPE_CHECK_TEXT(carpe_test_state(test, "k"), before);
    CARPE_CHECK(carpe_test_timer(test, "k", "spoilt") == -1);
    carpe_test_free(test);
}

static void what_an_event_lacks_is_said(void) {
    static const char *const cases[][2] = {
        {NULL, "the event has no data"},
        {"7", "the event's data has nothing at `/do`, where a string should be"},
        {"{\"do\": [1]}", "the event's data has [1] at `/do`, where a string should be"},
        {"{\"do\": \"silent\"}", "the rule's handler failed, and does not say why"},
        {"{\"do\": \"nothing\"}", "the event's data has nothing at `/nowhere`, where a value should be"},
        {"{\"do\": \"integer\", \"n\": 1.5}", "the event's data has 1.5 at `/n`, where a whole number should be"},
        {"{\"do\": \"integer\", \"n\": 1e300}", "the event's data has 1e300 at `/n`, where a whole number should be"},
        {"{\"do\": \"keep\", \"state\": {\"one\": {}}}",
         "the event's data at /state: `one/name` is missing, where a string should be"},
        {"{\"do\": \"keep\", \"state\": {\"items\": [{\"name\": \"\"}, 3]}}",
         "the event's data at /state: `items/1` is 3, where an object should be"},
        {"{\"do\": \"attribute\"}", "the event has no attribute `note`"},
        {"{\"do\": \"unasked\"}", "the subscription does not ask for the attribute `id`: add it to `attributes`"},
        {"{\"do\": \"bad json\"}", "`x` is no number that JSON has: it is not finite"},
    };
    carpe_test *test = fresh();
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        carpe_happened happened = tell(test, cases[place][0]);
        CARPE_CHECK(happened.failure_count == 1);
        CARPE_CHECK_TEXT(happened.failures[0], cases[place][1]);
    }
    CARPE_CHECK(strncmp(tell(test, "{").failures[0], "the event's data is no JSON: ", 29) == 0);
    CARPE_CHECK(tell(test, "{\"do\": \"integer\", \"n\": 3.0}").failure_count == 0);
    // Too deep for whoever walks a value by recursion; what stands in strings is not nested.
    size_t deep = 100000;
    char *nested = malloc(2 * deep + 1);
    memset(nested, '[', deep);
    memset(nested + deep, ']', deep);
    nested[2 * deep] = 0;
    CARPE_CHECK_TEXT(tell(test, nested).failures[0], "the event's data is no JSON: it is nested more than 127 deep");
    deep = 127;
    memset(nested + deep, ']', deep);
    nested[2 * deep] = 0;
    CARPE_CHECK_TEXT(tell(test, nested).failures[0], "the event's data has nothing at `/do`, where a string should be");
    nested[0] = '"';
    memset(nested + 1, '[', 200);
    strcpy(nested + 201, "\\\"[\"");
    CARPE_CHECK_TEXT(tell(test, nested).failures[0], "the event's data has nothing at `/do`, where a string should be");
    free(nested);
    carpe_test_free(test);
}

static void texts_are_unicode(void) {
    carpe_test *test = fresh();
    CARPE_CHECK_TEXT(tell(test, "{\"do\": \"broken text\"}").moments[0].why, "a\xEF\xBF\xBD" "b");
    CARPE_CHECK(strlen(tell(test, "{\"do\": \"long\"}").moments[0].why) == 500);
    carpe_test_free(test);
}

static void keys_are_found(void) {
    carpe_test *test = fresh();
    carpe_test_event bytes = {.type = "bytes", .bytes = {"\1\2", 2}, .attributes = {"source", "/s"}};
    CARPE_CHECK(carpe_test_send(test, bytes).failure_count == 0);
    CARPE_CHECK(strstr(carpe_test_state(test, "/s"), "\"text\":\"\\u0001\\u0002\"") != NULL);
    carpe_test_event noted = {.type = "told.it", .subject = "k", .data = "{\"do\": \"attribute\"}", .attributes = {"note", "n"}};
    CARPE_CHECK(carpe_test_send(test, noted).failure_count == 0);
    carpe_test_event numbered = {.type = "data", .data = "{\"id\": 7.0, \"do\": \"integer\", \"n\": 3}"};
    CARPE_CHECK(carpe_test_send(test, numbered).failure_count == 0);
    CARPE_CHECK(carpe_test_state(test, "7") != NULL);
    carpe_test_event one = {.type = "all", .data = "{\"do\": \"integer\", \"n\": 3}"};
    CARPE_CHECK(carpe_test_send(test, one).failure_count == 0);
    CARPE_CHECK(carpe_test_state(test, "") != NULL);
    carpe_test_free(test);
}

static void timers_and_outcomes_come_back(void) {
    carpe_test *test = fresh();
    carpe_happened happened = tell(test, "{\"do\": \"timer\"}");
    // One that is past is due at once.
    CARPE_CHECK(happened.moment_count == 1);
    CARPE_CHECK_TEXT(happened.moments[0].why, "past");
    CARPE_CHECK(carpe_test_timer(test, "k", "cancelled") == -1);
    CARPE_CHECK(carpe_test_timer(test, "k", "a") == CARPE_TEST_START + 2000);
    CARPE_CHECK_TEXT(carpe_test_advance(test, 1999).kinds, "");
    happened = carpe_test_advance(test, 1);
    CARPE_CHECK(happened.moment_count == 2);
    CARPE_CHECK_TEXT(happened.moments[0].why, "a");
    CARPE_CHECK_TEXT(happened.moments[1].why, "b");

    happened = tell(test, "{\"do\": \"act\"}");
    CARPE_CHECK_TEXT(happened.actions, "do tell");
    const carpe_test_moment *moment = &happened.moments[0];
    CARPE_CHECK_TEXT(moment->why, "because of act");
    CARPE_CHECK_TEXT(moment->subject, "somebody");
    CARPE_CHECK(moment->expires == carpe_test_now(test) + 1000);
    CARPE_CHECK_TEXT(moment->data, "{\"zero\":-0.0,\"whole\":-9223372036854775808,\"yes\":true,\"text\":\"a\\u0000ü\\\"\","
                                   "\"none\":null,\"list\":[\"x\",{\"y\":1}]}");
    CARPE_CHECK_TEXT(moment->actions[0].data, moment->data);
    CARPE_CHECK_TEXT(moment->actions[0].reference, "r-1");
    CARPE_CHECK_TEXT(moment->actions[1].reference, NULL);
    CARPE_CHECK_TEXT(moment->actions[1].data, "{}");
    happened = carpe_test_answer(test, moment->actions[0], CARPE_GIVEN_UP, "{\"n\": 5}", "too late");
    CARPE_CHECK_TEXT(happened.moments[0].why, "do r-1 failed 5 too late");
    happened = carpe_test_answer(test, moment->actions[0], CARPE_DELIVERED, "no json", "");
    CARPE_CHECK_TEXT(happened.moments[0].why, "do r-1 delivered -1 ");
    carpe_test_free(test);
}

static void states_of_before_are_migrated(void) {
    carpe_test *test = fresh();
    CARPE_CHECK_TEXT(carpe_test_migrate(test, "k", 1, "-12"), NULL);
    CARPE_CHECK(strstr(carpe_test_state(test, "k"), "\"i64\":-12") != NULL);
    CARPE_CHECK(strstr(carpe_test_state(test, "k"), "\"u32\":7") != NULL);
    CARPE_CHECK_TEXT(carpe_test_migrate(test, "k", 1, "\"x\""), "not of version 1");
    // What comes to the initial state is none.
    CARPE_CHECK_TEXT(carpe_test_migrate(test, "k", 1, "0"), NULL);
    CARPE_CHECK_TEXT(carpe_test_state(test, "k"), NULL);
    carpe_test_free(test);
}

int main(void) {
    configurations_are_typed();
    states_come_back_as_they_were();
    an_input_that_fails_is_undone();
    what_an_event_lacks_is_said();
    texts_are_unicode();
    keys_are_found();
    timers_and_outcomes_come_back();
    states_of_before_are_migrated();
    puts("the SDK's tests pass");
}
