/* The exchange's columns as evidence. An intent says who, what, why and on whose authority; an outcome what came and
 * went; a refusal all of what is known of an attempt that never became an intent. */
#include "gateway/room.h"
#include "gateway/stage_log.h"
#include "gateway/upload.h"

enum { PROVIDER_CODE_MOST = 6 };

static const struct audit_known nothing;

static void fill_common(const struct exchange *x, struct audit_record *r, enum audit_kind kind)
{
    *r = (struct audit_record){ .kind = kind, .at = loop_wall(x->w->loop), .exchange = x->id };
}

/* What each exchange says for itself. */
static void fill_said(const struct exchange *x, struct audit_record *r)
{
    r->operator_ = x->ask.operator_;
    r->case_ = x->ask.case_;
    r->trace = x->ask.trace;
    r->snapshot = x->generation;
}

static void fill_who(const struct exchange *x, struct audit_record *r)
{
    r->subject = slice_of(x->uri);
    r->peer = slice_of(x->address);
    r->certificate = slice_of(x->digest);
    /* A name that the catalog does not know could be anything, so it is recorded like other raw bytes. */
    if (x->log)
        r->resource = log_ask_resource(x);
    else if (x->service || snapshot_resource(x->w->snapshot, x->ask.resource))
        r->resource = x->ask.resource;
    r->purpose = x->verdict.purpose.n ? x->verdict.purpose : x->ask.purpose;
    r->resource_version = x->service ? x->service->version : 0;
    if (x->grant) {
        r->grant = slice_of(policy_grant_id(x->grant));
        r->grant_version = x->grant->version;
    }
}

/* What an intent's record borrows. On the stack: an allocation that failed would leave out who is asked for, or what.
 */
struct intent_text {
    struct audit_param params[AUDIT_PARAMS_MAX];
    char pseudonyms[AUDIT_PARAMS_MAX][33];
    char items[2048]; /* more than a record shows */
};

/* Parameters by name; those that identify a person as pseudonyms. */
static size_t fill_params(struct exchange *x, struct intent_text *t)
{
    size_t n = x->params.n < AUDIT_PARAMS_MAX ? x->params.n : AUDIT_PARAMS_MAX;

    for (size_t i = 0; i < n; i++) {
        const struct translate_param *p = &x->params.at[i];
        t->params[i] = (struct audit_param){ p->name, p->value, p->person };
        if (p->person) {
            audit_pseudonym(x->w->cfg.log, p->value, t->pseudonyms[i]);
            t->params[i].value = slice_of(t->pseudonyms[i]);
        }
    }
    return n;
}

static bool is_granted(const struct exchange *x, size_t i)
{
    return i < POLICY_ITEM_WORDS * 64 && (x->verdict.items.bit[i / 64] >> (i % 64) & 1);
}

/* Names joined by ','; the renderer cuts what is too long, and says so. */
static struct slice granted_items(struct exchange *x, struct intent_text *t)
{
    const struct catalog_resource *r = x->service->resource;
    struct buf names = { .p = t->items, .room = sizeof t->items - 1, .cap = sizeof t->items - 1 };

    for (size_t i = 0; i < r->n_items; i++) {
        if (!is_granted(x, i))
            continue;
        if (names.n > 0)
            buf_putc(&names, ',');
        buf_put(&names, r->items[i].name);
    }
    return buf_slice(&names); /* it never grew: room is cap */
}

static enum err put(struct exchange *x, const struct audit_record *r, unsigned flags, struct evidence *ev)
{
    enum room_line line = flags & AUDIT_ESSENTIAL ? ROOM_OWED : ROOM_NEW;
    enum err e = room_turn(x, line) ? audit_put(x->w->queue, r, flags, ev) : ERR_AGAIN;

    if (e == ERR_AGAIN)
        room_wait(x, line);
    else
        room_leave(x);
    if (e != ERR_OK) {
        x->gapped = x->gapped || (e == ERR_DOWN && ev == &x->intent);
        return e;
    }
    ev->pending = true;
    ev->durable = ev->failed = false;
    x->outstanding++;
    return ERR_OK;
}

/* Who asked for which proof. */
static enum err record_log_intent(struct exchange *x)
{
    struct audit_record r;
    char id[UUID_TEXT];
    struct audit_param param = { .name = SLICE("exchange"), .value = { id, UUID_TEXT - 1 } };

    uuid_text(log_ask_exchange(x), id);
    fill_common(x, &r, AUDIT_INTENT);
    fill_who(x, &r);
    fill_said(x, &r);
    r.params = &param;
    r.n_params = 1;
    return put(x, &r, 0, &x->intent);
}

/* ---- what is the same for many exchanges ---- */
static struct intent_memo *memo_of(const struct exchange *x)
{
    return &x->w->intents[(((uintptr_t)x->grant >> 6) ^ (unsigned char)x->digest[0] ^
                           (unsigned char)x->digest[1] << 3) %
                          INTENT_MEMOS];
}

static bool memo_holds(const struct intent_memo *m, const struct exchange *x, struct slice purpose)
{
    return m->in == x->w->snapshot && m->generation == x->generation && m->service == x->service &&
           m->grant == x->grant && memcmp(&m->items, &x->verdict.items, sizeof m->items) == 0 &&
           slice_eq(purpose, slice_make(m->purpose, m->purpose_n)) && strcmp(m->digest, x->digest) == 0 &&
           strcmp(m->uri, x->uri) == 0 && strcmp(m->address, x->address) == 0;
}

