// A vehicle with priority finds a green light, and gives way back when it has passed. See README.md.
#include <carpe.h>

// Who stands is taken to walk on: who is near keeps the light, who is far does not hold it up.
#define SLOWEST_KMH 5.0
#define FASTEST_KMH 250.0
#define FARTHEST_M 5000.0
enum { MAX_VEHICLES = 32, MAX_NAME = 100 };

// For how long a request to give way back may be under way.
#define RELEASE_MS 60000

struct settings {
    double lead_seconds;
    double silence_seconds;
};
CARPE_TYPE(settings_type, struct settings, CARPE_FIELD(struct settings, lead_seconds),
           CARPE_FIELD(struct settings, silence_seconds));

struct vehicle {
    carpe_text name;
    carpe_text approach;
    int64_t arrives; // By what it said last.
    int64_t seen;    // The time of what it said last: what is older says nothing.
    int64_t heard;   // Where the timeline stood then: silence goes by it.
    bool waits;      // It was said that another one goes first.
    bool gone;       // Kept for a while, so that a late position does not bring it back.
};
CARPE_TYPE(vehicle_type, struct vehicle, CARPE_FIELD(struct vehicle, name), CARPE_FIELD(struct vehicle, approach),
           CARPE_FIELD(struct vehicle, arrives), CARPE_FIELD(struct vehicle, seen), CARPE_FIELD(struct vehicle, heard),
           CARPE_FIELD(struct vehicle, waits), CARPE_FIELD(struct vehicle, gone));

struct junction {
    carpe_text green;   // The approach that has the light; empty: the lights are their own.
    carpe_text request; // The reference of what the lights were last asked; empty once it is answered.
    carpe_text asked;   // The approach that it is about.
    uint32_t tries;     // How often the lights were asked for that.
    CARPE_LIST_OF(struct vehicle) vehicles;
};
CARPE_TYPE(junction_type, struct junction, CARPE_FIELD(struct junction, green), CARPE_FIELD(struct junction, request),
           CARPE_FIELD(struct junction, asked), CARPE_FIELD(struct junction, tries),
           CARPE_FIELD_LIST(struct junction, vehicles, vehicle_type));

// A position, as an event says it.
struct position {
    carpe_text vehicle;
    carpe_text approach;
    double distance_m;
    double speed_kmh;
};
CARPE_TYPE(position_type, struct position, CARPE_REQUIRED(struct position, vehicle),
           CARPE_REQUIRED(struct position, approach), CARPE_REQUIRED(struct position, distance_m),
           CARPE_REQUIRED(struct position, speed_kmh));

// What all of a decision needs.
struct call {
    const struct settings *settings;
    struct junction *junction;
    carpe_text key;
    int64_t now;
    carpe_output *out;
};

static int64_t milliseconds(double seconds) {
    return (int64_t)(seconds * 1000);
}

static long long seconds_until(const struct call *call, int64_t instant) {
    return instant > call->now ? (instant - call->now + 500) / 1000 : 0;
}

static bool is_near(const struct call *call, const struct vehicle *vehicle) {
    return vehicle->arrives - milliseconds(call->settings->lead_seconds) <= call->now;
}

static struct vehicle *find(struct junction *junction, carpe_text name) {
    for (size_t place = 0; place < junction->vehicles.length; place++) {
        if (carpe_text_equals(junction->vehicles.items[place].name, name)) return &junction->vehicles.items[place];
    }
    return NULL;
}

// Who arrives first of those on an approach, or, if that is empty, of all; who was heard of first decides between equals.
static struct vehicle *first(struct junction *junction, carpe_text approach) {
    struct vehicle *first = NULL;
    for (size_t place = 0; place < junction->vehicles.length; place++) {
        struct vehicle *one = &junction->vehicles.items[place];
        if (one->gone || (approach.length > 0 && !carpe_text_equals(one->approach, approach))) continue;
        if (first == NULL || one->arrives < first->arrives) first = one;
    }
    return first;
}

static void ask(struct call *call, carpe_moment *moment, const char *action, carpe_text approach, int64_t expires) {
    carpe_json *data = carpe_object(call->out);
    carpe_put_text(data, "junction", call->key);
    carpe_put_text(data, "approach", approach);
    carpe_text reference = carpe_format(call->out, "%s %s %lld", action, approach.bytes, (long long)call->now);
    carpe_moment_expires_at(moment, expires);
    carpe_moment_action(moment, action, reference.bytes, data);
    call->junction->request = reference;
    call->junction->asked = approach;
    call->junction->tries++;
}

static void hold(struct call *call, const struct vehicle *vehicle, carpe_moment *moment) {
    int64_t lead = milliseconds(call->settings->lead_seconds);
    // Later than it arrives, nobody needs the light to change; but one that is there already does.
    ask(call, moment, "light.hold", vehicle->approach, call->now + lead);
}

