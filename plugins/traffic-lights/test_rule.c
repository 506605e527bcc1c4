// Tests of the rule, natively.
#include <carpe_test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static carpe_happened position_at(carpe_test *test, carpe_instant time, const char *vehicle, const char *approach,
                                  double distance_m, double speed_kmh) {
    char data[200];
    snprintf(data, sizeof data, "{\"vehicle\":\"%s\",\"approach\":\"%s\",\"distance_m\":%g,\"speed_kmh\":%g}", vehicle,
             approach, distance_m, speed_kmh);
    return carpe_test_send(test, (carpe_test_event){"vehicle.approaching", "j-1", time, data, {NULL, 0}, {NULL}});
}

static carpe_happened position(carpe_test *test, const char *vehicle, const char *approach, double distance_m,
                               double speed_kmh) {
    return position_at(test, carpe_test_now(test), vehicle, approach, distance_m, speed_kmh);
}

static carpe_happened left_at(carpe_test *test, carpe_instant time, const char *vehicle) {
    char data[100];
    snprintf(data, sizeof data, "{\"vehicle\":\"%s\"}", vehicle);
    return carpe_test_send(test, (carpe_test_event){"vehicle.left", "j-1", time, data, {NULL, 0}, {NULL}});
}

static carpe_happened left(carpe_test *test, const char *vehicle) {
    return left_at(test, carpe_test_now(test), vehicle);
}

// The light turns as early as the distance and the speed say.
static void in_time(void) {
    carpe_test *test = carpe_test_new("{\"silence_seconds\": 60}");
    // 500 m at 60 km/h are 30 s: 10 s more than are needed.
    CARPE_CHECK_TEXT(position(test, "a", "north", 500, 60).kinds, "");
    CARPE_CHECK(carpe_test_timer(test, "j-1", "look") == CARPE_TEST_START + 10000);
    CARPE_CHECK_TEXT(carpe_test_advance(test, 9999).kinds, "");
    carpe_happened happened = carpe_test_advance(test, 1);
    CARPE_CHECK_TEXT(happened.actions, "light.hold");
    CARPE_CHECK_TEXT(happened.moments[0].why, "a comes from north, in 20 s");
    CARPE_CHECK_TEXT(happened.moments[0].subject, "a");
    CARPE_CHECK(happened.moments[0].expires == CARPE_TEST_START + 30000);
    CARPE_CHECK_TEXT(happened.moments[0].actions[0].data, "{\"junction\":\"j-1\",\"approach\":\"north\"}");
    // It goes on holding, and is given back once.
    CARPE_CHECK_TEXT(position_at(test, CARPE_TEST_START + 12000, "a", "north", 300, 60).kinds, "");
    CARPE_CHECK_TEXT(left(test, "a").actions, "light.release");
    CARPE_CHECK_TEXT(left(test, "a").actions, "");
    carpe_test_free(test);
}

static void one_that_stands_far_away_holds_up_nobody(void) {
    carpe_test *test = carpe_test_new("{}");
    CARPE_CHECK_TEXT(position(test, "a", "north", 400, 0).kinds, "");
    CARPE_CHECK_TEXT(position(test, "b", "north", 20, 0).kinds, "light.priority");
    carpe_test_free(test);
}

static void of_two_that_cross_the_first_goes_first(void) {
    carpe_test *test = carpe_test_new("{}");
    CARPE_CHECK_TEXT(position(test, "a", "north", 200, 60).kinds, "light.priority");
    carpe_happened happened = position(test, "b", "east", 100, 60);
    // It is nearer, but the light is not taken from one that was promised it.
    CARPE_CHECK_TEXT(happened.kinds, "vehicle.waits");
    CARPE_CHECK_TEXT(happened.moments[0].why, "b comes from east, but a from north goes first");
    CARPE_CHECK_TEXT(happened.moments[0].actions[0].data, "{\"vehicle\":\"b\",\"behind\":\"a\"}");
    CARPE_CHECK_TEXT(position(test, "c", "north", 150, 60).kinds, "");
    CARPE_CHECK_TEXT(left(test, "a").kinds, "");
    happened = left(test, "c");
    CARPE_CHECK_TEXT(happened.actions, "light.hold");
    CARPE_CHECK_TEXT(happened.moments[0].why, "b comes from east, in 6 s");
    CARPE_CHECK_TEXT(left(test, "b").actions, "light.release");
    carpe_test_free(test);
}

