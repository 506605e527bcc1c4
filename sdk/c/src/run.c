// Runs a rule over a batch: the same code under the host and in a native test.
#include <string.h>

#include "internal.h"

// A key of the batch. Its state is read when the first of its inputs is handled, and written once, at the end.
typedef struct key {
    const wit_keyed *keyed;
    void *state;
} key;

typedef struct run {
    const carpe_rule *rule;
    const void *configuration;
    carpe_output out;
    size_t subscriptions;
} run;

static const carpe_type nothing = {0, NULL, 0};

static const carpe_type *state_type(const carpe_rule *rule) {
    return rule->state == NULL ? &nothing : rule->state;
}

// A struct of a type, with its initial value.
static void *initial(arena *arena, const carpe_type *type, const void *value) {
    void *made = arena_zeros(arena, type->size + 1);
    if (value != NULL) memcpy(made, value, type->size);
    return made;
}

const void *configure(const carpe_rule *rule, arena *arena, carpe_text json, carpe_text *problem) {
    const carpe_type *type = rule->configuration == NULL ? &nothing : rule->configuration;
    void *configuration = initial(arena, type, rule->default_configuration);
    reading reading = {.arena = arena, .refuses_unknown = true, .requires = true};
    const yyjson_val *value = parse_json(arena, json, &reading.problem);
    if (value == NULL || !read_type(&reading, type, value, configuration, "")) {
        *problem = valid_text(arena, format_into(arena, "configuration: %s", reading.problem.bytes));
        return NULL;
    }
    if (rule->check == NULL) return configuration;
    carpe_output out;
    output_begin(&out, arena);
    if (rule->check(configuration, &out) && !out.failed) return configuration;
    const char *message = out.failed ? out.message.bytes : "the rule refuses it, and does not say why";
    *problem = valid_text(arena, format_into(arena, "configuration: %s", message));
    return NULL;
}

static bool read_state(run *run, const wit_keyed *keyed, void *state) {
    if (!keyed->state.is) return true;
    reading reading = {.arena = run->out.arena};
    const yyjson_val *value = parse_json(run->out.arena, keyed->state.text, &reading.problem);
    if (value != NULL && read_type(&reading, state_type(run->rule), value, state, "")) return true;
    return carpe_fail(&run->out,
                      "the state of key `%s` cannot be read: %s (if its format changed, let `state_version` grow and "
                      "migrate it)",
                      keyed->name.bytes, reading.problem.bytes);
}

static bool give(run *run, const wit_keyed *keyed, const wit_input *input, void *state) {
    const carpe_rule *rule = run->rule;
    carpe_output *out = &run->out;
    carpe_instant time = (carpe_instant)input->time, now = (carpe_instant)input->now;
    if (input->payload.kind == PAYLOAD_EVENT) {
        const wit_event *given = &input->payload.is.event;
        if (given->subscription >= run->subscriptions)
            return carpe_fail(out, "the rule has no subscription %u", given->subscription);
        struct carpe_payload payload = {.out = out, .event = given,
                                        .subscription = &rule->subscriptions[given->subscription]};
        carpe_event event = {keyed->name, time, now, given->subscription, &payload};
        return rule->on_event == NULL || rule->on_event(run->configuration, &event, state, out);
    }
    if (input->payload.kind == PAYLOAD_TIMER) {
        carpe_timer timer = {keyed->name, time, now, input->payload.is.timer};
        return rule->on_timer == NULL || rule->on_timer(run->configuration, &timer, state, out);
    }
    const wit_outcome *given = &input->payload.is.outcome;
    carpe_outcome outcome = {keyed->name,      time, now, given->action, given->reference, (carpe_status)given->status,
                             given->detail, NULL};
    carpe_text problem;
    if (given->answer.kind == DATA_JSON) outcome.answer = parse_json(out->arena, given->answer.bytes, &problem);
    return rule->on_outcome == NULL || rule->on_outcome(run->configuration, &outcome, state, out);
}

// The state counts only if the input succeeds: one that fails leaves it as it was.
static bool handle(run *run, key *key, const wit_input *input) {
    const carpe_type *type = state_type(run->rule);
    void *state = initial(run->out.arena, type, key->state == NULL ? run->rule->initial_state : key->state);
    if (key->state == NULL) {
        // If it fails, the next input reads it again.
        if (!read_state(run, key->keyed, state)) return false;
    } else {
        own_lists(run->out.arena, type, state);
    }
    if (!give(run, key->keyed, input, state)) {
        return carpe_fail(&run->out, "the rule's handler failed, and does not say why");
    }
    if (run->out.failed) return false;
    key->state = run->out.forgets ? initial(run->out.arena, type, run->rule->initial_state) : state;
    return true;
}

static bool write_state(const carpe_rule *rule, arena *arena, const void *state, carpe_text *text, carpe_text *problem) {
    carpe_output out;
    output_begin(&out, arena);
    yyjson_mut_doc *document = yyjson_mut_doc_new(&out.allocator);
    yyjson_mut_val *value = write_type(document, state_type(rule), state, problem, arena);
    if (value == NULL) return false;
    if (write_json(&out, document, value, text)) return true;
    *problem = out.message;
    return false;
}

