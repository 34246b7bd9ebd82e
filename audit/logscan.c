/* Listing and reading segments. Invariant: mem[at..have) are bytes of the file at base + at that were not given out. */
#include "audit/logscan.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void segment_name(uint64_t first, char out[SEGMENT_NAME])
{
    snprintf(out, SEGMENT_NAME, "%016llu.seg", (unsigned long long)(first % 10000000000000000ull));
}

enum err segment_path(const char *dir, uint64_t first, char *out, size_t room)
{
    char name[SEGMENT_NAME];
    segment_name(first, name);
    int n = snprintf(out, room, "%s/%s", dir, name);
    return n > 0 && (size_t)n < room ? ERR_OK : ERR_TOO_LARGE;
}

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum err list_add(struct segment_list *s, size_t *room, uint64_t first)
{
    if (s->n == *room) {
        size_t more = *room ? *room * 2 : 64;
        uint64_t *p = mem_grow(s->first, more * sizeof *p);
        if (p == NULL)
            return ERR_NOMEM;
        s->first = p;
        *room = more;
    }
    s->first[s->n++] = first;
    return ERR_OK;
}

enum err segment_list_read(const char *dir, struct segment_list *ret, struct diags *d)
{
    struct segment_list s = { 0 };
    size_t room = 0;
    enum err e = ERR_OK;
    *ret = s; /* callers end with segment_list_done, whatever came */
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return diag_sys(d, errno, "cannot read the log's folder %s", "无法读取存证日志目录 %s", dir);
    for (struct dirent *f; e == ERR_OK && (f = readdir(folder)) != NULL;) {
        struct slice name = slice_of(f->d_name);
        uint64_t first;
        if (name.n != SEGMENT_NAME - 1 || !slice_ends(name, SLICE(".seg")) ||
            !slice_u64(slice_sub(name, 0, 16), 0, (1ull << 53) - 1, &first))
            continue;
        e = list_add(&s, &room, first);
    }
    closedir(folder);
    if (e != ERR_OK) {
        segment_list_done(&s);
        return e;
    }
    if (s.n > 1)
        qsort(s.first, s.n, sizeof *s.first, order);
    *ret = s;
    return ERR_OK;
}

void segment_list_done(struct segment_list *s)
{
    s->first = mem_free(s->first);
    s->n = 0;
}

enum err logscan_open(struct logscan *s, const char *path, uint64_t offset)
{
    *s = (struct logscan){ .fd = open(path, O_RDONLY | O_CLOEXEC), .base = offset };
    if (s->fd < 0) {
        s->sys = errno;
        return s->sys == ENOENT ? ERR_NOT_FOUND : ERR_SYS;
    }
    (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    s->mem = mem_alloc(LOGSCAN_BUFFER);
    if (s->mem != NULL)
        return ERR_OK;
    logscan_close(s);
    return ERR_NOMEM;
}

void logscan_close(struct logscan *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->mem = mem_free(s->mem);
}

/* Move what is left to the front and read on; false at the end of the file or on an error. */
static bool scan_fill(struct logscan *s)
{
    memmove(s->mem, s->mem + s->at, s->have - s->at);
    s->base += s->at;
    s->have -= s->at;
    s->at = 0;
    ssize_t n;
    do
        n = pread(s->fd, s->mem + s->have, LOGSCAN_BUFFER - s->have, (off_t)(s->base + s->have));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        s->sys = errno;
    if (n <= 0)
        return false;
    s->have += (size_t)n;
    return true;
}

enum logscan_state logscan_next(struct logscan *s, struct slice *line, uint64_t *offset)
{
    for (;;) {
        size_t left = s->have - s->at, look = left < AUDIT_RECORD_MAX ? left : AUDIT_RECORD_MAX;
        const char *p = s->mem + s->at, *lf = memchr(p, '\n', look);
        *offset = s->base + s->at;
        if (left > 0 && *p == 0) {
            *line = slice_make(p, 0);
            return LOGSCAN_ZEROS;
        }
        if (lf != NULL) {
            *line = slice_make(p, (size_t)(lf - p));
            s->at += line->n + 1;
            return LOGSCAN_LINE;
        }
        *line = slice_make(p, look);
        if (look == AUDIT_RECORD_MAX)
            return LOGSCAN_BROKEN;
        if (!scan_fill(s))
            return s->sys != 0 ? LOGSCAN_FAILED : s->have > s->at ? LOGSCAN_BROKEN : LOGSCAN_END;
    }
}

bool logscan_skip(struct logscan *s)
{
    bool zeros = s->at < s->have && s->mem[s->at] == 0;
    if (!zeros)
        s->at += s->have - s->at < AUDIT_RECORD_MAX ? s->have - s->at : AUDIT_RECORD_MAX;
    for (;;) {
        while (s->at < s->have && s->mem[s->at] == 0)
            s->at++;
        if (s->at < s->have)
            return true;
        if (!scan_fill(s))
            return false;
    }
}
