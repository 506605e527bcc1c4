// A gauge has risen in three readings in a row, and stands high.
#include <carpe.h>

struct rising {
    int64_t above_cm;
};
CARPE_TYPE(rising_type, struct rising, CARPE_REQUIRED(struct rising, above_cm));

struct gauge {
    int64_t cm;
    uint32_t rises;
};
CARPE_TYPE(gauge_type, struct gauge, CARPE_FIELD(struct gauge, cm), CARPE_FIELD(struct gauge, rises));

static bool on_event(const void *configuration, const carpe_event *event, void *state, carpe_output *out) {
    const struct rising *rising = configuration;
    struct gauge *gauge = state;
    int64_t level, n;
    if (!carpe_event_integer(event, "/level", &level) || !carpe_event_integer(event, "/n", &n)) return false;
    gauge->rises = gauge->cm > 0 && level > gauge->cm ? gauge->rises + 1 : 0;
    gauge->cm = level;
    if (gauge->rises >= 3 && level > rising->above_cm) {
        carpe_json *data = carpe_object(out);
        carpe_put_text(data, "gauge", event->key);
        carpe_put_integer(data, "n", n);
        carpe_put_integer(data, "level", level);
        carpe_moment *moment = carpe_occurred(out, "flood.rising", "%lld cm, and rising", (long long)level);
        carpe_moment_action(moment, "alert", NULL, data);
    }
    return true;
}

const carpe_rule carpe_exported_rule = {
    .configuration = &rising_type,
    .state = &gauge_type,
    .on_event = on_event,
    .subscriptions = CARPE_ON({.event_type = "gauge.level"}),
    .moments = CARPE_NAMES("flood.rising"),
    .actions = CARPE_NAMES("alert"),
};
