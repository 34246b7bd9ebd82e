/* See world.h. The disk of struct faults has `room` bytes: writes that extend, and the reserve file, use it up. The
 * log's two threads use it while the test changes it: every look and what follows from it is under its lock. */
#include "tests/unit/audit/world.h"
#include "tests/unit/audit/second.h"
#include "tests/unit/folder.h"
#include "tests/unit/until.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096 };

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    arena_init(&w->arena, 1 << 20);
    diags_init(&w->d, &w->arena);
    assert_int_equal(crypto_init(&w->d), ERR_OK);
    folder_make(w->dir, sizeof w->dir, "audit");
    assert_int_equal(ed25519_generate(world_path(w, "key.pem"), &w->d), ERR_OK);
    assert_int_equal(ed25519_load(world_path(w, "key.pem"), &w->key, &w->d), ERR_OK);
    w->c = (struct audit_config){ .dir = w->dir,
                                  .origin = SLICE("city.example/log/node-1"),
                                  .signer = ed25519_signer(w->key),
                                  .epoch = 1,
                                  .reserve_bytes = 65536 };
    memset(w->c.salt_key, 1, KEY_LEN);
    memset(w->c.name_key, 2, KEY_LEN);
    w->vkey = BUF_INIT(1024);
    assert_int_equal(audit_vkey(w->c.origin, w->c.signer.public_key, &w->vkey), ERR_OK);
}

void world_close(struct world *w)
{
    w->q = audit_queue_free(w->q);
    w->log = audit_close(w->log);
}

void world_done(struct world *w)
{
    char command[128];
    world_close(w);
    ed25519_free(w->key);
    buf_done(&w->vkey);
    arena_done(&w->arena);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
}

void world_done_fn(void *waiter, enum err e, uint64_t index)
{
    struct waited *x = waiter;
    assert_false(x->done);
    *x = (struct waited){ true, e, index };
}

enum err world_open(struct world *w)
{
    enum err e = audit_open(&w->c, &w->log, &w->d);
    if (e != ERR_OK)
        return e;
    assert_int_equal(audit_queue_new(w->log, 1 << 20, world_done_fn, &w->q), ERR_OK);
    assert_int_equal(audit_start(w->log), ERR_OK);
    return ERR_OK;
}

struct uuid world_exchange(unsigned n)
{
    struct uuid u = { { 0x01, 0x9a, 0, 0, 0, 0, 0x70, 0 } };
    for (unsigned i = 0; i < 4; i++)
        u.b[8 + i] = u.b[12 + i] = (uint8_t)(n >> 8 * i);
    return u;
}

struct audit_record world_intent(unsigned n)
{
    return (struct audit_record){ .kind = AUDIT_INTENT,
                                  .at = 1795309200000 + n,
                                  .exchange = world_exchange(n),
                                  .subject = SLICE("spiffe://city.example/dept/education/app/admission"),
                                  .peer = SLICE("127.0.0.1"),
                                  .resource = SLICE("public-security/household"),
                                  .resource_version = 3,
                                  .grant = SLICE("g-2026-0001"),
                                  .grant_version = 1,
                                  .purpose = SLICE("admission"),
                                  .operator_ = SLICE("zhang"),
                                  .case_ = SLICE("入学-17"),
                                  .snapshot = 12,
                                  .debit_rows = 100,
                                  .items = SLICE("name,relation") };
}

struct audit_record world_outcome(unsigned n)
{
    return (struct audit_record){ .kind = AUDIT_OUTCOME,
                                  .at = 1795309200001 + n,
                                  .exchange = world_exchange(n),
                                  .reason = REASON_GRANTED,
                                  .has_reason = true,
                                  .status = 200,
                                  .rows = 1,
                                  .bytes_in = 900,
                                  .bytes_out = 400,
                                  .duration_ms = 7 };
}

void world_wait(struct world *w, struct waited *x)
{
    struct pollfd p = { .fd = audit_queue_fd(w->q), .events = POLLIN };
    for (int turns = 0; !x->done; turns++) {
        assert_true(turns < 100000);
        audit_poll(w->q);
        if (!x->done)
            assert_int_equal(poll(&p, 1, 20000), 1);
    }
}

