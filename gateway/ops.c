/* The pages of the operations listener: /livez, /readyz, /readyz?verbose and /metrics in Prometheus's text form (base
 * units, no label that names a person or an application). Nothing here changes anything, or waits for a disk: they run
 * in ops_thread.c's thread, of a picture and of what any thread may read. */
#include "gateway/control_internal.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/resource.h>

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
    { "sluice_upload_bytes_total", "counter", "Bytes of consumers' files handed to providers.",
      offsetof(struct worker_counters, bytes_upload) },
    { "sluice_rows_total", "counter", "Records handed to consumers.", offsetof(struct worker_counters, rows) },
    { "sluice_connections_opened_total", "counter", "Connections of consumers accepted.",
      offsetof(struct worker_counters, connections_opened) },
    { "sluice_connections_closed_total", "counter", "Connections of consumers ended.",
      offsetof(struct worker_counters, connections_closed) },
    { "sluice_connections_refused_total", "counter",
      "Connections of consumers closed when they came, for want of memory.",
      offsetof(struct worker_counters, connections_refused) },
    { "sluice_connections_over_limit_total", "counter",
      "Connections of consumers closed behind their handshake: limits.connections or limits.connections_each.",
      offsetof(struct worker_counters, connections_over) },
    { "sluice_connections_calmed_total", "counter", "Connections of consumers ended while memory was short.",
      offsetof(struct worker_counters, connections_calmed) },
    { "sluice_evidence_queue_waiting", "gauge", "Exchanges that wait for room in the evidence queue.",
      offsetof(struct worker_counters, waiting) },
    { "sluice_evidence_queue_waits_total", "counter",
      "Times that an exchange found the evidence queue full and waited.", offsetof(struct worker_counters, waits) },
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

/* Open descriptors, without the one that counts them; 0: they cannot be looked at. */
static uint64_t open_files(void)
{
    DIR *all = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (all == NULL)
        return 0;
    for (const struct dirent *d; (d = readdir(all)) != NULL;)
        n += d->d_name[0] != '.';
    closedir(all);
    return n - 1;
}