static void silence_gives_the_light_back(void) {
    carpe_test *test = carpe_test_new("{\"silence_seconds\": 5}");
    position(test, "a", "north", 100, 60);
    CARPE_CHECK_TEXT(carpe_test_advance(test, 4999).kinds, "");
    carpe_happened happened = carpe_test_advance(test, 1);
    CARPE_CHECK_TEXT(happened.actions, "light.release");
    CARPE_CHECK_TEXT(happened.moments[0].why, "a has not been heard of for 5 s");
    // All that is left is what the lights were asked; once they answer, nothing is.
    carpe_test_answer(test, happened.moments[0].actions[0], CARPE_DELIVERED, NULL, NULL);
    CARPE_CHECK_TEXT(carpe_test_state(test, "j-1"), NULL);
    CARPE_CHECK(carpe_test_timer(test, "j-1", "look") == -1);
    carpe_test_free(test);
}

static void a_light_that_refuses_is_asked_once_more(void) {
    carpe_test *test = carpe_test_new("{}");
    carpe_happened happened = position(test, "a", "north", 100, 60);
    carpe_test_action first = happened.moments[0].actions[0];
    carpe_test_advance(test, 500);
    happened = carpe_test_answer(test, first, CARPE_REJECTED, NULL, "out of order");
    CARPE_CHECK_TEXT(happened.actions, "light.hold");
    CARPE_CHECK_TEXT(happened.moments[0].why, "the light for a: rejected, so once more");
    // What became of the first request says nothing any more.
    CARPE_CHECK_TEXT(carpe_test_answer(test, first, CARPE_REJECTED, NULL, "").kinds, "");
    happened = carpe_test_answer(test, happened.moments[0].actions[0], CARPE_REJECTED, NULL, "out of order");
    CARPE_CHECK_TEXT(happened.kinds, "light.refused");
    CARPE_CHECK_TEXT(happened.actions, "notify.operations notify.driver");
    CARPE_CHECK_TEXT(happened.moments[0].why, "light.hold twice, at last rejected: out of order");
    happened = left(test, "a");
    CARPE_CHECK_TEXT(happened.actions, "light.release");
    carpe_test_advance(test, 500);
    happened = carpe_test_answer(test, happened.moments[0].actions[0], CARPE_GIVEN_UP, NULL, "");
    CARPE_CHECK_TEXT(happened.actions, "light.release");
    CARPE_CHECK_TEXT(happened.moments[0].actions[0].data, "{\"junction\":\"j-1\",\"approach\":\"north\"}");
    happened = carpe_test_answer(test, happened.moments[0].actions[0], CARPE_EXPIRED, NULL, "");
    CARPE_CHECK_TEXT(happened.actions, "notify.operations");
    carpe_test_advance(test, 20000);
    CARPE_CHECK_TEXT(carpe_test_state(test, "j-1"), NULL);
    carpe_test_free(test);
}

