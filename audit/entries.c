/* Finding records by index. Invariant of the halving: every line that begins before `lo` is too early; the first late
 * one begins at `lo` or behind it, and no later than the first line at or behind `hi`. */
#include "audit/entries.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NARROW = 1 << 16, PROBE = 2 * AUDIT_RECORD_MAX };

typedef bool late_fn(void *arg, uint64_t index, struct slice line);

/* The first whole line that begins behind `at`; false: none, or not one of ours, as at the zeros written ahead. */
static bool probe(int fd, uint64_t at, char mem[PROBE], struct slice *line, uint64_t *begin, uint64_t *index)
{
    ssize_t n;
    do
        n = pread(fd, mem, PROBE, (off_t)at);
    while (n < 0 && errno == EINTR);
    const char *lf = n > 0 ? memchr(mem, '\n', (size_t)n) : NULL;
    if (lf == NULL)
        return false;
    size_t from = (size_t)(lf - mem) + 1;
    const char *end = memchr(mem + from, '\n', (size_t)n - from);
    if (end == NULL)
        return false;
    *line = slice_make(mem + from, (size_t)(end - mem) - from);
    *begin = at + from;
    return logline_check(*line, index);
}

static enum err halve(const char *path, late_fn *late, void *arg, uint64_t *ret)
{
    char mem[PROBE];
    struct stat st;
    struct slice line;
    uint64_t begin, index, lo = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_SYS;
    uint64_t hi = fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    while (hi > lo && hi - lo > NARROW) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (!probe(fd, mid, mem, &line, &begin, &index) || begin >= hi || late(arg, index, line))
            hi = mid;
        else
            lo = begin + line.n + 1;
    }
    close(fd);
    *ret = lo;
    return ERR_OK;
}

/* Moves `s` to the first late line and gives it out. ERR_NOT_FOUND: the records end before; *offset says where. */
static enum err scan_to(struct logscan *s, late_fn *late, void *arg, struct slice *line, uint64_t *offset)
{
    uint64_t index;
    for (;;) {
        enum logscan_state state = logscan_next(s, line, offset);
        if (state == LOGSCAN_FAILED)
            return ERR_SYS;
        if (state != LOGSCAN_LINE || !logline_check(*line, &index))
            return ERR_NOT_FOUND;
        if (late(arg, index, *line))
            return ERR_OK;
    }
}

static bool at_time(void *arg, uint64_t index, struct slice line)
{
    int64_t at;
    (void)index;
    return logline_at(line, &at) && at >= *(const int64_t *)arg;
}

static enum err since_in(const char *dir, uint64_t first, int64_t *wall_ms, uint64_t *index)
{
    char path[PATH_MAX];
    struct logscan s;
    struct slice line;
    uint64_t from = 0, offset;
    enum err e = segment_path(dir, first, path, sizeof path);
    if (e == ERR_OK)
        e = halve(path, at_time, wall_ms, &from);
    if (e == ERR_OK)
        e = logscan_open(&s, path, from);
    if (e != ERR_OK)
        return e;
    e = scan_to(&s, at_time, wall_ms, &line, &offset);
    if (e == ERR_OK && !logline_check(line, index))
        e = ERR_CORRUPT;
    logscan_close(&s);
    return e;
}

/* Was the first record of this segment written before that time? */
static bool begins_before(const char *dir, uint64_t first, int64_t *wall_ms)
{
    char path[PATH_MAX];
    struct logscan s;
    struct slice line;
    uint64_t index, offset;
    if (segment_path(dir, first, path, sizeof path) != ERR_OK || logscan_open(&s, path, 0) != ERR_OK)
        return false;
    bool before = logscan_next(&s, &line, &offset) == LOGSCAN_LINE && logline_check(line, &index) &&
                  !at_time(wall_ms, index, line);
    logscan_close(&s);
    return before;
}

enum err entries_since(const char *dir, int64_t wall_ms, uint64_t *index)
{
    struct segment_list list;
    enum err e = segment_list_read(dir, &list, NULL);
    if (e != ERR_OK)
        return e;
    size_t i = list.n;
    while (i > 0 && !begins_before(dir, list.first[i - 1], &wall_ms))
        i--;
    if (i > 0)
        i--;
    for (e = ERR_NOT_FOUND; e == ERR_NOT_FOUND && i < list.n; i++)
        e = since_in(dir, list.first[i], &wall_ms, index);
    segment_list_done(&list);
    return e;
}

static bool at_index(void *arg, uint64_t index, struct slice line)
{
    (void)line;
    return index >= *(const uint64_t *)arg;
}

struct run {
    const char *dir;
    uint64_t next, to;
    bool (*fn)(void *arg, uint64_t index, struct slice line);
    void *arg;
    bool stop;
};

/* The part of the run that lies in one segment, whose records end before `limit`. */
static enum err run_segment(struct run *r, uint64_t first, uint64_t limit)
{
    char path[PATH_MAX];
    struct logscan s;
    struct slice line;
    uint64_t from = 0, index = 0, offset;
    uint64_t to = r->to < limit ? r->to : limit;
    enum err e = segment_path(r->dir, first, path, sizeof path);
    if (e == ERR_OK)
        e = halve(path, at_index, &r->next, &from);
    if (e == ERR_OK)
        e = logscan_open(&s, path, from);
    if (e != ERR_OK)
        return e;
    e = scan_to(&s, at_index, &r->next, &line, &offset);
    while (e == ERR_OK && r->next < to && !r->stop) {
        if (!logline_check(line, &index) || index != r->next) {
            e = ERR_CORRUPT;
            break;
        }
        r->stop = !r->fn(r->arg, index, line);
        if (++r->next < to && logscan_next(&s, &line, &offset) != LOGSCAN_LINE)
            e = s.sys != 0 ? ERR_SYS : ERR_NOT_FOUND;
    }
    logscan_close(&s);
    return e;
}

enum err entries_each(const char *dir, uint64_t from, uint64_t to,
                      bool (*fn)(void *arg, uint64_t index, struct slice line), void *arg)
{
    struct run r = { .dir = dir, .next = from, .to = to, .fn = fn, .arg = arg };
    struct segment_list list;
    enum err e = segment_list_read(dir, &list, NULL);
    if (e != ERR_OK)
        return e;
    if (from < to && (list.n == 0 || list.first[0] > from))
        e = ERR_NOT_FOUND;
    for (size_t i = 0; e == ERR_OK && i < list.n && r.next < to && !r.stop; i++) {
        uint64_t limit = i + 1 < list.n ? list.first[i + 1] : UINT64_MAX;
        if (limit > r.next)
            e = run_segment(&r, list.first[i], limit);
    }
    segment_list_done(&list);
    return e;
}

static bool line_put(void *arg, uint64_t index, struct slice line)
{
    (void)index;
    buf_put(arg, line);
    return true;
}

enum err entries_line(const char *dir, uint64_t index, struct buf *out)
{
    enum err e = entries_each(dir, index, index + 1, line_put, out);
    return e != ERR_OK ? e : out->failed;
}

static bool bundle_put(void *arg, uint64_t index, struct slice line)
{
    struct buf *out = arg;
    (void)index;
    buf_putc(out, (char)(line.n >> 8)); /* a line is shorter than AUDIT_RECORD_MAX */
    buf_putc(out, (char)(line.n & 0xff));
    buf_put(out, line);
    return out->failed == ERR_OK;
}

enum err entries_bundle(const char *dir, uint64_t tile, unsigned width, struct buf *out)
{
    uint64_t first = tile * 256;
    enum err e = entries_each(dir, first, first + width, bundle_put, out);
    return e != ERR_OK ? e : out->failed;
}
