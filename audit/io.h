#pragma once
/* The system calls that the log makes on its files, as a table, so that tests can make each of them fail.
 * All return -1 and errno like the calls they stand for. */
#include "audit/audit.h"
#include <sys/types.h>

struct audit_io {
    void *self;
    int (*create)(void *self, const char *path); /* new, exclusive, 0600, read and write */
    int (*open)(void *self, const char *path);   /* existing, read and write */
    ssize_t (*write)(void *self, int fd, const void *p, size_t n, off_t at);
    /* The same, and what it returns for is on the disk; only over bytes whose blocks and size are there already. */
    ssize_t (*write_durable)(void *self, int fd, const void *p, size_t n, off_t at);
    int (*fill)(void *self, int fd, off_t at,
                uint64_t n);         /* zeros, on their way to the disk; a sync makes them durable */
    int (*sync)(void *self, int fd); /* fdatasync */
    int (*sync_dir)(void *self, const char *path);
    int (*truncate)(void *self, int fd, off_t size);
    int (*reserve)(void *self, const char *path, off_t bytes); /* make a file whose blocks are allocated */
    int (*unlink)(void *self, const char *path);
};
extern const struct audit_io audit_io_system;
/* All n bytes at `at`, over short writes and EINTR. */
int audit_io_write_all(const struct audit_io *io, int fd, struct slice s, off_t at);
int audit_io_write_durable(const struct audit_io *io, int fd, struct slice s, off_t at);