struct waited world_put(struct world *w, const struct audit_record *r, unsigned flags)
{
    struct waited x = { 0 };
    enum err e = audit_put(w->q, r, flags, &x);
    if (e != ERR_OK)
        return (struct waited){ true, e, 0 };
    audit_kick(w->q);
    world_wait(w, &x);
    return x;
}

void world_fill(struct world *w, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        struct audit_record a = world_intent(i), b = world_outcome(i);
        struct waited x = { 0 };
        assert_int_equal(audit_put(w->q, &a, 0, NULL), ERR_OK);
        assert_int_equal(audit_put(w->q, &b, 0, &x), ERR_OK);
        audit_kick(w->q);
        world_wait(w, &x);
        assert_int_equal(x.e, ERR_OK);
    }
}

uint64_t world_size(const struct world *w)
{
    struct audit_status s;
    audit_status(w->log, &s);
    return s.size;
}

void world_covered(struct world *w, struct audit_status *ret)
{
    UNTIL((audit_status(w->log, ret), ret->checkpoint_size == ret->size));
}

void world_verify(struct world *w, struct audit_report *ret)
{
    enum err e = audit_verify(w->dir, buf_slice(&w->vkey), NULL, NULL, ret, &w->d);
    assert_int_equal(e, ERR_OK);
    second_log(w->dir, &(struct second_log){ .vkey = buf_slice(&w->vkey) }, ret);
}

void world_good(struct world *w, uint64_t size)
{
    struct audit_report r;
    world_verify(w, &r);
    if (r.failed)
        print_error("record %llu %s in %s at %llu\n", (unsigned long long)r.bad_index, r.bad_what, r.bad_file,
                    (unsigned long long)r.bad_offset);
    assert_false(r.failed);
    assert_true(r.signature_ok);
    assert_int_equal(r.size, size);
}

char *world_path(const struct world *w, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    return path;
}

void world_read(const struct world *w, const char *name, struct buf *out)
{
    assert_int_equal(file_read(world_path(w, name), out, NULL), ERR_OK);
}

void world_write(const struct world *w, const char *name, struct slice s)
{
    FILE *f = fopen(world_path(w, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(s.p, 1, s.n, f), s.n);
    assert_int_equal(fclose(f), 0);
}

void world_copy(const struct world *w, const char *to)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s && cp -a %s %s", to, w->dir, to);
    assert_int_equal(system(command), 0);
}

/* ---- with the lock held ---- */
static bool faulty(struct faults *f, enum fault_kind k)
{
    if (f->n[k] == 0)
        return false;
    if (f->skip[k] > 0) {
        f->skip[k]--;
        return false;
    }
    if (f->n[k] > 0)
        f->n[k]--;
    errno = f->sys[k];
    return true;
}

static int held_create(void *self, const char *path)
{
    return faulty(self, FAULT_CREATE) ? -1 : audit_io_system.create(NULL, path);
}

static int f_open(void *self, const char *path)
{
    (void)self;
    return audit_io_system.open(NULL, path);
}

static ssize_t held_write(void *self, int fd, const void *p, size_t n, off_t at)
{
    struct faults *f = self;
    if (faulty(f, FAULT_WRITE))
        return -1;
    if (f->short_writes && n > 1)
        n = n / 2;
    off_t size = lseek(fd, 0, SEEK_END);
    long inside = at < size ? (long)(size - at) : 0;
    if (f->room >= 0 && (long)n > inside + f->room) {
        n = (size_t)(inside + f->room);
        if (n == 0) {
            errno = ENOSPC;
            return -1;
        }
    }
    ssize_t done = audit_io_system.write(NULL, fd, p, n, at);
    if (done > inside && f->room >= 0)
        f->room -= done - inside;
    return done;
}

static ssize_t held_write_durable(void *self, int fd, const void *p, size_t n, off_t at)
{
    ssize_t done = held_write(self, fd, p, n, at);
    return done >= 0 && faulty(self, FAULT_SYNC) ? -1 : done;
}

static int held_fill(void *self, int fd, off_t at, uint64_t n)
{
    struct faults *f = self;
    off_t size = lseek(fd, 0, SEEK_END), more = at + (off_t)n > size ? at + (off_t)n - size : 0;
    if (faulty(f, FAULT_FILL))
        return -1;
    if (f->room >= 0 && more > f->room) {
        errno = ENOSPC;
        return -1;
    }
    if (f->room >= 0)
        f->room -= more;
    return audit_io_system.fill(NULL, fd, at, n);
}

