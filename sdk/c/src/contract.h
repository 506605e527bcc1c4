// The contract's types (wit/types.wit) as structs. On wasm32 they lie in memory as the component model's canonical ABI
// wants it, since C lays out records and variants by the same rules: guest.c checks it. So nothing is converted there.
#ifndef CARPE_CONTRACT_H
#define CARPE_CONTRACT_H

#include "carpe.h"

#define LIST(item)                                                                                                     \
    struct {                                                                                                           \
        item *items;                                                                                                   \
        size_t length;                                                                                                 \
    }

typedef struct option_text {
    uint8_t is;
    carpe_text text;
} option_text;

typedef struct option_instant {
    uint8_t is;
    uint64_t instant;
} option_instant;

enum { KEYED_BY_ATTRIBUTE, KEYED_BY_DATA, KEYED_BY_NOTHING };

typedef struct wit_subscription {
    carpe_text event_type;
    option_text filter;
    uint8_t keyed_by;
    carpe_text keyed_by_what;
    LIST(carpe_text) attributes;
} wit_subscription;

typedef struct wit_description {
    carpe_text name;
    carpe_text version;
    carpe_text summary;
    option_text settings;
    LIST(wit_subscription) subscriptions;
    LIST(carpe_text) moments;
    LIST(carpe_text) actions;
    uint32_t state_version;
} wit_description;

typedef struct wit_keyed {
    carpe_text name;
    option_text state;
} wit_keyed;

enum { DATA_ABSENT, DATA_JSON, DATA_BINARY };

typedef struct wit_data {
    uint8_t kind;
    carpe_text bytes;
} wit_data;

typedef struct wit_event {
    uint32_t subscription;
    LIST(option_text) attributes;
    wit_data data;
} wit_event;

typedef struct wit_outcome {
    carpe_text action;
    carpe_text reference;
    uint8_t status;
    wit_data answer;
    carpe_text detail;
} wit_outcome;

enum { PAYLOAD_EVENT, PAYLOAD_TIMER, PAYLOAD_OUTCOME };

typedef struct wit_payload {
    uint8_t kind;
    union {
        wit_event event;
        carpe_text timer;
        wit_outcome outcome;
    } is;
} wit_payload;

typedef struct wit_input {
    uint32_t key;
    uint64_t time;
    uint64_t now;
    wit_payload payload;
} wit_input;

typedef struct wit_batch {
    LIST(wit_keyed) keys;
    LIST(wit_input) inputs;
} wit_batch;

typedef struct wit_state_change {
    uint32_t key;
    option_text state;
} wit_state_change;

typedef struct wit_timer_change {
    uint32_t cause;
    carpe_text name;
    option_instant at;
} wit_timer_change;

typedef struct wit_action {
    carpe_text name;
    option_text reference;
    carpe_text data;
} wit_action;

typedef LIST(wit_action) wit_actions;

typedef struct wit_moment {
    uint32_t cause;
    carpe_text kind;
    carpe_text why;
    option_text subject;
    option_text data;
    option_instant expires;
    wit_actions actions;
} wit_moment;

typedef struct wit_failure {
    uint32_t input;
    carpe_text message;
} wit_failure;

typedef struct wit_effects {
    LIST(wit_state_change) states;
    LIST(wit_timer_change) timers;
    LIST(wit_moment) moments;
    LIST(wit_failure) failures;
} wit_effects;

#endif
