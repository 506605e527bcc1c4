#include "internal.h"

#ifdef __wasm__
__attribute__((import_module("carpe:rule/log@0.1.0"), import_name("write"))) void
carpe_wit_log_write(uint32_t level, const char *message, size_t length);
#else
#include <stdio.h>
#endif

void carpe_log(carpe_level level, const char *format, ...) {
    // Its own memory: a line is written also when there is no more.
    static _Thread_local char line[4096];
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_line(line, sizeof line, format, arguments);
    va_end(arguments);
#ifdef __wasm__
    carpe_wit_log_write((uint32_t)level, line, length);
#else
    static const char *const names[] = {"debug", "info", "warn", "error"};
    fprintf(stderr, "%s: %.*s\n", names[level], (int)length, line);
#endif
}
