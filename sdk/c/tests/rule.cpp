// A rule in C++, and its test.
#include <carpe_test.h>

struct Limits {
    int64_t most;
};
struct Count {
    uint32_t count;
};
CARPE_TYPE(limits, Limits, CARPE_REQUIRED(Limits, most));
CARPE_TYPE(count, Count, CARPE_FIELD(Count, count));

static bool on_event(const void *configuration, const carpe_event *, void *state, carpe_output *out) {
    auto *counted = static_cast<Count *>(state);
    counted->count++;
    if (counted->count > static_cast<const Limits *>(configuration)->most) carpe_occurred(out, "many", "more than enough");
    return true;
}

static const carpe_subscription subscriptions[] = {{.event_type = "one"}, {}};
static const char *const moments[] = {"many", nullptr};

const carpe_rule carpe_exported_rule = {
    .configuration = &limits,
    .state = &count,
    .subscriptions = subscriptions,
    .moments = moments,
    .on_event = on_event,
};

int main() {
    carpe_test *test = carpe_test_new("{\"most\": 1}");
    CARPE_CHECK_TEXT(carpe_test_send(test, {.type = "one", .subject = "a"}).kinds, "");
    CARPE_CHECK_TEXT(carpe_test_send(test, {.type = "one", .subject = "a"}).kinds, "many");
    carpe_test_free(test);
}
