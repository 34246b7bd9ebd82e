/* The index's thread: it takes in what is on disk, reads the segments from where the index ends, and follows the log:
 * at once when a question waits or the log has come to rest, else in pieces of FOLLOW records or FOLLOW_MS, for opening
 * files costs more than a record does. It reads files and two atomics of the log, nothing else; it takes no lock that a
 * worker or the log's writer takes. Invariant: records [first, next) are in parts and draft. */
#include "audit/index.h"
#include "audit/thread.h"
#include <errno.h>
#include <time.h>

enum { TICK_MS = 500, FOLLOW_MS = 5000, FOLLOW = 16384, RETRY_MS = 5000, BATCH = 256, NICE = 5, STATUS_WAIT_MS = 20 };

uint64_t index_log_size(const struct audit_index *x)
{
    struct audit_status s;
    if (x->log == NULL)
        return UINT64_MAX;
    audit_status(x->log, &s);
    return s.size;
}

/* ---- lists ---- */
static bool room_for(void **list, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return true;
    size_t more = *room ? *room * 2 : 64;
    void *p = mem_grow(*list, more * size);
    if (p == NULL)
        return false;
    *list = p;
    *room = more;
    return true;
}

static void part_let_go(struct part *p)
{
    if (!p->kept)
        return;
    p->kept = false;
    part_rest(p);
}

enum err index_add_part(struct audit_index *x, struct part *p)
{
    void *list = x->parts;
    bool ok = room_for(&list, x->n_parts, &x->parts_room, sizeof *x->parts);
    x->parts = list;
    if (!ok) {
        part_unref(p);
        return ERR_NOMEM;
    }
    x->parts[x->n_parts++] = p;
    if (x->n_parts > x->maps)
        part_let_go(x->parts[x->n_parts - 1 - x->maps]);
    x->bytes += p->map_n;
    x->next = p->h.first + p->h.n;
    x->segment = p->h.segment;
    x->offset = p->h.to;
    if (p->h.at_last != 0)
        x->at_last = p->h.at_last;
    return ERR_OK;
}

/* ---- records that belong to a sealed row ---- */
static enum err late_add(struct audit_index *x, const struct part *p, uint16_t row, const struct term_facts *f)
{
    void *list = x->late;
    bool ok = room_for(&list, x->n_late, &x->late_room, sizeof *x->late);
    x->late = list;
    if (!ok)
        return ERR_NOMEM;
    x->late[x->n_late++] = (struct part_late){
        .first = p->h.first, .row = row, .cut = f->kind == AUDIT_CUT, .result = (uint8_t)f->result, .index = x->next
    };
    return ERR_OK;
}

static bool is_intent_of(const struct part *p, uint16_t row, const struct term_facts *f)
{
    return row < p->h.rows && p->rows[row].kind == AUDIT_INTENT && p->rows[row].part == part_number(f);
}

/* A part that is not mapped, and whose file is gone or another one, is built anew, with those behind it. */
static enum err part_use_here(struct audit_index *x, struct part *p)
{
    enum err e = part_use(p);
    if (e != ERR_NOT_FOUND && e != ERR_AGAIN)
        return e;
    index_drop_from(x, p->h.first);
    return ERR_AGAIN;
}

/* ERR_NOT_FOUND: its intent is not in this part. */
static enum err take_late_of(struct audit_index *x, struct part *p, const struct term_facts *f)
{
    enum err e = part_use_here(x, p), found = ERR_NOT_FOUND;
    if (e != ERR_OK)
        return e;
    struct part_list l = part_find(p, f->exchange);
    uint16_t row = 0;
    for (uint32_t at = 0; found == ERR_NOT_FOUND && part_list_next(&l, p->h.rows, &at, &row);) {
        if (is_intent_of(p, row, f))
            found = late_add(x, p, row, f);
    }
    part_rest(p);
    return found;
}

/* Newest part first: most come moments after their part was sealed. Without an intent (it was pruned) a row of its own.
 */
static enum err take_late(struct audit_index *x, const struct term_facts *f)
{
    enum err e = ERR_NOT_FOUND;
    for (size_t i = x->n_parts; e == ERR_NOT_FOUND && i-- > 0;)
        e = take_late_of(x, x->parts[i], f);
    return e == ERR_NOT_FOUND ? draft_own(&x->draft, f) : e;
}

