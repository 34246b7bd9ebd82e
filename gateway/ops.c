/* The operations listener: /livez, /readyz, /readyz?verbose and /metrics in Prometheus's text form (base units, no
 * label that names a person or an application). Loopback and plain; nothing here changes anything. */
#include "gateway/control_internal.h"

#include <stdatomic.h>
#include <sys/resource.h>

enum { METRICS_CAP = 1 << 20, CONNECTIONS_MAX = 64 };

/* ---- metrics ---- */
static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *out, const char *name, const char *type, const char *help, uint64_t v)
{
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)v);
}

static uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit((_Atomic uint64_t *)at, memory_order_relaxed);
}

/* The sum of a counter over all workers, by its place in the struct. */
static uint64_t sum(const struct control *c, size_t offset)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < c->n_workers; i++)
        n += load((const _Atomic uint64_t *)(const void *)((const char *)worker_counters(c->workers[i]) + offset));
    return n;
}
#define SUM(c, field) sum(c, offsetof(struct worker_counters, field))

static void put_exchanges(struct buf *out, const struct control *c)
{
    head(out, "sluice_exchanges_total", "counter", "Exchanges that have ended, by reason.");
    for (unsigned r = 0; r < REASON_COUNT_; r++) {
        uint64_t n = sum(c, offsetof(struct worker_counters, exchanges) + r * sizeof(_Atomic uint64_t));
        if (n > 0 || r == REASON_GRANTED)
            buf_printf(out, "sluice_exchanges_total{reason=\"%s\"} %llu\n", reason_info((enum reason)r)->code,
                       (unsigned long long)n);
    }
}

