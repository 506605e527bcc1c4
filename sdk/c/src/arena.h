// Memory that is given back as a whole.
#ifndef CARPE_ARENA_H
#define CARPE_ARENA_H

#include <stddef.h>

typedef struct arena {
    struct arena_block *newest;
    char *next;
    char *end;
} arena;

// Memory for `size` bytes; there is always some, or the call traps.
void *arena_take(arena *arena, size_t size, size_t align);
// The same, all zeros, aligned for anything.
void *arena_zeros(arena *arena, size_t size);
// More memory for what was taken: in place, if it was the last.
void *arena_grow(arena *arena, void *old, size_t old_size, size_t new_size, size_t align);
// Gives everything back; a little is kept for the next time.
void arena_reset(arena *arena);
// Gives everything back to the system.
void arena_free(arena *arena);

#endif
