/* UUIDv7, RFC 9562 section 5.7: 48 bits of Unix milliseconds, version, 12 bits of counter (method 1 of section 6.2,
 * seeded at random below 2048), variant, 62 random bits. Invariants: within a thread each one is greater than the one
 * before, unless the clock was set back by more than BACK_MAX; random bytes are never used twice, nor on both sides of
 * a fork. Without random bytes the process cannot go on and aborts. */
#include "base/core/ids.h"
#include "base/core/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

enum { POOL = 512, BACK_MAX = 10000, COUNTER_MAX = 0xfff };

static _Thread_local struct {
    uint8_t pool[POOL];
    size_t left; /* unused bytes, at the end of the pool */
    unsigned generation;
    int64_t ms;
    unsigned counter;
} mine;

static atomic_uint generation = 1; /* changes in the child of a fork: the parent's pool is not ours */

static void on_fork(void)
{
    atomic_fetch_add(&generation, 1);
}

static void watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, on_fork) != 0)
        abort();
}

static void refill(unsigned now)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t n = 0;

    pthread_once(&once, watch_forks);
    while (n < POOL) {
        ssize_t got = getrandom(mine.pool + n, POOL - n, 0);
        if (got < 0 && errno != EINTR)
            abort();
        n += got > 0 ? (size_t)got : 0;
    }
    mine.left = POOL;
    mine.generation = now;
}

static void draw(uint8_t *out, size_t n)
{
    unsigned now = atomic_load_explicit(&generation, memory_order_relaxed);

    if (mine.left < n || mine.generation != now)
        refill(now);
    memcpy(out, mine.pool + (POOL - mine.left), n);
    mine.left -= n;
}

/* Advances mine.ms and mine.counter. */
static void advance(int64_t wall_ms, uint8_t r0, uint8_t r1)
{
    if (wall_ms > mine.ms || wall_ms < mine.ms - BACK_MAX) {
        mine.ms = wall_ms;
        mine.counter = ((unsigned)r0 << 8 | r1) & 0x7ff;
    } else if (++mine.counter > COUNTER_MAX) {
        mine.ms++;
        mine.counter = ((unsigned)r0 << 8 | r1) & 0x7ff;
    }
}

struct uuid uuid_v7(int64_t wall_ms)
{
    struct uuid u;
    uint8_t r[10];

    draw(r, sizeof r);
    advance(wall_ms < 0 ? 0 : wall_ms, r[8], r[9]);
    for (int i = 0; i < 6; i++)
        u.b[i] = (uint8_t)((uint64_t)mine.ms >> (40 - 8 * i));
    u.b[6] = (uint8_t)(0x70 | mine.counter >> 8);
    u.b[7] = (uint8_t)mine.counter;
    memcpy(u.b + 8, r, 8);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

void uuid_text(struct uuid u, char out[UUID_TEXT])
{
    static const uint8_t at[16] = { 0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34 };

    for (int i = 0; i < 16; i++)
        memcpy(out + at[i], hex_pairs[u.b[i]], 2);
    out[8] = out[13] = out[18] = out[23] = '-';
    out[UUID_TEXT - 1] = '\0';
}

bool uuid_read(struct slice s, struct uuid *ret)
{
    static const struct {
        uint8_t at, bytes, to;
    } groups[] = { { 0, 4, 0 }, { 9, 2, 4 }, { 14, 2, 6 }, { 19, 2, 8 }, { 24, 6, 10 } };
    struct uuid u;

    if (s.n != UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < 5; i++) {
        if (i > 0 && s.p[groups[i].at - 1] != '-')
            return false;
        if (!hex_read(slice_sub(s, groups[i].at, 2u * groups[i].bytes), u.b + groups[i].to, groups[i].bytes))
            return false;
    }
    *ret = u;
    return true;
}
