/* Start and end of a log: the folder, its lock, the verifier key, recovery, the intents left open, the first
 * checkpoint, the thread; and what any thread may ask of it. Invariant: audit_open returns a log whose records are all
 * durable, whose checkpoint covers them, and which has no open intent. */
#include "audit/log.h"
#include "audit/note.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { DEFAULT_SEGMENT = 256 << 20, DEFAULT_RESERVE = 4 << 20, CLOSE_BATCH = 4096, PSEUDONYM_BYTES = 16 };

static struct audit_log *log_free(struct audit_log *l)
{
    if (l == NULL)
        return NULL;
    segment_finish(l);
    if (l->lock_fd >= 0)
        close(l->lock_fd); /* and with it the lock */
    openset_done(&l->open);
    tiles_done(&l->tiles);
    for (unsigned i = 0; i < AFTER_BATCHES; i++) {
        buf_done(&l->pool[i].bytes);
        mem_free(l->pool[i].items);
    }
    buf_done(&l->note);
    buf_done(&l->witnessed);
    digest_free(l->digest);
    pthread_mutex_destroy(&l->note_lock);
    pthread_mutex_destroy(&l->seg.lock);
    mem_free(l->dir);
    mem_free(l->origin);
    mem_wipe(l, sizeof *l);
    return mem_free(l);
}

static struct audit_log *log_new(const struct audit_config *c)
{
    struct audit_log *l = mem_zalloc(sizeof *l);
    if (l == NULL)
        return NULL;
    pthread_mutex_init(&l->note_lock, NULL);
    pthread_mutex_init(&l->seg.lock, NULL);
    l->c = *c;
    hmac_key_init(&l->salts, slice_make(c->salt_key, KEY_LEN));
    hmac_key_init(&l->names, slice_make(c->name_key, KEY_LEN));
    mem_wipe(l->c.salt_key, KEY_LEN);
    mem_wipe(l->c.name_key, KEY_LEN);
    if (l->c.segment_bytes == 0)
        l->c.segment_bytes = DEFAULT_SEGMENT;
    if (l->c.reserve_bytes == 0)
        l->c.reserve_bytes = DEFAULT_RESERVE;
    l->io = c->io != NULL ? c->io : &audit_io_system;
    l->lock_fd = l->seg.fd = -1;
    tiles_init(&l->tiles);
    l->dir = mem_dup(slice_of(c->dir));
    l->origin = mem_dup(c->origin);
    l->c.dir = l->dir;
    l->c.origin = slice_of(l->origin);
    l->digest = digest_new();
    for (unsigned i = 0; i < AFTER_BATCHES; i++)
        l->pool[i].bytes = BUF_INIT(BATCH_CAP);
    l->batch = &l->pool[0];
    l->note = BUF_INIT(NOTE_MAX);
    l->witnessed = BUF_INIT(NOTE_MAX);
    if (l->dir == NULL || l->origin == NULL || l->digest == NULL)
        return log_free(l);
    return l;
}

static enum err log_lock(struct audit_log *l, struct diags *d)
{
    char path[PATH_MAX];
    enum err e = dir_make(l->dir, 0700, d);
    if (e == ERR_OK)
        e = log_path(l, "lock", path);
    if (e != ERR_OK)
        return e;
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->lock_fd < 0)
        return diag_sys(d, errno, "cannot open %s", "无法打开 %s", path);
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    if (errno != EWOULDBLOCK)
        return diag_sys(d, errno, "cannot lock %s", "无法锁定 %s", path);
    return diag_add(
        d, ERR_BUSY, 0, 0,
        "log %s is in use by another process; stop it first, or give this node a log of its own (evidence.dir)",
        "存证日志 %s 正被另一进程使用；请先停止该进程，或为本节点另设日志目录（evidence.dir）", l->dir);
}

