/* A failing file layer: loaded before libc, it makes the n-th change of a file below one folder fail.
 *
 * CARPE_FAULTS_FOLDER says which folder, CARPE_FAULTS_CONTROL names a file of five 64-bit numbers that is shared with
 * whoever arms it: 0 how many changes are left before the fault, 1 how many fail from there on, 2 the sort of fault,
 * 3 how many have failed, 4 how many changes there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FULL = 1, SHORT = 2, SYNC = 3, ANY = 4 };

static _Atomic int64_t *control;
static const char *folder;
static size_t folder_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CARPE_FAULTS_CONTROL");
    folder = getenv("CARPE_FAULTS_FOLDER");
    if (!path || !folder) return;
    folder_length = strlen(folder);
    int fd = REAL(open64)(path, O_RDWR);
    if (fd < 0) return;
    void *mapped = mmap(NULL, 5 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) control = mapped;
    close(fd);
}

static int below(const char *path) { return folder && strncmp(path, folder, folder_length) == 0; }

static int concerns(int fd) {
    if (!control || !folder) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Whether this change is to fail. */
static int strikes(int sync) {
    int64_t sort = atomic_load(&control[2]);
    if (sort == SYNC ? !sync : sync && sort != ANY) return 0;
    atomic_fetch_add(&control[4], 1);
    if (sort == 0) return 0;
    int64_t left = atomic_fetch_sub(&control[0], 1);
    if (left > 1 || left <= 1 - atomic_load(&control[1])) return 0;
    atomic_fetch_add(&control[3], 1);
    return 1;
}

static int error_of(void) { return atomic_load(&control[2]) >= SYNC ? EIO : ENOSPC; }

/* Half of it is written, as on a disk that fills up; the next one fails whole. */
static size_t half(size_t length) { return atomic_load(&control[2]) == SHORT && length > 1 ? length / 2 : 0; }

ssize_t write(int fd, const void *bytes, size_t length) {
    if (concerns(fd) && strikes(0)) {
        size_t some = half(length);
        if (some) return REAL(write)(fd, bytes, some);
        errno = error_of();
        return -1;
    }
    return REAL(write)(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (concerns(fd) && strikes(0)) {
        errno = error_of();
        return -1;
    }
    return REAL(writev)(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    if (concerns(fd) && strikes(0)) {
        size_t some = half(length);
        if (some) return REAL(pwrite64)(fd, bytes, some, offset);
        errno = error_of();
        return -1;
    }
    return REAL(pwrite64)(fd, bytes, length, offset);
}

#define FAILS(sync) do { if (strikes(sync)) { errno = error_of(); return -1; } } while (0)

int fsync(int fd) {
    if (concerns(fd)) FAILS(1);
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    if (concerns(fd)) FAILS(1);
    return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t length) {
    if (concerns(fd)) FAILS(0);
    return REAL(ftruncate64)(fd, length);
}

int rename(const char *from, const char *to) {
    if (control && below(from)) FAILS(0);
    return REAL(rename)(from, to);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (control && flags & O_CREAT && below(path)) FAILS(0);
    return REAL(open64)(path, flags, mode);
}