static enum err part_replace(struct audit_index *x, size_t i)
{
    char path[PATH_MAX];
    struct part *p = NULL, *old = x->parts[i];
    enum err e = part_use_here(x, old);
    if (e != ERR_OK)
        return e;
    e = part_rewrite(old, x->dir, x->late, x->n_late);
    part_rest(old);
    if (e == ERR_OK)
        e = index_part_path(x, old->h.first, path);
    if (e == ERR_OK)
        e = part_open(path, &p);
    if (e != ERR_OK)
        return e;
    p->timed = old->timed && part_times_equal(&p->h, &old->h);
    x->bytes += p->map_n - old->map_n;
    if (!old->kept)
        part_let_go(p);
    part_unref(old);
    x->parts[i] = p;
    return ERR_OK;
}

/* Before the draft that knows of them is sealed: a crash in between brings them again, to the same effect. */
static enum err late_write(struct audit_index *x)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < x->n_parts; i++) {
        bool any = false;
        for (size_t k = 0; k < x->n_late && !any; k++)
            any = x->late[k].first == x->parts[i]->h.first;
        if (any)
            e = part_replace(x, i);
    }
    if (e == ERR_OK)
        x->n_late = 0;
    return e;
}

/* ---- building ---- */
static enum err seal(struct audit_index *x)
{
    char path[PATH_MAX];
    struct part *p = NULL;
    uint64_t first = x->draft.h.first;
    enum err e = late_write(x);
    if (e == ERR_OK)
        e = draft_seal(&x->draft, x->dir);
    if (e == ERR_OK)
        e = index_part_path(x, first, path);
    if (e == ERR_OK)
        e = part_open(path, &p);
    if (e == ERR_OK)
        p->timed = part_times_equal(&p->h, &x->draft.h); /* as it was made, and not another file in its place */
    if (e == ERR_OK)
        e = index_add_part(x, p);
    x->drafting = false;
    if (e != ERR_OK)
        index_drop_from(x, first); /* no room, most likely: once more later, from the segments */
    return e;
}

static enum err take_record(struct audit_index *x, struct slice line, uint64_t offset)
{
    struct term_facts f;
    if (!x->drafting)
        draft_begin(&x->draft, x->segment, x->next, offset, x->seed, x->at_last);
    x->drafting = true;
    enum err e = draft_add(&x->draft, line, offset, &f);
    if (e == ERR_NOT_FOUND)
        e = take_late(x, &f);
    if (e != ERR_OK && e != ERR_CORRUPT)
        index_drop_from(x, x->draft.h.first); /* it may hold half of the record, which comes again */
    if (e != ERR_OK)
        return e;
    x->next++;
    x->offset = offset + line.n + 1;
    if (x->draft.h.at_last != 0)
        x->at_last = x->draft.h.at_last;
    return ERR_OK;
}

/* Up to BATCH records below `limit`; *end: nothing further can be read here now. */
static enum err take_batch(struct audit_index *x, struct logscan *s, uint64_t limit, bool *end)
{
    struct slice line;
    uint64_t index, offset;
    enum err e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && i < BATCH && x->next < limit; i++) {
        if (logscan_next(s, &line, &offset) != LOGSCAN_LINE || !logline_check(line, &index) || index != x->next) {
            *end = true;
            return ERR_OK;
        }
        e = take_record(x, line, offset);
        if (e == ERR_OK && x->draft.h.n == PART_RECORDS)
            e = seal(x);
    }
    return e;
}

static enum err take_segment(struct audit_index *x, uint64_t limit, bool closed)
{
    char path[PATH_MAX];
    struct logscan s;
    bool end = false;
    enum err e = segment_path(x->dir, x->segment, path, sizeof path);
    if (e == ERR_OK)
        e = logscan_open(&s, path, x->offset);
    if (e != ERR_OK)
        return e;
    while (e == ERR_OK && !end && x->next < limit && !x->stop && x->discard_from == UINT64_MAX) {
        pthread_mutex_lock(&x->lock);
        e = take_batch(x, &s, limit, &end);
        pthread_cond_broadcast(&x->moved);
        pthread_mutex_unlock(&x->lock);
        thread_give_way();
    }
    logscan_close(&s);
    pthread_mutex_lock(&x->lock);
    if (e == ERR_OK && closed && x->next == limit && x->drafting)
        e = seal(x);
    x->failed = e != ERR_OK || (end && (closed || x->log != NULL)) ? x->next : UINT64_MAX;
    pthread_mutex_unlock(&x->lock);
    return e != ERR_OK ? e : end ? ERR_NOT_FOUND : ERR_OK;
}

