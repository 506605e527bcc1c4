// A machine was too hot three times in a row. See README.md.
#include <carpe.h>

// The operator's configuration.
struct configuration {
    double max_celsius;
};
CARPE_TYPE(configuration_type, struct configuration, CARPE_REQUIRED(struct configuration, max_celsius));

// What is remembered of a machine.
struct machine {
    uint32_t hot;
};
CARPE_TYPE(machine_type, struct machine, CARPE_FIELD(struct machine, hot));

static bool on_event(const void *configuration, const carpe_event *event, void *state, carpe_output *out) {
    const struct configuration *rule = configuration;
    struct machine *machine = state;
    double celsius;
    if (!carpe_event_number(event, "/celsius", &celsius)) return false;
    machine->hot = celsius > rule->max_celsius ? machine->hot + 1 : 0;
    if (machine->hot == 3) {
        carpe_json *data = carpe_object(out);
        carpe_put_text(data, "machine", event->key);
        carpe_moment *moment = carpe_occurred(out, "machine.overheating", "too hot three times in a row");
        carpe_moment_action(moment, "notify.service", NULL, data);
    }
    return true;
}

const carpe_rule carpe_exported_rule = {
    .configuration = &configuration_type,
    .state = &machine_type,
    .on_event = on_event,
    .subscriptions = CARPE_ON({.event_type = "machine.temperature"}),
    .moments = CARPE_NAMES("machine.overheating"),
    .actions = CARPE_NAMES("notify.service"),
};
