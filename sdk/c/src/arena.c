#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "carpe.h"

enum { FIRST_BLOCK = 64 * 1024 };

struct arena_block {
    struct arena_block *before;
    size_t size;
    _Alignas(16) char bytes[];
};

static void *out_of_memory(void) {
    carpe_log(CARPE_ERROR, "the rule is out of memory");
    abort();
}

static void *place(arena *arena, size_t size, size_t align) {
    if (arena->next == NULL) return NULL;
    uintptr_t skipped = -(uintptr_t)arena->next & (align - 1);
    size_t left = (size_t)(arena->end - arena->next);
    if (skipped > left || size > left - skipped) return NULL;
    char *at = arena->next + skipped;
    arena->next = at + size;
    return at;
}

void *arena_take(arena *arena, size_t size, size_t align) {
    void *at = place(arena, size, align);
    if (at != NULL) return at;
    size_t last = arena->newest == NULL ? FIRST_BLOCK / 2 : arena->newest->size;
    size_t wanted = last > SIZE_MAX / 8 ? last : last * 2;
    if (size > SIZE_MAX / 4) out_of_memory();
    if (wanted < size + align) wanted = size + align;
    struct arena_block *block = malloc(sizeof *block + wanted);
    if (block == NULL && wanted > size + align) {
        wanted = size + align;
        block = malloc(sizeof *block + wanted);
    }
    if (block == NULL) out_of_memory();
    block->before = arena->newest;
    block->size = wanted;
    arena->newest = block;
    arena->next = block->bytes;
    arena->end = block->bytes + wanted;
    return place(arena, size, align);
}

void *arena_zeros(arena *arena, size_t size) {
    return memset(arena_take(arena, size, 16), 0, size);
}

void *arena_grow(arena *arena, void *old, size_t old_size, size_t new_size, size_t align) {
    if (old != NULL && (char *)old + old_size == arena->next && new_size >= old_size
        && new_size - old_size <= (size_t)(arena->end - arena->next)) {
        arena->next += new_size - old_size;
        return old;
    }
    void *at = arena_take(arena, new_size, align);
    if (old != NULL && old_size > 0) memcpy(at, old, old_size < new_size ? old_size : new_size);
    return at;
}

void arena_reset(arena *arena) {
    while (arena->newest != NULL && arena->newest->before != NULL) {
        struct arena_block *before = arena->newest->before;
        free(arena->newest);
        arena->newest = before;
    }
    if (arena->newest == NULL) return;
    arena->next = arena->newest->bytes;
    arena->end = arena->newest->bytes + arena->newest->size;
}

void arena_free(arena *arena) {
    arena_reset(arena);
    free(arena->newest);
    memset(arena, 0, sizeof *arena);
}
