#include "internal.h"

void output_begin(carpe_output *out, arena *arena) {
    *out = (carpe_output){.arena = arena, .allocator = arena_allocator(arena)};
}

bool carpe_fail(carpe_output *out, const char *format, ...) {
    // What was said first is the cause of what followed.
    if (out->failed) return false;
    va_list arguments;
    va_start(arguments, format);
    out->failed = true;
    out->message = format_text(out->arena, format, arguments);
    va_end(arguments);
    return false;
}

// A text of the author's, which may have been on the stack.
static carpe_text own(carpe_output *out, const char *string) {
    return copy_text(out->arena, valid_text(out->arena, text_of(string)));
}

static option_instant instant_of(carpe_output *out, carpe_instant instant, const char *of) {
    if (instant < 0) {
        carpe_fail(out, "the instant of %s lies before 1970", of);
        instant = 0;
    }
    return (option_instant){1, (uint64_t)(instant < INSTANT_LIMIT ? instant : INSTANT_LIMIT - 1)};
}

static carpe_instant later(carpe_output *out, int64_t milliseconds) {
    if (milliseconds < -out->now) return -1;
    return milliseconds > INSTANT_LIMIT ? INSTANT_LIMIT - 1 : out->now + milliseconds;
}

carpe_moment *carpe_occurred(carpe_output *out, const char *kind, const char *why, ...) {
    carpe_moment *moment = arena_zeros(out->arena, sizeof *moment);
    moment->out = out;
    moment->effect.cause = out->cause;
    moment->effect.kind = own(out, kind);
    va_list arguments;
    va_start(arguments, why);
    moment->effect.why = valid_text(out->arena, format_text(out->arena, why, arguments));
    va_end(arguments);
    *PUSH(out->arena, &out->moments) = moment;
    return moment;
}

void carpe_moment_subject(carpe_moment *moment, const char *subject) {
    moment->effect.subject = (option_text){1, own(moment->out, subject)};
}

static carpe_text written(carpe_output *out, const carpe_json *json) {
    carpe_text text = {"{}", 2};
    if (json != NULL) write_json(out, json->document, json->value, &text);
    return text;
}

void carpe_moment_data(carpe_moment *moment, const carpe_json *data) {
    moment->effect.data = (option_text){1, written(moment->out, data)};
}

void carpe_moment_value(carpe_moment *moment, const carpe_value *data) {
    moment->effect.data = (option_text){1, written_value(moment->out, data)};
}

void carpe_moment_expires_at(carpe_moment *moment, carpe_instant instant) {
    moment->effect.expires = instant_of(moment->out, instant, "a moment's expiry");
}

void carpe_moment_expires_in(carpe_moment *moment, int64_t milliseconds) {
    carpe_moment_expires_at(moment, later(moment->out, milliseconds));
}

static void add_action(carpe_moment *moment, const char *name, const char *reference, carpe_text data) {
    wit_action *action = PUSH(moment->out->arena, &moment->actions);
    *action = (wit_action){.name = own(moment->out, name), .data = data};
    if (reference != NULL) action->reference = (option_text){1, own(moment->out, reference)};
}

void carpe_moment_action(carpe_moment *moment, const char *name, const char *reference, const carpe_json *data) {
    add_action(moment, name, reference, written(moment->out, data));
}

void carpe_moment_action_value(carpe_moment *moment, const char *name, const char *reference, const carpe_value *data) {
    add_action(moment, name, reference, written_value(moment->out, data));
}

void carpe_timer_at(carpe_output *out, const char *name, carpe_instant instant) {
    option_instant at = instant_of(out, instant, "a timer");
    *PUSH(out->arena, &out->timers) = (wit_timer_change){out->cause, own(out, name), at};
}

void carpe_timer_in(carpe_output *out, const char *name, int64_t milliseconds) {
    carpe_timer_at(out, name, later(out, milliseconds));
}

void carpe_timer_cancel(carpe_output *out, const char *name) {
    *PUSH(out->arena, &out->timers) = (wit_timer_change){out->cause, own(out, name), {0, 0}};
}

void carpe_forget(carpe_output *out) {
    out->forgets = true;
}
