/* The log for auditors: the same paths as on the data listener, entries and every exchange's proof included. Reading
 * entries and proofs is an act of its own, on record before anything is shown; checkpoint and tiles are hashes, and
 * are counted, as on the data listener. Files are read by the reading thread: nothing here holds up a revocation. */
#include "gateway/control_internal.h"
#include "gateway/log_reader.h"

enum { READERS = ROLE_AUDITOR | ROLE_AUDIT_ADMIN };

static const struct outcome {
    enum err e;
    enum reason r;
    const char *en, *zh;
} outcomes[] = {
    { ERR_AGAIN, REASON_PROOF_PENDING, NULL, NULL },
    { ERR_TOO_LARGE, REASON_PROOF_PENDING, "name the indexes that Sluice-Receipt told: ?intent=…&outcome=…",
      "请用 ?intent=…&outcome=… 指明 Sluice-Receipt 所给序号" },
    { ERR_CORRUPT, REASON_INTERNAL, "the log's files do not have its signed root: run sluice audit verify",
      "日志文件与其签名根不符：请运行 sluice audit verify" },
};

static void on_done(struct log_job *j)
{
    struct api_request *q = j->arg;

    q->control->log_reads--;
    buf_put(&q->out, buf_slice(&j->out));
    buf_done(&j->out);
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
        if (outcomes[i].e == j->e) {
            api_problem(q, outcomes[i].r, outcomes[i].en, outcomes[i].zh);
            return;
        }
    if (j->e == ERR_OK && !j->proof && !j->entries)
        api_count(q->control, REASON_LOG_READ);
    if (j->e == ERR_OK)
        api_ok(q);
    else
        api_error(q, j->e);
}

static void begin(struct api_request *q)
{
    struct log_job *j = q->state;

    if (log_reader_put(q->control->reader, j) == ERR_OK)
        q->control->log_reads++;
    else
        api_problem(q, REASON_OVERLOADED, NULL, NULL);
}

static struct log_job *job_new(struct api_request *q)
{
    struct log_job *j = arena_zalloc(&q->arena, sizeof *j);

    if (j == NULL) {
        api_error(q, ERR_NOMEM);
        return NULL;
    }
    j->arg = q;
    j->back = q->control->loop;
    j->done = on_done;
    j->log = q->control->log;
    q->state = j;
    return j;
}

/* On record first. */
static void begin_act(struct api_request *q, const char *verb, struct slice object)
{
    struct act a;
    enum err e;

    if (act_begin(q, &a, false) != ERR_OK)
        return;
    e = act_record(q, &a, verb, object, SLICE("{}"));
    a.then = begin;
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

/* The segments behind "log/" as they were asked for. */
static struct slice path_again(struct api_request *q)
{
    struct buf b = BUF_INIT(256);
    struct slice path;

    for (size_t i = 1; i < q->n_path; i++) {
        if (i > 1)
            buf_putc(&b, '/');
        buf_put(&b, q->path[i]);
    }
    path = b.failed == ERR_OK ? arena_dup(&q->arena, buf_slice(&b)) : (struct slice){ 0 };
    buf_done(&b);
    return path;
}

static void resource(struct api_request *q)
{
    struct log_job *j = job_new(q);
    bool entries = q->n_path > 2 && slice_is(q->path[2], "entries");

    if (j == NULL)
        return;
    j->path = path_again(q);
    j->entries = entries;
    q->type = slice_is(q->path[1], "tile") ? "application/octet-stream" : "text/plain; charset=utf-8";
    if (!entries)
        begin(q);
    else if (!(q->actor.roles & READERS))
        api_problem(q, REASON_AUDITORS_ONLY, NULL, NULL);
    else if (!audit_tile_known(j->path, true)) /* a path goes on record: only one that says which entries */
        api_problem(q, REASON_NOT_FOUND, "entries are at /log/tile/entries/x001/234 or …/234.p/56",
                    "存证条目位于 /log/tile/entries/x001/234 或 …/234.p/56");
    else
        begin_act(q, "audit.entries", j->path);
}

static bool index_read(struct api_request *q, const char *name, uint64_t *ret)
{
    struct slice v = api_query(q, name);

    *ret = AUDIT_UNKNOWN;
    return v.n == 0 || slice_u64(v, 0, ((uint64_t)1 << 53) - 1, ret);
}

static void proof(struct api_request *q)
{
    struct log_job *j = job_new(q);

    if (j == NULL)
        return;
    j->proof = j->ask.any = true;
    if (!uuid_read(q->path[2], &j->ask.exchange) || !index_read(q, "intent", &j->ask.intent) ||
        !index_read(q, "outcome", &j->ask.outcome)) {
        api_problem(q, REASON_NOT_FOUND, "proofs are at /log/proof/{exchange}?intent=…&outcome=…",
                    "证明位于 /log/proof/{交换编号}?intent=…&outcome=…");
        return;
    }
    begin_act(q, "audit.proof", q->path[2]);
}

const struct api_route api_log_routes[] = {
    { "GET", "log/checkpoint", resource, 0, true },
    { "GET", "log/checkpoint.witnessed", resource, 0, true },
    { "GET", "log/tile/*", resource, 0, true },
    { "GET", "log/proof/{}", proof, READERS, false },
    { .method = NULL },
};