/* Record `next` begins a segment: what the draft has is of the one before it. */
static enum err next_segment(struct audit_index *x)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&x->lock);
    if (x->drafting)
        e = seal(x);
    x->segment = x->next;
    x->offset = 0;
    pthread_mutex_unlock(&x->lock);
    return e;
}

/* Read on, segment by segment, to the end of what may be read. */
static enum err follow(struct audit_index *x)
{
    struct segment_list l;
    uint64_t size = index_log_size(x);
    if (x->next >= size)
        return ERR_OK;
    enum err e = segment_list_read(x->dir, &l, NULL);
    for (size_t i = 0; e == ERR_OK && i < l.n && x->next < size && !x->stop && x->discard_from == UINT64_MAX; i++) {
        bool closed = i + 1 < l.n && l.first[i + 1] <= size;
        uint64_t limit = closed ? l.first[i + 1] : size;
        if (l.first[i] > x->next || limit <= x->next)
            continue;
        if (l.first[i] == x->next)
            e = next_segment(x);
        if (e == ERR_OK)
            e = take_segment(x, limit, closed);
    }
    segment_list_done(&l);
    return e;
}

/* What is asked for without the lock meanwhile, and is more than this, is still to be done then. */
static void index_discard(struct audit_index *x)
{
    pthread_mutex_lock(&x->lock);
    uint64_t from = x->discard_from;
    index_drop_from(x, from);
    atomic_compare_exchange_strong(&x->discard_from, &from, UINT64_MAX);
    pthread_mutex_unlock(&x->lock);
}