static void what_is_late_or_repeated_changes_nothing(void) {
    carpe_test *test = carpe_test_new("{}");
    carpe_instant begin = CARPE_TEST_START;
    position_at(test, begin + 1000, "a", "north", 100, 60);
    const char *before = carpe_test_state(test, "j-1");
    CARPE_CHECK_TEXT(position_at(test, begin + 1000, "a", "north", 100, 60).kinds, "");
    CARPE_CHECK_TEXT(position_at(test, begin + 500, "a", "west", 100, 60).kinds, "");
    CARPE_CHECK_TEXT(carpe_test_state(test, "j-1"), before);
    // It left; what it said before that does not bring it back.
    CARPE_CHECK_TEXT(left_at(test, begin + 3000, "a").actions, "light.release");
    CARPE_CHECK_TEXT(position_at(test, begin + 2000, "a", "north", 50, 60).kinds, "");
    // Nor does what is older than silence.
    carpe_test_advance(test, 60000);
    CARPE_CHECK_TEXT(position_at(test, begin + 2000, "b", "north", 50, 60).kinds, "");
    CARPE_CHECK_TEXT(left_at(test, begin + 2000, "unknown").kinds, "");
    // One that turns round comes anew.
    CARPE_CHECK_TEXT(position(test, "a", "south", 50, 60).kinds, "light.priority");
    CARPE_CHECK_TEXT(position_at(test, begin + 64000, "a", "east", 50, 60).moments[0].why, "a comes from east, in 3 s");
    carpe_test_free(test);
}

static void what_is_absurd_is_set_aside(void) {
    static const char *const cases[][2] = {
        {NULL, "the event has no data"},
        {"{\"vehicle\":\"a\",\"approach\":\"n\",\"distance_m\":-1,\"speed_kmh\":50}",
         "`distance_m` is -1: it must lie between 0 and 5000"},
        {"{\"vehicle\":\"a\",\"approach\":\"n\",\"distance_m\":1,\"speed_kmh\":1e9}",
         "`speed_kmh` is 1e+09: it must lie between 0 and 250"},
        {"{\"vehicle\":\"\",\"approach\":\"n\",\"distance_m\":1,\"speed_kmh\":50}", "`vehicle` is empty"},
        {"{\"vehicle\":\"a\",\"approach\":\"\",\"distance_m\":1,\"speed_kmh\":50}", "`approach` is empty"},
        {"{\"vehicle\":\"a\",\"approach\":\"n\",\"distance_m\":\"1\",\"speed_kmh\":50}",
         "the event's data: `distance_m` is \"1\", where a number should be"},
        {"{\"vehicle\":\"a\",\"approach\":\"n\",\"distance_m\":1}",
         "the event's data: `speed_kmh` is missing, where a number should be"},
    };
    carpe_test *test = carpe_test_new("{}");
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        carpe_test_event event = {"vehicle.approaching", "j-1", 0, cases[place][0], {NULL, 0}, {NULL}};
        carpe_happened happened = carpe_test_send(test, event);
        CARPE_CHECK(happened.failure_count == 1 && happened.moment_count == 0);
        CARPE_CHECK_TEXT(happened.failures[0], cases[place][1]);
    }
    char name[102];
    for (size_t length = 100; length <= 101; length++) {
        memset(name, 'a', length);
        name[length] = 0;
        CARPE_CHECK(position(test, name, "north", 4000, 60).failure_count == length - 100);
        CARPE_CHECK(position(test, "v-0", name, 4000, 60).failure_count == length - 100);
    }
    for (int number = 0; number < 32; number++) {
        snprintf(name, sizeof name, "v-%d", number);
        CARPE_CHECK(position(test, name, "north", 4000, 60).failure_count == (number == 31));
    }
    carpe_test_free(test);
}

static void a_wrong_configuration_is_refused(void) {
    static const char *const cases[] = {"{\"lead_seconds\": 0}", "{\"lead_seconds\": 301}", "{\"silence_seconds\": 0.5}"};
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        char *refusal = carpe_test_refusal(cases[place]);
        CARPE_CHECK(refusal != NULL && strstr(refusal, "_seconds` is ") != NULL);
        free(refusal);
    }
}

int main(void) {
    in_time();
    one_that_stands_far_away_holds_up_nobody();
    of_two_that_cross_the_first_goes_first();
    silence_gives_the_light_back();
    a_light_that_refuses_is_asked_once_more();
    what_is_late_or_repeated_changes_nothing();
    what_is_absurd_is_set_aside();
    a_wrong_configuration_is_refused();
    puts("traffic-lights: all tests pass");
}