static uint64_t cpu_ms(void)
{
    struct rusage u = { 0 };

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* Names that Prometheus's client libraries use for every process. */
static void put_process(struct buf *out, struct control *c)
{
    struct rlimit files = { 0 };
    uint64_t open = open_files();

    head(out, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.");
    buf_puts(out, "process_cpu_seconds_total ");
    put_seconds(out, cpu_ms());
    buf_puts(out, "\n");
    if (open > 0)
        one(out, "process_open_fds", "gauge", "Number of open file descriptors.", open);
    getrlimit(RLIMIT_NOFILE, &files);
    one(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
        pressure_resident(&c->pressure));
    one(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.", (uint64_t)files.rlim_cur);
    one(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
        (uint64_t)(c->started / 1000));
}

static void put_evidence(struct buf *out, struct control *c, const struct control_picture *p)
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
    one(out, "sluice_evidence_index_lag_records", "gauge", "Durable records that the search index does not cover yet.",
        s.size > x.indexed ? s.size - x.indexed : 0);
    one(out, "sluice_evidence_index_bytes", "gauge", "Bytes of the search index's files.", x.bytes);
    if (p->log_free != UINT64_MAX)
        one(out, "sluice_evidence_free_bytes", "gauge", "Room on the disk of the log.", p->log_free);
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
    one(out, "sluice_witnessed_logs_unproved_total", "counter",
        "Checkpoints without proof that they continue what was co-signed.", s.unproved);
    one(out, "sluice_witnessed_logs_misbehaved_total", "counter", "Checkpoints that contradict what was co-signed.",
        s.misbehaved);
}

static void put_node(struct buf *out, const struct control_picture *p)
{
    static const char *const classes[] = { "other", "1xx", "2xx", "3xx", "4xx", "5xx" };

    head(out, "sluice_build_info", "gauge", "Version of the daemon.");
    buf_puts(out, "sluice_build_info{version=\"" SLUICE_VERSION "\"} 1\n");
    head(out, "sluice_api_answers_total", "counter", "Answers of the administration API, by class of status.");
    for (unsigned i = 2; i < 6; i++)
        buf_printf(out, "sluice_api_answers_total{class=\"%s\"} %llu\n", classes[i],
                   (unsigned long long)p->api_answers[i]);
    one(out, "sluice_acts_pending", "gauge", "Acts that have not taken effect everywhere.", p->acts);
    one(out, "sluice_snapshot_generation", "gauge", "Generation of the newest snapshot.", p->generation);
    one(out, "sluice_grants", "gauge", "Grants in the snapshot, whatever their state.", p->grants);
    one(out, "sluice_resources", "gauge", "Resources in the snapshot.", p->resources);
    one(out, "sluice_resources_unprepared", "gauge", "Versions that lack what their provider is called with.",
        p->lacking);
    one(out, "sluice_resources_failing", "gauge", "Versions whose provider failed whenever it was asked last.",
        p->failing);
    if (p->crl_next > 0)
        one(out, "sluice_crl_next_update_timestamp_seconds", "gauge", "When our revocation list runs out.",
            (uint64_t)(p->crl_next / 1000));
    if (p->crl_others > 0)
        one(out, "sluice_crl_others_next_update_timestamp_seconds", "gauge",
            "When the first list of another authority runs out.", (uint64_t)(p->crl_others / 1000));
    if (p->certificate_until > 0)
        one(out, "sluice_certificate_expiry_timestamp_seconds", "gauge", "When the gateway's certificate expires.",
            (uint64_t)(p->certificate_until / 1000));
    one(out, "sluice_certificate_due", "gauge", "1: the gateway's certificate ends within tls.remind days.",
        p->certificate_due);
    if (p->state_free != UINT64_MAX)
        one(out, "sluice_state_free_bytes", "gauge", "Room on the disk of the state.", p->state_free);
    one(out, "sluice_control_silent_seconds", "gauge",
        "Since the control thread's last sign of life; it has one a second.",
        (uint64_t)(clock_mono_ms() - p->at) / 1000);
}

static void metrics(struct control *c, const struct control_picture *p, struct slice query, struct buf *out,
                    int *status)
{
    (void)query;
    (void)status;
    put_exchanges(out, c);
    put_durations(out, c);
    for (size_t i = 0; i < sizeof summed / sizeof summed[0]; i++)
        one(out, summed[i].name, summed[i].type, summed[i].help, sum(c, summed[i].offset));
    put_sessions(out, c);
    put_process(out, c);
    put_evidence(out, c, p);
    put_witnesses(out, c);
    put_cosigner(out, c);
    put_node(out, p);
}

/* ---- health ---- */
static void livez(struct control *c, const struct control_picture *p, struct slice query, struct buf *out, int *status)
{
    (void)c;
    (void)p;
    (void)query;
    (void)status;
    buf_puts(out, "ok\n");
}

static void readyz(struct control *c, const struct control_picture *p, struct slice query, struct buf *out, int *status)
{
    struct health list[CHECKS_MAX];
    size_t n = control_health(c, p, list);
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
    *status = ready ? 200 : 503;
}

static const struct page {
    const char *path, *type;
    void (*put)(struct control *c, const struct control_picture *p, struct slice query, struct buf *out, int *status);
} pages[] = {
    { "/livez", "text/plain; charset=utf-8", livez },
    { "/readyz", "text/plain; charset=utf-8", readyz },
    { "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics },
};

bool ops_page(struct control *c, const struct control_picture *p, const struct http_head *h, struct ops_page *ret,
              struct buf *out)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (slice_is(h->path, pages[i].path)) {
            *ret = (struct ops_page){ .type = pages[i].type, .status = 200 };
            pages[i].put(c, p, h->query, out, &ret->status);
            return true;
        }
    return false;
}