static int held_sync(void *self, int fd)
{
    return faulty(self, FAULT_SYNC) ? -1 : audit_io_system.sync(NULL, fd);
}

static int f_sync_dir(void *self, const char *path)
{
    (void)self;
    return audit_io_system.sync_dir(NULL, path);
}

static int held_truncate(void *self, int fd, off_t size)
{
    struct faults *f = self;
    off_t now = lseek(fd, 0, SEEK_END);
    int rc = audit_io_system.truncate(NULL, fd, size);
    if (rc == 0 && f->room >= 0 && now > size)
        f->room += now - size;
    return rc;
}

static int held_reserve(void *self, const char *path, off_t bytes)
{
    struct faults *f = self;
    if (faulty(f, FAULT_RESERVE))
        return -1;
    if (f->room >= 0 && f->reserved == 0 && bytes + BLOCK > f->room) { /* it takes whole blocks */
        errno = ENOSPC;
        return -1;
    }
    int rc = audit_io_system.reserve(NULL, path, bytes);
    if (rc == 0 && f->reserved == 0) {
        f->reserved = bytes;
        if (f->room >= 0)
            f->room -= bytes;
    }
    return rc;
}

static int held_unlink(void *self, const char *path)
{
    struct faults *f = self;
    int rc = audit_io_system.unlink(NULL, path);
    if (rc == 0 && slice_ends(slice_of(path), SLICE("/reserve"))) {
        if (f->room >= 0)
            f->room += f->reserved;
        f->reserved = 0;
    }
    return rc;
}

/* ---- taking it ---- */
#define LOCKED(type, call)                                                                                             \
    do {                                                                                                               \
        struct faults *locked = self;                                                                                  \
        pthread_mutex_lock(&locked->lock);                                                                             \
        type result = call;                                                                                            \
        pthread_mutex_unlock(&locked->lock); /* errno is as the call left it */                                        \
        return result;                                                                                                 \
    } while (0)

static int f_create(void *self, const char *path)
{
    LOCKED(int, held_create(self, path));
}

static ssize_t f_write(void *self, int fd, const void *p, size_t n, off_t at)
{
    LOCKED(ssize_t, held_write(self, fd, p, n, at));
}

static ssize_t f_write_durable(void *self, int fd, const void *p, size_t n, off_t at)
{
    LOCKED(ssize_t, held_write_durable(self, fd, p, n, at));
}

static int f_fill(void *self, int fd, off_t at, uint64_t n)
{
    LOCKED(int, held_fill(self, fd, at, n));
}

static int f_sync(void *self, int fd)
{
    LOCKED(int, held_sync(self, fd));
}

static int f_truncate(void *self, int fd, off_t size)
{
    LOCKED(int, held_truncate(self, fd, size));
}

static int f_reserve(void *self, const char *path, off_t bytes)
{
    LOCKED(int, held_reserve(self, path, bytes));
}

static int f_unlink(void *self, const char *path)
{
    LOCKED(int, held_unlink(self, path));
}

void faults_init(struct faults *f)
{
    memset(f, 0, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->room = -1;
    f->io = (struct audit_io){ .self = f,
                               .create = f_create,
                               .open = f_open,
                               .write = f_write,
                               .write_durable = f_write_durable,
                               .fill = f_fill,
                               .sync = f_sync,
                               .sync_dir = f_sync_dir,
                               .truncate = f_truncate,
                               .reserve = f_reserve,
                               .unlink = f_unlink };
}

void faults_set(struct faults *f, enum fault_kind k, int sys, int skip, int n)
{
    pthread_mutex_lock(&f->lock);
    f->sys[k] = sys;
    f->skip[k] = skip;
    f->n[k] = n;
    pthread_mutex_unlock(&f->lock);
}

void faults_room(struct faults *f, long room, long reserved)
{
    pthread_mutex_lock(&f->lock);
    f->room = room;
    if (reserved >= 0)
        f->reserved = reserved;
    pthread_mutex_unlock(&f->lock);
}

long faults_reserved(struct faults *f)
{
    pthread_mutex_lock(&f->lock);
    long n = f->reserved;
    pthread_mutex_unlock(&f->lock);
    return n;
}

void faults_short_writes(struct faults *f, bool on)
{
    pthread_mutex_lock(&f->lock);
    f->short_writes = on;
    pthread_mutex_unlock(&f->lock);
}