/* The record has all that is to be remembered. */
static void memo_make(struct intent_memo *m, const struct exchange *x, const struct audit_record *r)
{
    m->in = NULL;
    if (x->generation != x->w->snapshot->generation || r->purpose.n > sizeof m->purpose ||
        audit_know(r, &m->text) != ERR_OK)
        return;
    m->in = x->w->snapshot;
    m->generation = x->generation;
    m->service = x->service;
    m->grant = x->grant;
    m->items = x->verdict.items;
    m->purpose_n = (uint8_t)r->purpose.n;
    memcpy(m->purpose, r->purpose.p ? r->purpose.p : "", r->purpose.n);
    memcpy(m->digest, x->digest, sizeof m->digest);
    memcpy(m->uri, x->uri, sizeof m->uri);
    memcpy(m->address, x->address, sizeof m->address);
}

static void fill_known(struct exchange *x, struct audit_record *r, struct intent_text *text)
{
    struct intent_memo *m = memo_of(x);

    if (!memo_holds(m, x, x->verdict.purpose.n ? x->verdict.purpose : x->ask.purpose)) {
        fill_who(x, r);
        r->items = granted_items(x, text);
        memo_make(m, x, r);
    }
    if (m->in != NULL)
        r->known = &m->text;
}

enum err record_intent(struct exchange *x)
{
    struct audit_record r;
    struct intent_text text;

    if (x->log)
        return record_log_intent(x);
    fill_common(x, &r, AUDIT_INTENT);
    fill_known(x, &r, &text);
    fill_said(x, &r);
    r.params = text.params;
    r.n_params = fill_params(x, &text);
    r.debit_rows = x->verdict.max_rows;
    /* Where answers are long their consumers wait for the intent, and the provider with them. */
    if (!translate_safe(x->service->plan) || atomic_load_explicit(&x->service->long_answers, memory_order_relaxed))
        return put(x, &r, 0, &x->intent);
    worker_nudge_later(x->w);
    return put(x, &r, AUDIT_LAZY, &x->intent);
}

enum err record_refused(struct exchange *x)
{
    struct audit_record r;
    struct intent_text text;
    struct sha256 raw;

    fill_common(x, &r, AUDIT_REFUSED);
    fill_who(x, &r);
    fill_said(x, &r);
    r.params = text.params;
    r.n_params = fill_params(x, &text);
    r.has_reason = true;
    r.reason = x->reason;
    r.status = reason_info(x->reason)->status;
    if (x->raw.n > 0) {
        raw = audit_keyed_digest(x->w->cfg.log, x->raw);
        r.raw_length = x->raw.n;
        r.raw_digest = &raw;
    }
    return put(x, &r, 0, &x->outcome);
}

void record_digest(struct exchange *x, struct digest *d, char direction)
{
    struct sha256 salt = audit_salt(x->w->cfg.log, x->id, direction);

    digest_begin(d);
    digest_add(d, slice_make(salt.b, sizeof salt.b));
    x->hashing = x->hashing || direction != 'u'; /* a body that was sent tells of no answer */
}

/* What passed unread was hashed once. All of it: the two digests are the same, under the same salt. A part: only what
 * was handed out has one. */
static void fill_digests(struct exchange *x, struct audit_record *r)
{
    if (x->hashing && !x->summed) {
        if (x->digest_in)
            x->sum_in = digest_end(x->digest_in);
        x->sum_out = digest_end(x->digest_out);
        x->summed = true;
    }
    if (!x->summed)
        return;
    if (x->bytes_out > 0 && !x->withheld)
        r->digest_out = &x->sum_out;
    if (x->digest_in)
        r->digest_in = &x->sum_in;
    else if (x->bytes_in == x->bytes_out)
        r->digest_in = r->digest_out;
}

enum err record_outcome(struct exchange *x)
{
    struct audit_record r;
    int64_t now = loop_now(x->w->loop);

    fill_common(x, &r, AUDIT_OUTCOME);
    r.known = &nothing; /* its intent says it */
    r.has_reason = true;
    r.reason = x->reason;
    r.status = reason_info(x->reason)->status;
    r.bytes_in = x->bytes_in;
    r.bytes_out = x->bytes_out;
    r.duration_ms = (uint64_t)(now - x->began);
    r.provider_ms = x->asked_at ? (uint64_t)((x->answered_at ? x->answered_at : now) - x->asked_at) : 0;
    if (x->head_sent)
        r.status = 200; /* what was told, whatever came of it */
    r.rows = x->reason == REASON_GRANTED || x->bytes_out > 0 ? x->found.rows : 0;
    r.findings = x->found.findings;
    /* Whatever stands at success.at comes here when it is none of the declared codes: a code is short, and what is
     * longer could be somebody's number. */
    if (strlen(x->found.code) <= PROVIDER_CODE_MOST)
        r.provider_code = slice_of(x->found.code);
    fill_digests(x, &r);
    if (x->up != NULL)
        upload_record(x, &r);
    return put(x, &r, AUDIT_ESSENTIAL, &x->outcome);
}

enum err record_progress(struct exchange *x)
{
    struct audit_record r;

    fill_common(x, &r, AUDIT_PROGRESS);
    r.bytes_in = x->bytes_in;
    r.bytes_out = x->bytes_out;
    if (x->up != NULL)
        upload_record(x, &r);
    return put(x, &r, 0, &x->progress);
}

enum err record_cut(struct exchange *x)
{
    struct audit_record r;

    fill_common(x, &r, AUDIT_CUT);
    r.has_reason = true;
    r.reason = x->cut_reason;
    r.bytes_out = x->bytes_out - x->out.n;
    return put(x, &r, AUDIT_ESSENTIAL, &x->cut);
}
