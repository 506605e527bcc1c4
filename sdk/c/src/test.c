// A small host: one thread, batches of one. Natively only.
#include "carpe_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

// As many timers a key may have come due before one entry: as in the host, by default.
enum { MAX_TIMERS_AT_ONCE = 1000 };

typedef struct timer {
    const char *key;
    const char *name;
    int64_t due;
} timer;

typedef struct state {
    const char *key;
    carpe_text json;
} state;

struct carpe_test {
    // All that the test gives lives as long as it does.
    arena arena;
    const void *configuration;
    int64_t now;
    VECTOR(timer) timers;
    VECTOR(state) states;
};

typedef struct gathered {
    VECTOR(carpe_test_moment) moments;
    VECTOR(const char *) failures;
    carpe_text kinds;
    carpe_text actions;
} gathered;

void carpe_test_fail(const char *file, int line, const char *format, ...) {
    fprintf(stderr, "%s%s", file, file[0] == 0 ? "" : ":");
    if (line > 0) fprintf(stderr, "%d: ", line);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void carpe_test_check_text(const char *file, int line, const char *text, const char *expected) {
    if (text == expected) return;
    if (text != NULL && expected != NULL && strcmp(text, expected) == 0) return;
    carpe_test_fail(file, line, "expected `%s`, found `%s`", expected == NULL ? "(null)" : expected,
                    text == NULL ? "(null)" : text);
}

carpe_test *carpe_test_new(const char *configuration) {
    carpe_test *test = calloc(1, sizeof *test);
    if (test == NULL) carpe_test_fail("", 0, "there is no memory for a test");
    carpe_text problem = {"", 0};
    test->now = CARPE_TEST_START;
    test->configuration = configure(&carpe_exported_rule, &test->arena, text_of(configuration), &problem);
    if (test->configuration == NULL) carpe_test_fail("", 0, "the rule refuses its configuration: %s", problem.bytes);
    return test;
}

char *carpe_test_refusal(const char *configuration) {
    arena arena = {NULL, NULL, NULL};
    carpe_text problem = {"", 0};
    char *refusal = NULL;
    if (configure(&carpe_exported_rule, &arena, text_of(configuration), &problem) == NULL) {
        refusal = malloc(problem.length + 1);
        if (refusal != NULL) memcpy(refusal, problem.bytes, problem.length + 1);
    }
    arena_free(&arena);
    return refusal;
}

void carpe_test_free(carpe_test *test) {
    arena_free(&test->arena);
    free(test);
}

static const char *string(carpe_test *test, carpe_text text) {
    return copy_text(&test->arena, text).bytes;
}

static void join(carpe_test *test, carpe_text *all, const char *word) {
    *all = format_into(&test->arena, "%s%s%s", all->bytes, all->length == 0 ? "" : " ", word);
}

static bool names_it(const char *const *names, const char *name) {
    for (; names != NULL && *names != NULL; names++) {
        if (strcmp(*names, name) == 0) return true;
    }
    return false;
}

static size_t timer_place(const carpe_test *test, const char *key, const char *name) {
    size_t place = 0;
    while (place < test->timers.length
           && (strcmp(test->timers.items[place].key, key) != 0 || strcmp(test->timers.items[place].name, name) != 0))
        place++;
    return place;
}

static void remove_timer(carpe_test *test, size_t place) {
    if (place < test->timers.length) test->timers.items[place] = test->timers.items[--test->timers.length];
}

static state *state_of(const carpe_test *test, const char *key) {
    for (size_t place = 0; place < test->states.length; place++) {
        if (strcmp(test->states.items[place].key, key) == 0) return &test->states.items[place];
    }
    return NULL;
}

static void set_state(carpe_test *test, const char *key, option_text json) {
    state *found = state_of(test, key);
    if (found != NULL) *found = test->states.items[--test->states.length];
    if (json.is) *PUSH(&test->arena, &test->states) = (state){key, copy_text(&test->arena, json.text)};
}

static void set_timer(carpe_test *test, const char *key, const wit_timer_change *change, const wit_input *input) {
    const char *name = string(test, change->name);
    remove_timer(test, timer_place(test, key, name));
    if (!change->at.is) return;
    int64_t due = (int64_t)change->at.instant;
    // One set by a timer is due at least 1 ms after that one.
    int64_t first = (int64_t)input->time + 1;
    if (input->payload.kind == PAYLOAD_TIMER && due < first) due = first;
    *PUSH(&test->arena, &test->timers) = (timer){key, name, due};
}

static void add_moment(carpe_test *test, gathered *gathered, const char *key, const wit_moment *of, int64_t time) {
    carpe_test_moment moment = {
        .key = key,
        .kind = string(test, of->kind),
        .why = string(test, of->why),
        .subject = of->subject.is ? string(test, of->subject.text) : NULL,
        .data = of->data.is ? string(test, of->data.text) : NULL,
        .time = time,
        .expires = of->expires.is ? (int64_t)of->expires.instant : -1,
        .action_count = of->actions.length,
    };
    if (!names_it(carpe_exported_rule.moments, moment.kind))
        carpe_test_fail("", 0, "the rule does not name the moment `%s`: add it to `moments`", moment.kind);
    carpe_test_action *actions = arena_zeros(&test->arena, (moment.action_count + 1) * sizeof *actions);
    for (size_t place = 0; place < moment.action_count; place++) {
        const wit_action *action = &of->actions.items[place];
        actions[place] = (carpe_test_action){
            .key = key,
            .name = string(test, action->name),
            .reference = action->reference.is ? string(test, action->reference.text) : NULL,
            .data = string(test, action->data),
        };
        if (!names_it(carpe_exported_rule.actions, actions[place].name))
            carpe_test_fail("", 0, "the rule does not name the action `%s`: add it to `actions`", actions[place].name);
        join(test, &gathered->actions, actions[place].name);
    }
    moment.actions = actions;
    join(test, &gathered->kinds, moment.kind);
    *PUSH(&test->arena, &gathered->moments) = moment;
}

static void give(carpe_test *test, gathered *gathered, const char *key, int64_t time, wit_payload payload) {
    arena call = {NULL, NULL, NULL};
    state *before = state_of(test, key);
    wit_keyed keyed = {text_of(key), {before != NULL, before == NULL ? (carpe_text){"", 0} : before->json}};
    wit_input input = {0, (uint64_t)time, (uint64_t)test->now, payload};
    wit_batch batch = {{&keyed, 1}, {&input, 1}};
    wit_effects effects;
    carpe_text problem = {"", 0};
    if (!run_batch(&carpe_exported_rule, test->configuration, &call, &batch, &effects, &problem)) {
        // Alone in its batch: set aside.
        *PUSH(&test->arena, &gathered->failures) = string(test, problem);
        arena_free(&call);
        return;
    }
    for (size_t place = 0; place < effects.states.length; place++)
        set_state(test, key, effects.states.items[place].state);
    for (size_t place = 0; place < effects.timers.length; place++)
        set_timer(test, key, &effects.timers.items[place], &input);
    for (size_t place = 0; place < effects.moments.length; place++)
        add_moment(test, gathered, key, &effects.moments.items[place], time);
    for (size_t place = 0; place < effects.failures.length; place++)
        *PUSH(&test->arena, &gathered->failures) = string(test, effects.failures.items[place].message);
    arena_free(&call);
}

// The timer that comes first, by instant, then by name; NULL if none is due.
static const timer *first_due(const carpe_test *test, int64_t until) {
    const timer *first = NULL;
    for (size_t place = 0; place < test->timers.length; place++) {
        const timer *one = &test->timers.items[place];
        if (one->due > until) continue;
        int order = first == NULL ? -1 : strcmp(one->name, first->name);
        if (first == NULL || one->due < first->due
            || (one->due == first->due && (order < 0 || (order == 0 && strcmp(one->key, first->key) < 0))))
            first = one;
    }
    return first;
}

static void fire_due(carpe_test *test, gathered *gathered, int64_t until) {
    size_t fired = 0;
    for (const timer *due; (due = first_due(test, until)) != NULL;) {
        timer now = *due;
        remove_timer(test, (size_t)(due - test->timers.items));
        if (++fired > MAX_TIMERS_AT_ONCE)
            carpe_test_fail("", 0,
                            "more than %d timers came due at once, at last `%s` of key `%s`: to repeat, count from "
                            "`now`, not from the timer's time",
                            MAX_TIMERS_AT_ONCE, now.name, now.key);
        wit_payload payload = {.kind = PAYLOAD_TIMER, .is.timer = text_of(now.name)};
        give(test, gathered, now.key, now.due, payload);
    }
}

static carpe_happened result(const gathered *gathered) {
    return (carpe_happened){gathered->moments.items,
                            gathered->moments.length,
                            gathered->failures.items,
                            gathered->failures.length,
                            gathered->kinds.bytes,
                            gathered->actions.bytes};
}

#define GATHERED {.kinds = {"", 0}, .actions = {"", 0}}

static const char *attribute(const carpe_test_event *event, const char *name) {
    if (strcmp(name, "type") == 0) return event->type;
    if (strcmp(name, "subject") == 0) return event->subject;
    size_t count = sizeof event->attributes / sizeof event->attributes[0];
    for (size_t place = 0; place + 1 < count && event->attributes[place] != NULL; place += 2) {
        if (strcmp(event->attributes[place], name) == 0) return event->attributes[place + 1];
    }
    return NULL;
}

static bool takes(const carpe_subscription *subscription, const char *type) {
    size_t length = strlen(subscription->event_type);
    if (length > 0 && subscription->event_type[length - 1] == '*')
        return strncmp(subscription->event_type, type, length - 1) == 0;
    return strcmp(subscription->event_type, type) == 0;
}

// The event's key, or a null pointer.
static const char *key_of(carpe_test *test, const carpe_subscription *subscription, const carpe_test_event *event) {
    if (subscription->keyed_by_nothing) return "";
    if (subscription->keyed_by_data == NULL)
        return attribute(event, subscription->keyed_by == NULL ? "subject" : subscription->keyed_by);
    if (event->data == NULL) return NULL;
    carpe_text problem, text;
    int64_t integer;
    const carpe_value *value = carpe_value_at(parse_json(&test->arena, text_of(event->data), &problem),
                                              subscription->keyed_by_data);
    if (carpe_value_text(value, &text)) return text.bytes;
    if (carpe_value_integer(value, &integer)) return format_into(&test->arena, "%lld", (long long)integer).bytes;
    return NULL;
}

static wit_payload event_payload(carpe_test *test, const carpe_test_event *event, uint32_t place) {
    const char *const *names = carpe_exported_rule.subscriptions[place].attributes;
    size_t count = 0;
    while (names != NULL && names[count] != NULL) count++;
    option_text *values = arena_zeros(&test->arena, (count + 1) * sizeof *values);
    for (size_t at = 0; at < count; at++) {
        const char *value = attribute(event, names[at]);
        values[at] = (option_text){value != NULL, text_of(value)};
    }
    wit_payload payload = {.kind = PAYLOAD_EVENT, .is.event = {.subscription = place}};
    payload.is.event.attributes.items = values;
    payload.is.event.attributes.length = count;
    if (event->data != NULL) payload.is.event.data = (wit_data){DATA_JSON, text_of(event->data)};
    if (event->bytes.bytes != NULL) payload.is.event.data = (wit_data){DATA_BINARY, event->bytes};
    return payload;
}

carpe_happened carpe_test_send(carpe_test *test, carpe_test_event event) {
    gathered gathered = GATHERED;
    int64_t time = event.time == 0 ? test->now : event.time;
    if (event.type == NULL) carpe_test_fail("", 0, "an event needs a type");
    if (time < 0 || time >= INSTANT_LIMIT)
        carpe_test_fail("", 0, "the host refuses an event of time %lld: it is not below 2^53", (long long)time);
    if (time > test->now) test->now = time;
    fire_due(test, &gathered, test->now);
    bool given = false;
    const carpe_subscription *subscriptions = carpe_exported_rule.subscriptions;
    for (uint32_t place = 0; subscriptions != NULL && subscriptions[place].event_type != NULL; place++) {
        if (!takes(&subscriptions[place], event.type)) continue;
        const char *key = key_of(test, &subscriptions[place], &event);
        if (key == NULL) continue;
        given = true;
        give(test, &gathered, string(test, text_of(key)), time, event_payload(test, &event, place));
    }
    if (!given)
        carpe_test_fail("", 0, "no subscription takes an event of type `%s`, or it has not the key that it names",
                        event.type);
    fire_due(test, &gathered, test->now);
    return result(&gathered);
}

carpe_happened carpe_test_advance(carpe_test *test, int64_t milliseconds) {
    gathered gathered = GATHERED;
    int64_t instant = milliseconds < INSTANT_LIMIT - test->now ? test->now + milliseconds : INSTANT_LIMIT - 1;
    // The idle host appends a tick at each of these instants.
    for (const timer *due; (due = first_due(test, instant)) != NULL;) {
        if (due->due > test->now) test->now = due->due;
        fire_due(test, &gathered, test->now);
    }
    if (instant > test->now) test->now = instant;
    return result(&gathered);
}

carpe_happened carpe_test_answer(carpe_test *test, carpe_test_action action, carpe_status status, const char *answer,
                                 const char *detail) {
    gathered gathered = GATHERED;
    if (action.reference == NULL)
        carpe_test_fail("", 0, "the action `%s` has no reference: the rule is not told what became of it", action.name);
    wit_payload payload = {.kind = PAYLOAD_OUTCOME};
    payload.is.outcome = (wit_outcome){
        .action = text_of(action.name),
        .reference = text_of(action.reference),
        .status = (uint8_t)status,
        .answer = {answer == NULL ? DATA_ABSENT : DATA_JSON, text_of(answer)},
        .detail = text_of(detail),
    };
    fire_due(test, &gathered, test->now);
    give(test, &gathered, string(test, text_of(action.key)), test->now, payload);
    fire_due(test, &gathered, test->now);
    return result(&gathered);
}

carpe_instant carpe_test_now(const carpe_test *test) {
    return test->now;
}

const char *carpe_test_state(const carpe_test *test, const char *key) {
    const state *found = state_of(test, key);
    return found == NULL ? NULL : found->json.bytes;
}

carpe_instant carpe_test_timer(const carpe_test *test, const char *key, const char *name) {
    size_t place = timer_place(test, key, name);
    return place < test->timers.length ? test->timers.items[place].due : -1;
}

const char *carpe_test_migrate(carpe_test *test, const char *key, uint32_t from_version, const char *before) {
    option_text after;
    carpe_text problem = {"", 0};
    if (!run_migration(&carpe_exported_rule, test->configuration, &test->arena, from_version, text_of(key),
                       text_of(before), &after, &problem))
        return problem.bytes;
    set_state(test, string(test, text_of(key)), after);
    return NULL;
}