/* It names origin and key; another one in its place means that this is not the log that the settings mean. */
static enum err vkey_file(struct audit_log *l, const char *name, struct slice want, struct diags *d)
{
    char path[PATH_MAX];
    struct buf have = BUF_INIT(NOTE_MAX);
    enum err e = log_path(l, name, path);
    if (e == ERR_OK)
        e = file_read(path, &have, NULL);
    if (e == ERR_NOT_FOUND)
        e = file_write(path, want, 0644, d);
    else if (e == ERR_OK && !slice_eq(want, buf_slice(&have)))
        e = diag_add(
            d, ERR_CONFLICT, 0, 0,
            "%s is of another origin or key than the settings: restore keys and log together, or begin a new log",
            "%s 的来源或密钥与设置不符：请一并恢复密钥与日志，或启用新日志", path);
    else if (e != ERR_OK)
        e = diag_add(d, e, 0, 0, "cannot read %s", "无法读取 %s", path);
    buf_done(&have);
    return e;
}

static enum err log_vkey(struct audit_log *l, struct diags *d)
{
    struct buf want = BUF_INIT(NOTE_MAX);
    enum err e = audit_vkey(slice_of(l->origin), l->c.signer.public_key, &want);
    buf_putc(&want, '\n');
    if (e == ERR_OK)
        e = vkey_file(l, "log.vkey", buf_slice(&want), d);
    buf_clear(&want);
    if (e == ERR_OK && l->c.notary.has_sm2) {
        e = audit_sm2_vkey(slice_of(l->origin), l->c.notary.sm2_key, &want);
        buf_putc(&want, '\n');
        if (e == ERR_OK)
            e = vkey_file(l, "log.sm2.vkey", buf_slice(&want), d);
    }
    buf_done(&want);
    return e;
}

/* A full disk: the reserve is given back for what a start has to write. */
static enum err open_commit(struct audit_log *l)
{
    enum err e = commit_batch(l);
    if (e != ERR_FULL)
        return e;
    log_down(l, ERR_FULL);
    return commit_batch(l);
}

static enum err open_checkpoint(struct audit_log *l)
{
    enum err e = checkpoint_make(l, LOG_END_MS);
    if (e != ERR_FULL)
        return e;
    log_down(l, ERR_FULL);
    return checkpoint_make(l, LOG_END_MS);
}

/* One outcome for each intent that the last process left open, with what its last progress stated. */
static enum err close_intents(struct audit_log *l)
{
    uint64_t total = l->open.count;
    enum err e = ERR_OK;
    while (e == ERR_OK && l->open.count > 0) {
        size_t slot = 0;
        const struct openset_entry *x;
        e = batch_begin(l);
        while (e == ERR_OK && l->batch->lines < CLOSE_BATCH && (x = openset_each(&l->open, &slot)) != NULL) {
            struct audit_record r = { .kind = AUDIT_OUTCOME,
                                      .at = clock_wall_ms(),
                                      .exchange = x->exchange,
                                      .part = x->part,
                                      .reason = REASON_INTERRUPTED,
                                      .has_reason = true,
                                      .bytes_out = x->bytes };
            struct batch_item facts = { .kind = AUDIT_OUTCOME, .part = x->part, .exchange = x->exchange };
            char line[AUDIT_RECORD_MAX];
            e = batch_line(l, slice_make(line, render_record(&r, line)), &facts);
        }
        if (e == ERR_OK)
            e = open_commit(l);
    }
    if (e == ERR_OK)
        atomic_store(&l->interrupted, total);
    return e;
}

/* The head of a new log, the outcomes of the interrupted, and a checkpoint over all of it. */
static enum err log_settle(struct audit_log *l, struct diags *d)
{
    char path[PATH_MAX];
    atomic_store(&l->available, true);
    atomic_store(&l->size, l->next);
    atomic_store(&l->last_act, l->act);
    enum err e = log_path(l, "reserve", path);
    if (e == ERR_OK && l->io->reserve(l->io->self, path, (off_t)l->c.reserve_bytes) != 0)
        log_down(l, log_sys(errno));
    if (e == ERR_OK && l->next == 0)
        e = batch_begin(l);
    if (e == ERR_OK && l->next == 0)
        e = open_commit(l);
    if (e == ERR_OK)
        e = close_intents(l);
    if (e == ERR_OK)
        e = open_checkpoint(l);
    if (e == ERR_OK)
        return ERR_OK;
    return diag_add(d, e, 0, 0, "cannot write the log %s: %s", "无法写入存证日志 %s：%s", l->dir, err_text(e));
}

