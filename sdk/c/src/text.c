#include <string.h>

#include "internal.h"

#define STB_SPRINTF_STATIC
#define STB_SPRINTF_NOUNALIGNED
#define STB_SPRINTF_IMPLEMENTATION
#include <stb_sprintf.h>

carpe_text text_of(const char *string) {
    return (carpe_text){string == NULL ? "" : string, string == NULL ? 0 : strlen(string)};
}

carpe_text format_text(arena *arena, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    char short_text[256];
    int length = stbsp_vsnprintf(short_text, sizeof short_text, format, arguments);
    carpe_text text = {"", 0};
    if (length > 0) {
        char *bytes = arena_take(arena, (size_t)length + 1, 1);
        if ((size_t)length < sizeof short_text) {
            memcpy(bytes, short_text, (size_t)length + 1);
        } else {
            stbsp_vsnprintf(bytes, length + 1, format, again);
        }
        text = (carpe_text){bytes, (size_t)length};
    }
    va_end(again);
    return text;
}

// How many bytes of the text's next character are valid, if they all are; 0 if not.
static size_t character(const unsigned char *at, size_t left) {
    unsigned char first = at[0];
    if (first < 0x80) return 1;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || left < length) return 0;
    for (size_t place = 1; place < length; place++) {
        if ((at[place] & 0xC0) != 0x80) return 0;
    }
    // Too long for what they are, halves of surrogate pairs, and beyond the last.
    if (first == 0xE0 && at[1] < 0xA0) return 0;
    if (first == 0xED && at[1] > 0x9F) return 0;
    if (first == 0xF0 && at[1] < 0x90) return 0;
    if (first == 0xF4 && at[1] > 0x8F) return 0;
    return length;
}

size_t format_line(char *line, size_t room, const char *format, va_list arguments) {
    int length = stbsp_vsnprintf(line, (int)room, format, arguments);
    size_t written = length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
    // Unicode, whatever the format was given, and wherever it was cut.
    size_t kept = 0;
    for (size_t place = 0; place < written;) {
        size_t size = character((const unsigned char *)line + place, written - place);
        if (size == 0) {
            line[kept++] = '?';
            place++;
        }
        for (; size > 0; size--) line[kept++] = line[place++];
    }
    return kept;
}

carpe_text format_into(arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    carpe_text text = format_text(arena, format, arguments);
    va_end(arguments);
    return text;
}

carpe_text copy_text(arena *arena, carpe_text text) {
    char *bytes = arena_take(arena, text.length + 1, 1);
    if (text.length > 0) memcpy(bytes, text.bytes, text.length);
    bytes[text.length] = 0;
    return (carpe_text){bytes, text.length};
}

carpe_text valid_text(arena *arena, carpe_text text) {
    const unsigned char *bytes = (const unsigned char *)text.bytes;
    size_t wrong = 0;
    for (size_t place = 0; place < text.length;) {
        size_t length = character(bytes + place, text.length - place);
        wrong += length == 0;
        place += length == 0 ? 1 : length;
    }
    if (wrong == 0) return text;
    char *valid = arena_take(arena, text.length + wrong * 2 + 1, 1);
    size_t written = 0;
    for (size_t place = 0; place < text.length;) {
        size_t length = character(bytes + place, text.length - place);
        if (length == 0) {
            memcpy(valid + written, "\xEF\xBF\xBD", 3);
            written += 3;
            place += 1;
        } else {
            memcpy(valid + written, bytes + place, length);
            written += length;
            place += length;
        }
    }
    valid[written] = 0;
    return (carpe_text){valid, written};
}

carpe_text carpe_format(carpe_output *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    carpe_text text = format_text(out->arena, format, arguments);
    va_end(arguments);
    return text;
}

carpe_text carpe_copy(carpe_output *out, carpe_text text) {
    return copy_text(out->arena, text);
}

void *carpe_memory(carpe_output *out, size_t size) {
    return arena_zeros(out->arena, size);
}

bool carpe_text_is(carpe_text text, const char *string) {
    return carpe_text_equals(text, text_of(string));
}

bool carpe_text_equals(carpe_text one, carpe_text other) {
    return one.length == other.length && (one.length == 0 || memcmp(one.bytes, other.bytes, one.length) == 0);
}