// Writes the states that keys have at the end, where they are others than before.
static bool write_states(run *run, const key *keys, size_t count, wit_effects *effects, carpe_text *problem) {
    arena *arena = run->out.arena;
    carpe_text none;
    const void *fresh = initial(arena, state_type(run->rule), run->rule->initial_state);
    if (!write_state(run->rule, arena, fresh, &none, problem)) return false;
    effects->states.items = arena_take(arena, (count + 1) * sizeof *effects->states.items, 16);
    for (size_t place = 0; place < count; place++) {
        const key *key = &keys[place];
        if (key->state == NULL) continue;
        carpe_text after, wrong;
        if (!write_state(run->rule, arena, key->state, &after, &wrong)) {
            *problem = format_into(arena, "the state of key `%s` cannot be written: %s", key->keyed->name.bytes,
                                   wrong.bytes);
            return false;
        }
        option_text before = key->keyed->state;
        bool kept = !carpe_text_equals(after, none);
        if (kept ? before.is && carpe_text_equals(before.text, after) : !before.is) continue;
        wit_state_change change = {(uint32_t)place, {kept, kept ? after : (carpe_text){"", 0}}};
        effects->states.items[effects->states.length++] = change;
    }
    return true;
}

bool run_batch(const carpe_rule *rule, const void *configuration, arena *arena, const wit_batch *batch,
               wit_effects *effects, carpe_text *problem) {
    *effects = (wit_effects){.states = {NULL, 0}};
    run run = {.rule = rule, .configuration = configuration};
    while (rule->subscriptions != NULL && rule->subscriptions[run.subscriptions].event_type != NULL) run.subscriptions++;
    carpe_output *out = &run.out;
    output_begin(out, arena);
    key *keys = arena_zeros(arena, batch->keys.length * sizeof *keys);
    for (size_t place = 0; place < batch->keys.length; place++) keys[place].keyed = &batch->keys.items[place];
    for (size_t place = 0; place < batch->inputs.length; place++) {
        const wit_input *input = &batch->inputs.items[place];
        if (input->key >= batch->keys.length) {
            *problem = text_of("an input is about a key that the batch lacks");
            return false;
        }
        out->cause = (uint32_t)place;
        out->now = (int64_t)input->now;
        out->failed = out->forgets = false;
        out->timer_mark = out->timers.length;
        out->moment_mark = out->moments.length;
        if (handle(&run, &keys[input->key], input)) continue;
        out->timers.length = out->timer_mark;
        out->moments.length = out->moment_mark;
        *PUSH(arena, &out->failures) = (wit_failure){out->cause, valid_text(arena, out->message)};
    }
    if (!write_states(&run, keys, batch->keys.length, effects, problem)) return false;
    effects->timers.items = out->timers.items;
    effects->timers.length = out->timers.length;
    effects->failures.items = out->failures.items;
    effects->failures.length = out->failures.length;
    effects->moments.items = arena_take(arena, (out->moments.length + 1) * sizeof(wit_moment), 16);
    effects->moments.length = out->moments.length;
    for (size_t place = 0; place < out->moments.length; place++) {
        carpe_moment *moment = out->moments.items[place];
        moment->effect.actions.items = moment->actions.items;
        moment->effect.actions.length = moment->actions.length;
        effects->moments.items[place] = moment->effect;
    }
    return true;
}

bool run_migration(const carpe_rule *rule, const void *configuration, arena *arena, uint32_t from_version,
                   carpe_text key, carpe_text before, option_text *after, carpe_text *problem) {
    carpe_output out;
    output_begin(&out, arena);
    *after = (option_text){0, {"", 0}};
    const carpe_type *type = state_type(rule);
    void *state = initial(arena, type, rule->initial_state);
    const void *fresh = initial(arena, type, rule->initial_state);
    if (rule->migrate == NULL) {
        *problem = text_of("the rule has no `migrate`");
        return false;
    }
    if (!rule->migrate(configuration, from_version, key, before, state, &out) || out.failed) {
        *problem = out.failed ? out.message : text_of("the rule's `migrate` failed, and does not say why");
        *problem = valid_text(arena, *problem);
        return false;
    }
    carpe_text none;
    if (!write_state(rule, arena, fresh, &none, problem)) return false;
    if (!write_state(rule, arena, out.forgets ? fresh : state, &after->text, problem)) return false;
    after->is = !carpe_text_equals(after->text, none);
    return true;
}

static size_t names(const char *const *names, arena *arena, carpe_text **into) {
    size_t count = 0;
    while (names != NULL && names[count] != NULL) count++;
    *into = arena_take(arena, (count + 1) * sizeof **into, 16);
    for (size_t place = 0; place < count; place++) (*into)[place] = text_of(names[place]);
    return count;
}

void describe(const carpe_rule *rule, arena *arena, wit_description *description) {
    size_t count = 0;
    while (rule->subscriptions != NULL && rule->subscriptions[count].event_type != NULL) count++;
    wit_subscription *subscriptions = arena_zeros(arena, (count + 1) * sizeof *subscriptions);
    for (size_t place = 0; place < count; place++) {
        const carpe_subscription *from = &rule->subscriptions[place];
        wit_subscription *to = &subscriptions[place];
        to->event_type = text_of(from->event_type);
        to->filter = (option_text){from->filter != NULL, text_of(from->filter)};
        if (from->keyed_by_nothing) {
            to->keyed_by = KEYED_BY_NOTHING;
        } else if (from->keyed_by_data != NULL) {
            to->keyed_by = KEYED_BY_DATA;
            to->keyed_by_what = text_of(from->keyed_by_data);
        } else {
            to->keyed_by = KEYED_BY_ATTRIBUTE;
            to->keyed_by_what = text_of(from->keyed_by == NULL ? "subject" : from->keyed_by);
        }
        to->attributes.length = names(from->attributes, arena, &to->attributes.items);
    }
    description->settings = (option_text){rule->settings != NULL, text_of(rule->settings)};
    description->subscriptions.items = subscriptions;
    description->subscriptions.length = count;
    description->moments.length = names(rule->moments, arena, &description->moments.items);
    description->actions.length = names(rule->actions, arena, &description->actions.items);
    description->state_version = rule->state_version == 0 ? 1 : rule->state_version;
}