enum err audit_open(const struct audit_config *c, struct audit_log **ret, struct diags *d)
{
    if (!note_name_valid(c->origin))
        return diag_add(d, ERR_INVALID, 0, 0, "the log's origin may not hold spaces or '+'",
                        "存证日志来源不得含空格或加号");
    struct audit_log *l = log_new(c);
    if (l == NULL)
        return ERR_NOMEM;
    enum err e = log_lock(l, d);
    if (e == ERR_OK)
        e = log_vkey(l, d);
    if (e == ERR_OK)
        e = recover_log(l, d);
    if (e == ERR_OK)
        e = log_settle(l, d);
    if (e != ERR_OK) {
        log_free(l);
        return e;
    }
    *ret = l;
    return ERR_OK;
}

enum err audit_start(struct audit_log *l)
{
    l->checkpoint_due = clock_mono_ms() + LOG_TICK_MS;
    if (pthread_create(&l->second, NULL, after_main, l) != 0)
        return ERR_SYS;
    l->running = true;
    if (pthread_create(&l->thread, NULL, writer_main, l) == 0)
        return ERR_OK;
    after_end(l);
    pthread_join(l->second, NULL);
    l->running = false;
    return ERR_SYS;
}

struct audit_log *audit_close(struct audit_log *l)
{
    if (l == NULL)
        return NULL;
    atomic_store(&l->stop, true);
    log_wake(l);
    if (l->running) {
        pthread_join(l->thread, NULL);
        pthread_join(l->second, NULL);
    }
    l->running = false;
    return log_free(l);
}

struct slice audit_origin(const struct audit_log *l)
{
    return slice_of(l->origin);
}

const char *audit_dir(const struct audit_log *l)
{
    return l->dir;
}

void audit_status(const struct audit_log *l, struct audit_status *ret)
{
    int64_t hung = log_hung_ms(l);
    enum err unstored = (enum err)atomic_load(&l->unstored), slow = unstored != ERR_OK ? unstored : ERR_TIMEOUT;
    *ret = (struct audit_status){
        .size = atomic_load(&l->size),
        .last_act = atomic_load(&l->last_act),
        .checkpoint_size = atomic_load(&l->checkpoint_size),
        .checkpoint_at = atomic_load(&l->checkpoint_at),
        .interrupted = atomic_load(&l->interrupted),
        .torn_bytes = l->torn_bytes,
        .available = atomic_load(&l->available) && hung == 0,
        .hung_ms = unstored == ERR_OK ? hung : 0,
        .why = hung > 0 ? slow : (enum err)atomic_load(&l->why),
        .commits = atomic_load(&l->commits),
        .bytes = atomic_load(&l->bytes),
    };
}

struct sha256 audit_salt(const struct audit_log *l, struct uuid exchange, char direction)
{
    return hmac_with(&l->salts, slice_make(exchange.b, sizeof exchange.b), slice_make(&direction, 1));
}

static void put_pseudonym(const struct audit_log *l, struct slice spelling, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    struct sha256 h = hmac_with(&l->names, SLICE("pseudonym:"), spelling);
    for (size_t i = 0; i < PSEUDONYM_BYTES; i++) {
        out[2 * i] = digits[h.b[i] >> 4];
        out[2 * i + 1] = digits[h.b[i] & 15];
    }
    out[2 * PSEUDONYM_BYTES] = '\0';
}

void audit_pseudonym(const struct audit_log *l, struct slice value, char out[33])
{
    char mem[PERSON_ROOM];
    put_pseudonym(l, person_fold(value, mem), out);
}

unsigned audit_pseudonyms(const struct audit_log *l, struct slice value, char out[1 + PERSON_SPELLINGS][33])
{
    struct slice older[PERSON_SPELLINGS];
    char mem[PERSON_SPELLINGS][PERSON_ROOM];
    unsigned n = person_spellings(value, older, mem);
    audit_pseudonym(l, value, out[0]);
    for (unsigned i = 0; i < n; i++)
        put_pseudonym(l, older[i], out[1 + i]);
    return 1 + n;
}

struct sha256 audit_keyed_digest(const struct audit_log *l, struct slice raw)
{
    return hmac_with(&l->names, SLICE("raw:"), raw);
}