// Another vehicle goes first: that is said once.
static void say_who_waits(struct call *call) {
    struct junction *junction = call->junction;
    for (size_t place = 0; place < junction->vehicles.length; place++) {
        struct vehicle *one = &junction->vehicles.items[place];
        if (one->gone || one->waits || !is_near(call, one) || carpe_text_equals(one->approach, junction->green)) continue;
        const struct vehicle *before = first(junction, junction->green);
        one->waits = true;
        carpe_moment *moment =
            carpe_occurred(call->out, "vehicle.waits", "%s comes from %s, but %s from %s goes first", one->name.bytes,
                           one->approach.bytes, before->name.bytes, before->approach.bytes);
        carpe_moment_subject(moment, one->name.bytes);
        carpe_moment_expires_at(moment, call->now + milliseconds(call->settings->lead_seconds));
        carpe_json *data = carpe_object(call->out);
        carpe_put_text(data, "vehicle", one->name);
        carpe_put_text(data, "behind", before->name);
        carpe_moment_action(moment, "notify.driver", NULL, data);
    }
}

// When something changes by itself: somebody is near enough, or was silent for too long.
static void set_timer(struct call *call) {
    struct junction *junction = call->junction;
    int64_t next = INT64_MAX;
    for (size_t place = 0; place < junction->vehicles.length; place++) {
        const struct vehicle *one = &junction->vehicles.items[place];
        int64_t silent = one->heard + milliseconds(call->settings->silence_seconds);
        int64_t near = one->arrives - milliseconds(call->settings->lead_seconds);
        if (silent < next) next = silent;
        if (!one->gone && near > call->now && near < next) next = near;
    }
    if (next == INT64_MAX) {
        carpe_timer_cancel(call->out, "look");
    } else {
        carpe_timer_at(call->out, "look", next);
    }
}

// Gives the light to whom it is due. `why` says what ended, if somebody no longer needs it.
static void decide(struct call *call, const char *why) {
    struct junction *junction = call->junction;
    bool was_green = junction->green.length > 0;
    // Who has the light keeps it until nobody comes that way, or two would take it from each other in turn.
    if (was_green && first(junction, junction->green) != NULL) {
        say_who_waits(call);
        set_timer(call);
        return;
    }
    carpe_text before = junction->green;
    junction->green = (carpe_text){"", 0};
    struct vehicle *next = first(junction, junction->green);
    if (next != NULL && is_near(call, next)) {
        junction->green = next->approach;
        junction->tries = 0;
        carpe_moment *moment = carpe_occurred(call->out, "light.priority", "%s comes from %s, in %lld s", next->name.bytes,
                                              next->approach.bytes, seconds_until(call, next->arrives));
        carpe_moment_subject(moment, next->name.bytes);
        hold(call, next, moment);
        for (size_t place = 0; place < junction->vehicles.length; place++) {
            struct vehicle *one = &junction->vehicles.items[place];
            if (carpe_text_equals(one->approach, junction->green)) one->waits = false;
        }
        say_who_waits(call);
    } else if (was_green) {
        junction->tries = 0;
        carpe_moment *moment = carpe_occurred(call->out, "light.normal", "%s", why);
        ask(call, moment, "light.release", before, call->now + RELEASE_MS);
    }
    set_timer(call);
}

static bool approaches(struct call *call, const carpe_event *event) {
    struct position said = {.distance_m = 0};
    carpe_output *out = call->out;
    if (!carpe_event_read(event, "", &position_type, &said)) return false;
    if (said.vehicle.length == 0) return carpe_fail(out, "`vehicle` is empty");
    if (said.approach.length == 0) return carpe_fail(out, "`approach` is empty");
    // They are kept, and of each junction many.
    if (said.vehicle.length > MAX_NAME || said.approach.length > MAX_NAME)
        return carpe_fail(out, "`vehicle` and `approach` may have %d bytes each, and no more", MAX_NAME);
    if (!(said.distance_m >= 0 && said.distance_m <= FARTHEST_M))
        return carpe_fail(out, "`distance_m` is %g: it must lie between 0 and %g", said.distance_m, FARTHEST_M);
    if (!(said.speed_kmh >= 0 && said.speed_kmh <= FASTEST_KMH))
        return carpe_fail(out, "`speed_kmh` is %g: it must lie between 0 and %g", said.speed_kmh, FASTEST_KMH);
    int64_t silence = milliseconds(call->settings->silence_seconds);
    if (event->time > event->now + silence) return carpe_fail(out, "the position is of a time that is still to come");
    // Where it was so long ago says nothing of where it is.
    if (event->time + silence <= event->now) return true;
    struct vehicle *vehicle = find(call->junction, said.vehicle);
    if (vehicle != NULL && event->time <= vehicle->seen) return true;
    if (vehicle == NULL) {
        if (call->junction->vehicles.length >= MAX_VEHICLES)
            return carpe_fail(out, "%d vehicles are at the junction already", MAX_VEHICLES);
        vehicle = CARPE_APPEND(out, &call->junction->vehicles);
        vehicle->name = said.vehicle;
    }
    double speed_kmh = said.speed_kmh > SLOWEST_KMH ? said.speed_kmh : SLOWEST_KMH;
    vehicle->approach = said.approach;
    vehicle->arrives = event->time + milliseconds(said.distance_m * 3.6 / speed_kmh);
    vehicle->seen = event->time;
    vehicle->heard = event->now;
    vehicle->gone = false;
    decide(call, carpe_format(out, "%s comes another way", said.vehicle.bytes).bytes);
    return true;
}

