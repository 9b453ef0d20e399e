/* A disk that hangs, for one process: LD_PRELOAD this, and every call below $HANG_BELOW waits for as
 * long as the file $HANG_WHILE is there. Real threads hang in real calls, as they do when flash
 * collects its garbage or a server of files is away; nothing in the program under test knows of it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int hanging(void) {
    const char *flag = getenv("HANG_WHILE");
    return flag && syscall(SYS_faccessat, AT_FDCWD, flag, F_OK) == 0;
}

static void wait_for(const char *path) {
    const char *below = getenv("HANG_BELOW");
    if (!below || !path || strncmp(path, below, strlen(below)) != 0) return;
    struct timespec a_little = {0, 5000000};
    while (hanging()) nanosleep(&a_little, NULL);
}

static void wait_for_fd(int fd) {
    char name[64], path[4096];
    if (!hanging()) return;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    wait_for(path);
}

#define NEXT(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                                     \
        wait_for(path);                                                   \
        return NEXT(int, name, const char *, int, ...)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                               \
    int name(int folder, const char *path, int flags, ...) {                       \
        va_list rest;                                                              \
        va_start(rest, flags);                                                     \
        mode_t mode = va_arg(rest, mode_t);                                        \
        va_end(rest);                                                              \
        wait_for(path);                                                            \
        return NEXT(int, name, int, const char *, int, ...)(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FD(type, name, parameters, arguments, ...)        \
    type name parameters {                                \
        wait_for_fd(fd);                                  \
        return NEXT(type, name, __VA_ARGS__) arguments;   \
    }
FD(int, fsync, (int fd), (fd), int)
FD(int, fdatasync, (int fd), (fd), int)
FD(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n), int, const void *, size_t)
FD(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o), int, const void *,
   size_t, off_t)
FD(ssize_t, pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o), int,
   const void *, size_t, off64_t)
FD(ssize_t, pread, (int fd, void *b, size_t n, off_t o), (fd, b, n, o), int, void *, size_t, off_t)
FD(ssize_t, pread64, (int fd, void *b, size_t n, off64_t o), (fd, b, n, o), int, void *, size_t,
   off64_t)

#define PATH(type, name, parameters, arguments, ...)      \
    type name parameters {                                \
        wait_for(path);                                   \
        return NEXT(type, name, __VA_ARGS__) arguments;   \
    }
PATH(int, stat, (const char *path, struct stat *s), (path, s), const char *, struct stat *)
PATH(int, stat64, (const char *path, struct stat64 *s), (path, s), const char *, struct stat64 *)
PATH(int, lstat, (const char *path, struct stat *s), (path, s), const char *, struct stat *)
PATH(int, lstat64, (const char *path, struct stat64 *s), (path, s), const char *, struct stat64 *)
PATH(int, statvfs, (const char *path, struct statvfs *s), (path, s), const char *,
     struct statvfs *)
PATH(int, statvfs64, (const char *path, struct statvfs64 *s), (path, s), const char *,
     struct statvfs64 *)
PATH(DIR *, opendir, (const char *path), (path), const char *)
PATH(ssize_t, readlink, (const char *path, char *b, size_t n), (path, b, n), const char *, char *,
     size_t)
PATH(int, rename, (const char *path, const char *to), (path, to), const char *, const char *)
PATH(int, unlink, (const char *path), (path), const char *)
PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
PATH(int, access, (const char *path, int mode), (path, mode), const char *, int)