static void put_seconds(struct buf *out, uint64_t ms)
{
    buf_printf(out, "%llu.%03llu", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

static void put_durations(struct buf *out, const struct control *c)
{
    static const char *const name = "sluice_exchange_duration_seconds";
    uint64_t below = 0;

    head(out, name, "histogram", "Time from the head of a request to the end of its exchange.");
    for (unsigned i = 0; i < 12; i++) {
        below += sum(c, offsetof(struct worker_counters, duration_bucket) + i * sizeof(_Atomic uint64_t));
        buf_printf(out, "%s_bucket{le=\"", name);
        if (i < 11)
            put_seconds(out, worker_duration_bounds_ms[i]);
        else
            buf_puts(out, "+Inf");
        buf_printf(out, "\"} %llu\n", (unsigned long long)below);
    }
    buf_printf(out, "%s_sum ", name);
    put_seconds(out, SUM(c, duration_sum_ms));
    buf_printf(out, "\n%s_count %llu\n", name, (unsigned long long)below);
}

static const struct summed {
    const char *name, *type, *help;
    size_t offset;
} summed[] = {
    { "sluice_exchanges_running", "gauge", "Exchanges under way.", offsetof(struct worker_counters, running) },
    { "sluice_provider_bytes_total", "counter", "Bytes received from providers.",
      offsetof(struct worker_counters, bytes_in) },
    { "sluice_consumer_bytes_total", "counter", "Bytes of answers handed to consumers.",
      offsetof(struct worker_counters, bytes_out) },
    { "sluice_rows_total", "counter", "Records handed to consumers.", offsetof(struct worker_counters, rows) },
    { "sluice_connections_opened_total", "counter", "Connections of consumers accepted.",
      offsetof(struct worker_counters, connections_opened) },
    { "sluice_connections_closed_total", "counter", "Connections of consumers ended.",
      offsetof(struct worker_counters, connections_closed) },
    { "sluice_attempts_counted_total", "counter", "Refused attempts that are in count records only.",
      offsetof(struct worker_counters, counted) },
};

static void put_sessions(struct buf *out, const struct control *c)
{
    struct tls_sessions_count n;

    if (c->sessions == NULL)
        return;
    n = tls_sessions_count(c->sessions);
    one(out, "sluice_tls_sessions", "gauge", "TLS sessions kept for resumption.", n.kept);
    one(out, "sluice_tls_sessions_found_total", "counter", "Sessions that were shown and known.", n.found);
    one(out, "sluice_tls_sessions_missed_total", "counter", "Sessions that were shown and not known.", n.missed);
    one(out, "sluice_tls_sessions_displaced_total", "counter", "Sessions dropped for want of room before their end.",
        n.displaced);
}

/* Names that Prometheus's client libraries use for every process. */
static void put_process(struct buf *out, struct control *c)
{
    struct rlimit files = { 0 };

    getrlimit(RLIMIT_NOFILE, &files);
    one(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
        pressure_resident(&c->pressure));
    one(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.", (uint64_t)files.rlim_cur);
    one(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
        (uint64_t)(c->started / 1000));
}

static void put_evidence(struct buf *out, struct control *c)
{
    struct audit_status s;

    struct audit_index_status x;

    audit_status(c->log, &s);
    audit_index_status(c->index, &x);
    one(out, "sluice_evidence_records", "gauge", "Durable records in the evidence log.", s.size);
    one(out, "sluice_evidence_commits_total", "counter", "Group commits since the start.", s.commits);
    one(out, "sluice_evidence_bytes_total", "counter", "Bytes written to the log since the start.", s.bytes);
    one(out, "sluice_evidence_available", "gauge", "1 while the evidence log can be written.", s.available);
    one(out, "sluice_evidence_checkpoint_size", "gauge", "Records under the last signed checkpoint.",
        s.checkpoint_size);
    one(out, "sluice_evidence_checkpoint_timestamp_seconds", "gauge", "Time of the last signed checkpoint.",
        (uint64_t)(s.checkpoint_at / 1000));
    one(out, "sluice_evidence_indexed_records", "gauge", "Records of the log that the search index covers.", x.indexed);
    one(out, "sluice_evidence_index_bytes", "gauge", "Bytes of the search index's files.", x.bytes);
    one(out, "sluice_evidence_free_bytes", "gauge", "Room on the disk of the log.",
        control_disk_free(audit_dir(c->log)));
}

static void put_witnesses(struct buf *out, struct control *c)
{
    struct witnesses_status s = { 0 };
    unsigned signing = 0;

    one(out, "sluice_keeper_signs", "gauge", "1 while the keeper signs checkpoints.",
        c->keeper == NULL || keeper_state(c->keeper) == KEEPER_SIGNS);
    if (c->witnesses == NULL)
        return;
    witnesses_status(c->witnesses, &s);
    for (size_t i = 0; i < s.n; i++)
        signing += s.at[i].state == WITNESS_SIGNS;
    one(out, "sluice_witnesses", "gauge", "Witnesses that the settings name.", s.n);
    one(out, "sluice_witnesses_signing", "gauge", "Witnesses whose last answer was a signature.", signing);
    one(out, "sluice_witnesses_quorum", "gauge", "Signatures that make a proof valid.", s.quorum);
    one(out, "sluice_witnesses_late", "gauge", "1 while the quorum is later than its bound.", s.late);
    one(out, "sluice_evidence_witnessed_size", "gauge", "Records under the newest checkpoint with the quorum.", s.size);
    one(out, "sluice_evidence_unwitnessed_seconds", "gauge", "Since when records are without the quorum.",
        (uint64_t)(s.behind_ms / 1000));
}

static void put_cosigner(struct buf *out, struct control *c)
{
    struct cosigner_status s;

    if (c->cosigner == NULL)
        return;
    cosigner_status(c->cosigner, &s);
    one(out, "sluice_witnessed_logs", "gauge", "Other operators' logs that this gateway co-signs.", s.logs);
    one(out, "sluice_cosignatures_total", "counter", "Checkpoints of theirs co-signed since the start.", s.cosigned);
    one(out, "sluice_cosignatures_refused_total", "counter", "Requests refused, those of forked logs included.",
        s.refused);
    one(out, "sluice_witnessed_logs_misbehaved_total", "counter", "Checkpoints that contradict what was co-signed.",
        s.misbehaved);
}

static void put_node(struct buf *out, struct control *c)
{
    static const char *const classes[] = { "other", "1xx", "2xx", "3xx", "4xx", "5xx" };
    int64_t next = c->trust.trust ? certs_crl_next_update(c->trust.trust) : 0;

    head(out, "sluice_build_info", "gauge", "Version of the daemon.");
    buf_puts(out, "sluice_build_info{version=\"" SLUICE_VERSION "\"} 1\n");
    head(out, "sluice_api_answers_total", "counter", "Answers of the administration API, by class of status.");
    for (unsigned i = 2; i < 6; i++)
        buf_printf(out, "sluice_api_answers_total{class=\"%s\"} %llu\n", classes[i],
                   (unsigned long long)c->api_answers[i]);
    one(out, "sluice_acts_pending", "gauge", "Acts that have not taken effect everywhere.", act_pending(c));
    one(out, "sluice_snapshot_generation", "gauge", "Generation of the newest snapshot.", c->snapshot->generation);
    one(out, "sluice_grants", "gauge", "Grants in the snapshot, whatever their state.",
        smap_count(c->snapshot->grants));
    one(out, "sluice_resources", "gauge", "Resources in the snapshot.", smap_count(c->snapshot->resources));
    if (next > 0)
        one(out, "sluice_crl_next_update_timestamp_seconds", "gauge", "When a revocation list runs out.",
            (uint64_t)(next / 1000));
    if (c->certificate_until > 0)
        one(out, "sluice_certificate_expiry_timestamp_seconds", "gauge", "When the gateway's certificate expires.",
            (uint64_t)(c->certificate_until / 1000));
    one(out, "sluice_certificate_due", "gauge", "1: the gateway's certificate ends within tls.remind days.",
        control_certificate_due(c, c->certificate_until));
    one(out, "sluice_state_free_bytes", "gauge", "Room on the disk of the state.", control_disk_free(c->state_dir));
}

static void metrics(struct control *c, struct slice query, struct http_reply *r, struct buf *out)
{
    (void)query;
    (void)r;
    put_exchanges(out, c);
    put_durations(out, c);
    for (size_t i = 0; i < sizeof summed / sizeof summed[0]; i++)
        one(out, summed[i].name, summed[i].type, summed[i].help, sum(c, summed[i].offset));
    put_sessions(out, c);
    put_process(out, c);
    put_evidence(out, c);
    put_witnesses(out, c);
    put_cosigner(out, c);
    put_node(out, c);
}

/* ---- health ---- */
static void livez(struct control *c, struct slice query, struct http_reply *r, struct buf *out)
{
    (void)c;
    (void)query;
    (void)r;
    buf_puts(out, "ok\n");
}

static void readyz(struct control *c, struct slice query, struct http_reply *r, struct buf *out)
{
    struct health list[CHECKS_MAX];
    size_t n = control_health(c, list);
    bool ready = true, verbose = slice_starts(query, SLICE("verbose"));

    for (size_t i = 0; i < n; i++) {
        ready = ready && list[i].ok;
        if (verbose)
            buf_printf(out, "[%s] %s: %s\n",
                       !list[i].ok    ? "-"
                       : list[i].warn ? "!"
                                      : "+",
                       list[i].name, list[i].text[LANG_EN]);
    }
    buf_puts(out, ready ? "ready\n" : "not ready\n");
    r->status = ready ? 200 : 503;
}

static const struct page {
    const char *path, *type;
    void (*put)(struct control *c, struct slice query, struct http_reply *r, struct buf *out);
} pages[] = {
    { "/livez", "text/plain; charset=utf-8", livez },
    { "/readyz", "text/plain; charset=utf-8", readyz },
    { "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics },
};

/* ---- HTTP: a page is answered at once and whole; the window of these connections holds the largest ---- */
struct ops_conn {
    struct control *control;
    struct ops_conn *next, **pprev;
    struct http_conn *http;
};

static void *on_open(void *arg, struct http_conn *http)
{
    struct control *c = arg;
    struct ops_conn *conn = c->n_ops < CONNECTIONS_MAX ? mem_zalloc(sizeof *conn) : NULL;

    if (conn == NULL)
        return NULL;
    conn->control = c;
    conn->http = http;
    conn->next = c->ops;
    conn->pprev = &c->ops;
    if (conn->next)
        conn->next->pprev = &conn->next;
    c->ops = conn;
    c->n_ops++;
    return conn;
}

static void on_close(void *conn_state)
{
    struct ops_conn *conn = conn_state;

    *conn->pprev = conn->next;
    if (conn->next)
        conn->next->pprev = conn->pprev;
    conn->control->n_ops--;
    mem_free(conn);
}

void ops_connections_abort(struct control *c)
{
    while (c->ops)
        http_conn_abort(c->ops->http);
}

static void answer(struct http_call *call, struct http_reply *r, const char *type, const struct buf *out)
{
    struct http_header h[2] = { { SLICE("Content-Type"), slice_of(type) },
                                { SLICE("Cache-Control"), SLICE("no-store") } };

    r->headers = h;
    r->n_headers = 2;
    r->length = (int64_t)out->n;
    http_reply_head(call, r);
    http_reply_body(call, buf_slice(out));
    http_reply_end(call, NULL, 0);
}

static void answer_plain(struct http_call *call, int status, const char *text)
{
    struct buf out = BUF_INIT(256);
    struct http_reply r = { .status = status, .close = true };

    buf_puts(&out, text);
    answer(call, &r, "text/plain; charset=utf-8", &out);
    buf_done(&out);
}

static void on_head(void *conn_state, struct http_call *call, const struct http_head *h)
{
    struct ops_conn *conn = conn_state;
    struct http_reply r = { .status = 200 };
    struct buf out = BUF_INIT(METRICS_CAP);

    if (!slice_is(h->method, "GET") && !slice_is(h->method, "HEAD")) {
        answer_plain(call, 405, "use GET\n");
        return;
    }
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (slice_is(h->path, pages[i].path)) {
            pages[i].put(conn->control, h->query, &r, &out);
            answer(call, &r, pages[i].type, &out);
            buf_done(&out);
            return;
        }
    answer_plain(call, 404, "/livez, /readyz, /readyz?verbose, /metrics\n");
}

static void on_malformed(void *conn_state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    (void)conn_state;
    (void)why;
    (void)raw;
    answer_plain(call, 400, what);
}

const struct http_service ops_service = {
    .open = on_open, .close = on_close, .head = on_head, .malformed = on_malformed
};