static bool leaves(struct call *call, const carpe_event *event) {
    carpe_text name;
    if (!carpe_event_text(event, "/vehicle", &name)) return false;
    struct vehicle *vehicle = find(call->junction, name);
    // Nobody knows of one that was lost, or never came.
    if (vehicle == NULL || vehicle->gone || event->time < vehicle->seen) return true;
    vehicle->gone = true;
    vehicle->seen = event->time;
    vehicle->heard = event->now;
    decide(call, carpe_format(call->out, "%s has passed or turned off", name.bytes).bytes);
    return true;
}

static bool on_event(const void *configuration, const carpe_event *event, void *state, carpe_output *out) {
    struct call call = {configuration, state, event->key, event->now, out};
    return event->subscription == 0 ? approaches(&call, event) : leaves(&call, event);
}

static bool on_timer(const void *configuration, const carpe_timer *timer, void *state, carpe_output *out) {
    struct call call = {configuration, state, timer->key, timer->now, out};
    struct junction *junction = state;
    carpe_text lost = {"", 0};
    for (size_t place = junction->vehicles.length; place-- > 0;) {
        const struct vehicle *one = &junction->vehicles.items[place];
        if (one->heard + milliseconds(call.settings->silence_seconds) > timer->now) continue;
        if (!one->gone) lost = one->name;
        CARPE_REMOVE(&junction->vehicles, place);
    }
    decide(&call, carpe_format(out, "%s has not been heard of for %g s", lost.bytes, call.settings->silence_seconds).bytes);
    return true;
}

// The lights refused, or could not be reached: they are asked once more, and then people have to know.
static bool on_outcome(const void *configuration, const carpe_outcome *outcome, void *state, carpe_output *out) {
    struct call call = {configuration, state, outcome->key, outcome->now, out};
    struct junction *junction = state;
    // Of a request that a later one replaced.
    if (!carpe_text_equals(outcome->reference, junction->request)) return true;
    junction->request = (carpe_text){"", 0};
    carpe_text asked = junction->asked;
    uint32_t tries = junction->tries;
    junction->asked = (carpe_text){"", 0};
    bool to_hold = carpe_text_is(outcome->action, "light.hold");
    const char *status = carpe_status_name(outcome->status);
    if (outcome->status == CARPE_DELIVERED) {
        junction->tries = 0;
        return true;
    }
    const struct vehicle *vehicle = to_hold ? first(junction, junction->green) : NULL;
    // `to_hold` without a vehicle cannot be: the light would have been given back, by another request.
    if (tries < 2 && to_hold && vehicle != NULL) {
        carpe_moment *moment =
            carpe_occurred(out, "light.priority", "the light for %s: %s, so once more", vehicle->name.bytes, status);
        carpe_moment_subject(moment, vehicle->name.bytes);
        hold(&call, vehicle, moment);
    } else if (tries < 2 && !to_hold) {
        ask(&call, carpe_occurred(out, "light.normal", "way given back: %s, so once more", status), "light.release",
            asked, call.now + RELEASE_MS);
    } else {
        junction->tries = 0;
        carpe_moment *moment = carpe_occurred(out, "light.refused", "%s twice, at last %s%s%s", outcome->action.bytes,
                                              status, outcome->detail.length > 0 ? ": " : "", outcome->detail.bytes);
        carpe_json *data = carpe_object(out);
        carpe_put_text(data, "junction", outcome->key);
        carpe_put_text(data, "asked", outcome->action);
        carpe_moment_action(moment, "notify.operations", NULL, data);
        if (vehicle != NULL) {
            carpe_json *told = carpe_object(out);
            carpe_put_text(told, "vehicle", vehicle->name);
            carpe_put_text(told, "refused_at", outcome->key);
            carpe_moment_action(moment, "notify.driver", NULL, told);
        }
    }
    return true;
}

static bool check(const void *configuration, carpe_output *out) {
    const struct settings *settings = configuration;
    if (!(settings->lead_seconds > 0 && settings->lead_seconds <= 300))
        return carpe_fail(out, "`lead_seconds` is %g: it must lie above 0, and not above 300", settings->lead_seconds);
    if (!(settings->silence_seconds >= 1 && settings->silence_seconds <= 300))
        return carpe_fail(out, "`silence_seconds` is %g: it must lie between 1 and 300", settings->silence_seconds);
    return true;
}

const carpe_rule carpe_exported_rule = {
    .configuration = &settings_type,
    .default_configuration = &(const struct settings){.lead_seconds = 20, .silence_seconds = 10},
    .state = &junction_type,
    .subscriptions = CARPE_ON({.event_type = "vehicle.approaching"}, {.event_type = "vehicle.left"}),
    .moments = CARPE_NAMES("light.priority", "light.normal", "light.refused", "vehicle.waits"),
    .actions = CARPE_NAMES("light.hold", "light.release", "notify.driver", "notify.operations"),
    .check = check,
    .on_event = on_event,
    .on_timer = on_timer,
    .on_outcome = on_outcome,
};