static struct timespec time_in(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static void index_sleep(struct audit_index *x, int64_t ms)
{
    struct timespec until = time_in(ms);
    pthread_mutex_lock(&x->lock);
    if (!x->stop && !x->asked && x->discard_from == UINT64_MAX)
        pthread_cond_timedwait(&x->wake, &x->lock, &until);
    pthread_mutex_unlock(&x->lock);
}

/* A tick later: is it worth opening the segment now? `before` is the log's size a tick ago. */
static bool follow_due(struct audit_index *x, uint64_t before, int64_t since)
{
    uint64_t size = index_log_size(x);
    return x->stop || x->discard_from != UINT64_MAX || atomic_exchange(&x->asked, false) || size == before ||
           size - x->next >= FOLLOW || clock_mono_ms() - since >= FOLLOW_MS;
}

static void *index_main(void *arg)
{
    struct audit_index *x = arg;
    thread_stand_back(NICE); /* exchanges go first */
    while (!x->stop && index_load(x) != ERR_OK)
        index_sleep(x, RETRY_MS);
    while (!x->stop) {
        if (x->discard_from != UINT64_MAX)
            index_discard(x);
        enum err e = follow(x);
        int64_t since = clock_mono_ms();
        uint64_t before;
        do {
            before = index_log_size(x);
            index_sleep(x, e == ERR_OK || x->log == NULL ? TICK_MS : RETRY_MS);
        } while (!follow_due(x, before, since));
    }
    return NULL;
}

/* ---- life ---- */
static struct audit_index *index_free(struct audit_index *x)
{
    if (x == NULL)
        return NULL;
    for (size_t i = 0; i < x->n_parts; i++)
        part_unref(x->parts[i]);
    mem_free(x->parts);
    mem_free(x->late);
    draft_done(&x->draft);
    pthread_cond_destroy(&x->wake);
    pthread_cond_destroy(&x->moved);
    pthread_mutex_destroy(&x->lock);
    pthread_mutex_destroy(&x->told_lock);
    mem_free(x->dir);
    return mem_free(x);
}

static void index_locks(struct audit_index *x)
{
    pthread_condattr_t a;
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_init(&x->told_lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&x->wake, &a);
    pthread_cond_init(&x->moved, &a);
    pthread_condattr_destroy(&a);
}

enum err audit_index_open(const char *dir, const struct audit_log *log, struct audit_index **ret, struct diags *d)
{
    struct audit_index *x = mem_zalloc(sizeof *x);
    if (x == NULL)
        return ERR_NOMEM;
    index_locks(x);
    x->log = log;
    x->discard_from = x->failed = x->told.failed = UINT64_MAX;
    x->maps = PART_MAPS;
    x->dir = mem_dup(slice_of(dir));
    enum err e = x->dir == NULL ? ERR_NOMEM : draft_init(&x->draft);
    if (e == ERR_OK)
        e = random_bytes(&x->seed, sizeof x->seed);
    if (e == ERR_OK && pthread_create(&x->thread, NULL, index_main, x) != 0)
        e = diag_add(d, ERR_SYS, 0, 0, "cannot start the index's thread", "无法启动索引线程");
    if (e != ERR_OK) {
        index_free(x);
        return e;
    }
    x->running = true;
    *ret = x;
    return ERR_OK;
}

struct audit_index *audit_index_close(struct audit_index *x)
{
    if (x == NULL)
        return NULL;
    pthread_mutex_lock(&x->lock);
    x->stop = true;
    pthread_cond_broadcast(&x->wake);
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
    if (x->running)
        pthread_join(x->thread, NULL);
    return index_free(x);
}

/* Lock held. */
static void status_now(const struct audit_index *x, uint64_t size, struct audit_index_status *ret)
{
    *ret = (struct audit_index_status){ .first = x->first,
                                        .indexed = x->next,
                                        .size = x->log != NULL ? size : x->next,
                                        .parts = x->n_parts,
                                        .bytes = x->bytes,
                                        .discarded = x->discarded,
                                        .failed = x->failed };
    for (size_t i = 0; i < x->n_parts; i++)
        ret->elapsed_ms += x->parts[i]->h.elapsed_ms;
    ret->elapsed_ms += x->drafting ? x->draft.h.elapsed_ms : 0;
    ret->elapsed_ms = ret->elapsed_ms > 0 ? ret->elapsed_ms : 0; /* a clock that was set back says nothing else */
}

/* The lock, if it is free within STATUS_WAIT_MS; by trying, for the clock of a lock with a time may be set. */
bool index_lock_soon(struct audit_index *x)
{
    static const struct timespec one_ms = { 0, 1000000 };
    for (unsigned i = 0; pthread_mutex_trylock(&x->lock) != 0; i++) {
        if (i == STATUS_WAIT_MS)
            return false;
        nanosleep(&one_ms, NULL);
    }
    return true;
}

/* The index's thread writes files with the lock held, and a disk may hang: who carries out acts asks here. */
void audit_index_status(struct audit_index *x, struct audit_index_status *ret)
{
    uint64_t size = index_log_size(x);
    bool fresh = index_lock_soon(x);
    if (fresh) {
        status_now(x, size, ret);
        pthread_mutex_unlock(&x->lock);
    }
    pthread_mutex_lock(&x->told_lock);
    if (fresh)
        x->told = *ret;
    else
        *ret = x->told;
    pthread_mutex_unlock(&x->told_lock);
}

/* Lock held. What is to be thrown away is not there any more. */
static bool is_indexed(const struct audit_index *x, uint64_t size)
{
    return x->next >= size && x->discard_from >= size;
}

bool audit_index_wait(struct audit_index *x, uint64_t size, int64_t ms)
{
    struct timespec until = time_in(ms);
    pthread_mutex_lock(&x->lock);
    while (!is_indexed(x, size) && !x->stop) {
        atomic_store(&x->asked, true);
        pthread_cond_signal(&x->wake);
        if (pthread_cond_timedwait(&x->moved, &x->lock, &until) == ETIMEDOUT)
            break;
    }
    bool there = is_indexed(x, size);
    pthread_mutex_unlock(&x->lock);
    return there;
}

/* Without the lock, as with the status: should the thread be about to sleep, it sees it a tick later. */
void audit_index_rebuild(struct audit_index *x)
{
    x->discard_from = 0;
    pthread_cond_signal(&x->wake);
}
