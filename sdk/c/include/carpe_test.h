/// Runs a rule natively, without WebAssembly, in an ordinary test program: link the rule's sources with `libcarpe.a`.
///
/// The rule's code runs as it does under the host; around it stands a small host with one thread, a timeline that only
/// the test moves, and no sinks: the test answers actions itself. Each input is a batch of its own, and each state is
/// written and read again in between. The host evaluates no filter: it gives every event whose type and key fit.
///
/// What is wrong with a test, or with what the rule returns (a moment that it does not name, for example), ends the
/// program with a message.
#ifndef CARPE_TEST_H
#define CARPE_TEST_H

#include "carpe.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Where the timeline begins: 2026-01-01T00:00:00Z.
#define CARPE_TEST_START ((carpe_instant)1767225600000)

/// A rule under test, with the states and timers of its keys.
typedef struct carpe_test carpe_test;

/// An event for a test. What is not there is a null pointer, or 0.
typedef struct carpe_test_event {
    const char *type;       ///< CloudEvents `type`.
    const char *subject;    ///< CloudEvents `subject`.
    carpe_instant time;     ///< When it happened; 0: where the timeline stands.
    const char *data;       ///< Its data as a JSON text, which need not be valid.
    carpe_text bytes;       ///< Its data, if it is not JSON.
    const char *attributes[16]; ///< More CloudEvents attributes: a name, its value, the next name, and so on.
} carpe_test_event;

/// An action that was emitted.
typedef struct carpe_test_action {
    const char *key;       ///< The moment's key.
    const char *name;      ///< Its name.
    const char *reference; ///< A null pointer, if no outcome is wanted.
    const char *data;      ///< JSON.
} carpe_test_action;

/// A moment that occurred.
typedef struct carpe_test_moment {
    const char *key;       ///< The key of the input that made it occur.
    const char *kind;      ///< Its kind.
    const char *why;       ///< Why, for people.
    const char *subject;   ///< Whom it concerns, if not the key; else a null pointer.
    const char *data;      ///< JSON, or a null pointer.
    carpe_instant time;    ///< The input's time.
    carpe_instant expires; ///< Until when its actions may be taken; -1: no such instant.
    const carpe_test_action *actions;
    size_t action_count;
} carpe_test_moment;

/// What came of what a test did, in order. It lives as long as the test.
typedef struct carpe_happened {
    const carpe_test_moment *moments;
    size_t moment_count;
    const char *const *failures; ///< Of inputs that were set aside: what the rule said is wrong.
    size_t failure_count;
    const char *kinds;   ///< The kinds of the moments, with a space between them.
    const char *actions; ///< The names of all moments' actions, with a space between them.
} carpe_happened;

/// Loads the rule with a configuration in JSON, which it must take.
carpe_test *carpe_test_new(const char *configuration);
/// What the operator is told is wrong with a configuration; a null pointer if nothing is. It is to be freed.
char *carpe_test_refusal(const char *configuration);
/// Frees the test, and all that it gave.
void carpe_test_free(carpe_test *test);

/// Gives the rule an event, once for each subscription that matches: after the timers due by then.
carpe_happened carpe_test_send(carpe_test *test, carpe_test_event event);
/// Moves the timeline on, and gives the rule what comes due, each timer at its instant.
carpe_happened carpe_test_advance(carpe_test *test, int64_t milliseconds);
/// Says what became of an action that has a reference. `answer` is JSON, or a null pointer.
carpe_happened carpe_test_answer(carpe_test *test, carpe_test_action action, carpe_status status, const char *answer,
                                 const char *detail);

/// Where the timeline stands.
carpe_instant carpe_test_now(const carpe_test *test);
/// The state of a key, as JSON; a null pointer if it has none.
const char *carpe_test_state(const carpe_test *test, const char *key);
/// When a timer of a key is due; -1 if it is not set.
carpe_instant carpe_test_timer(const carpe_test *test, const char *key, const char *name);
/// Makes a key's state one of an earlier version, by the rule's `migrate`. What is wrong, or a null pointer.
const char *carpe_test_migrate(carpe_test *test, const char *key, uint32_t from_version, const char *before);

/// Ends the program, with file and line, if something is not so.
#define CARPE_CHECK(condition)                                                                                         \
    ((condition) ? (void)0 : carpe_test_fail(__FILE__, __LINE__, "this is not so: %s", #condition))
/// Ends the program if two strings are not the same; a null pointer is the same as another one.
#define CARPE_CHECK_TEXT(text, expected) carpe_test_check_text(__FILE__, __LINE__, (text), (expected))

void carpe_test_check_text(const char *file, int line, const char *text, const char *expected);
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void carpe_test_fail(const char *file, int line, const char *format, ...) CARPE_FORMAT(3, 4);

#ifdef __cplusplus
}
#endif

#endif
