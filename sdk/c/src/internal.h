// What the SDK's files know of each other.
#ifndef CARPE_INTERNAL_H
#define CARPE_INTERNAL_H

#include <yyjson.h>

#include "arena.h"
#include "contract.h"

// Instants lie below.
#define INSTANT_LIMIT ((int64_t)1 << 53)

// A list that grows, in an arena.
#define VECTOR(item)                                                                                                   \
    struct {                                                                                                           \
        item *items;                                                                                                   \
        size_t length;                                                                                                 \
        size_t room;                                                                                                   \
    }

#define PUSH(arena, vector)                                                                                            \
    ((vector)->length < (vector)->room                                                                                 \
         ? &(vector)->items[(vector)->length++]                                                                        \
         : ((vector)->items = arena_grow((arena), (vector)->items, (vector)->room * sizeof *(vector)->items,           \
                                         ((vector)->room * 2 + 4) * sizeof *(vector)->items, 16),                      \
            (vector)->room = (vector)->room * 2 + 4, &(vector)->items[(vector)->length++]))

struct carpe_moment {
    struct carpe_output *out;
    wit_moment effect;
    VECTOR(wit_action) actions;
};

struct carpe_output {
    arena *arena;
    yyjson_alc allocator;
    uint32_t cause;
    int64_t now;
    bool forgets;
    // Why the current input fails: what was said first.
    bool failed;
    carpe_text message;
    VECTOR(wit_timer_change) timers;
    VECTOR(carpe_moment *) moments;
    VECTOR(wit_failure) failures;
    size_t timer_mark;
    size_t moment_mark;
};

struct carpe_json {
    struct carpe_output *out;
    yyjson_mut_doc *document;
    yyjson_mut_val *value;
};

// What an event's functions read.
struct carpe_payload {
    struct carpe_output *out;
    const wit_event *event;
    const carpe_subscription *subscription;
    bool parsed;
    const yyjson_val *root;
};

void output_begin(struct carpe_output *out, arena *arena);

// text.c
carpe_text text_of(const char *string);
carpe_text format_text(arena *arena, const char *format, va_list arguments);
// Into a buffer; what has no room is cut. Returns the length.
size_t format_line(char *line, size_t room, const char *format, va_list arguments);
carpe_text format_into(arena *arena, const char *format, ...) CARPE_FORMAT(2, 3);
carpe_text copy_text(arena *arena, carpe_text text);
// As Unicode: what is none is replaced.
carpe_text valid_text(arena *arena, carpe_text text);

// json.c
yyjson_alc arena_allocator(arena *arena);
const yyjson_val *parse_json(arena *arena, carpe_text text, carpe_text *problem);
bool write_json(struct carpe_output *out, yyjson_mut_doc *document, yyjson_mut_val *value, carpe_text *text);
bool whole_number(const yyjson_val *value, int64_t *integer);
const char *kind_name(const yyjson_val *value);
carpe_text written_value(struct carpe_output *out, const yyjson_val *value);

// type.c
typedef struct reading {
    arena *arena;
    bool refuses_unknown;
    bool requires;
    carpe_text problem;
} reading;
bool read_type(reading *reading, const carpe_type *type, const yyjson_val *object, void *into, const char *path);
// The list items of a struct that was copied as bytes become its own.
void own_lists(arena *arena, const carpe_type *type, void *of);
yyjson_mut_val *write_type(yyjson_mut_doc *document, const carpe_type *type, const void *from, carpe_text *problem,
                           arena *arena);

// run.c
// Reads the configuration into the arena; a null pointer and the problem if it is wrong.
const void *configure(const carpe_rule *rule, arena *arena, carpe_text json, carpe_text *problem);
// Handles a batch. False, with the problem: nothing of it counts.
bool run_batch(const carpe_rule *rule, const void *configuration, arena *arena, const wit_batch *batch,
               wit_effects *effects, carpe_text *problem);
bool run_migration(const carpe_rule *rule, const void *configuration, arena *arena, uint32_t from_version,
                   carpe_text key, carpe_text before, option_text *after, carpe_text *problem);
void describe(const carpe_rule *rule, arena *arena, wit_description *description);

#endif
