/* Stands between a process and libc (LD_PRELOAD): records what reaches the files of one directory, and slows syncs.
 *
 * LINLI_RECORD_DIR   directory whose files are recorded
 * LINLI_RECORD_FILE  the record, outside that directory; appended
 * LINLI_SYNC_MS      milliseconds added to each fsync and fdatasync, of any file
 *
 * One record: kind (1 byte: w write, t truncate, s sync), length of the file name (1), name, offset (8), length (4),
 * bytes. Little-endian. Each operation and its record are one critical section, so the record's order is the order
 * in which the disk was asked. Writes through mmap are not seen: SQLite maps only its rebuildable -shm file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static const char *folder;
static size_t folder_length;
static long sync_ms;

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_truncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_truncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *ms = getenv("LINLI_SYNC_MS");
    sync_ms = ms ? atol(ms) : 0;
    const char *file = getenv("LINLI_RECORD_FILE");
    folder = getenv("LINLI_RECORD_DIR");
    if (file && folder) {
        folder_length = strlen(folder);
        record = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

/* The name of a recorded file, or NULL. */
static const char *recorded(int fd, char path[PATH_MAX]) {
    char link[64];
    if (record < 0 || fd == record) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return NULL;
    path[length] = 0;
    if (strncmp(path, folder, folder_length) != 0 || path[folder_length] != '/') return NULL;
    return path + folder_length + 1;
}

static void note(char kind, const char *name, int64_t offset, const void *bytes, uint32_t length) {
    uint8_t size = (uint8_t)strlen(name);
    size_t total = 14 + (size_t)size + (bytes ? length : 0);
    uint8_t *row = malloc(total);
    row[0] = (uint8_t)kind;
    row[1] = size;
    memcpy(row + 2, name, size);
    memcpy(row + 2 + size, &offset, 8);
    memcpy(row + 10 + size, &length, 4);
    if (bytes) memcpy(row + 14 + size, bytes, length);
    if (real_write(record, row, total) != (ssize_t)total) abort();
    free(row);
}

static ssize_t put(int fd, const void *bytes, size_t length, off64_t offset, int at) {
    char path[PATH_MAX];
    const char *name = recorded(fd, path);
    if (!name) return at ? real_pwrite(fd, bytes, length, offset) : real_write(fd, bytes, length);
    pthread_mutex_lock(&order);
    if (!at) offset = lseek64(fd, 0, SEEK_CUR);
    ssize_t done = at ? real_pwrite(fd, bytes, length, offset) : real_write(fd, bytes, length);
    if (done > 0) note('w', name, offset, bytes, (uint32_t)done);
    pthread_mutex_unlock(&order);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return put(fd, bytes, length, offset, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return put(fd, bytes, length, offset, 1); }
ssize_t write(int fd, const void *bytes, size_t length) { return put(fd, bytes, length, 0, 0); }

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    const char *name = recorded(fd, path);
    if (!name) return real_truncate(fd, length);
    pthread_mutex_lock(&order);
    int done = real_truncate(fd, length);
    if (done == 0) note('t', name, length, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (sync_ms > 0) {
        struct timespec pause = {sync_ms / 1000, (sync_ms % 1000) * 1000000L};
        nanosleep(&pause, NULL);
    }
    const char *name = recorded(fd, path);
    if (!name) return real(fd);
    pthread_mutex_lock(&order);
    int done = real(fd);
    if (done == 0) note('s', name, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}
int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }
