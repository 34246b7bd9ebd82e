/* What questions to a large log cost: makes a log of synthetic exchanges through the log's own functions, builds its
 * index, and asks. Prints a table; judges nothing.
 *
 *   bench-search FOLDER [RECORDS]      makes FOLDER when it holds no log (default 10 000 000 records), else asks it
 * again
 *
 * Cold: the kernel's cache was asked to forget the segments (posix_fadvise; the index is mapped and stays), one
 * question each. Warm: the middle of 21 rounds. */
#include "audit/audit.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEOPLE = 1000000, ROUNDS = 21, OUTSTANDING = 4096, QUEUE = 8 << 20, STEP_MS = 20 };

struct bench {
    char dir[512], key[600];
    struct ed25519 *signer;
    struct audit_config c;
    struct audit_log *log;
    struct audit_queue *q;
    uint64_t put, completed;
};

static void die(const char *what)
{
    fprintf(stderr, "bench-search: %s\n", what);
    exit(1);
}

static void on_done(void *waiter, enum err e, uint64_t index)
{
    struct bench *b = waiter;
    (void)index;
    if (e != ERR_OK)
        die("a record was not written");
    b->completed++;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    return x * 0xc4ceb9fe1a85ec53u ^ x >> 29;
}

static void put(struct bench *b, const struct audit_record *r)
{
    while (b->put - b->completed >= OUTSTANDING) {
        struct pollfd p = { .fd = audit_queue_fd(b->q), .events = POLLIN };
        audit_kick(b->q);
        if (audit_poll(b->q) == 0)
            poll(&p, 1, 1000);
    }
    if (audit_put(b->q, r, 0, b) != ERR_OK)
        die("put");
    b->put++;
}

/* 40 applications, 120 resources, 500 grants, each of one application for one resource; a million people, 3000
 * operators; one in 50 refused, one in 40 failed. */
static void put_exchange(struct bench *b, uint64_t n, int64_t at)
{
    static const struct sha256 digests[2] = { { { 1 } }, { { 2 } } };
    uint64_t r = mix(n + 1), g = r / 7 % 500;
    char subject[128], resource[64], grant[32], operator_[32], case_[32], person[32], pseudonym[33];
    snprintf(subject, sizeof subject, "spiffe://city.example/dept/dept-%u/app/app-%u", (unsigned)(g % 20),
             (unsigned)(g % 40));
    snprintf(resource, sizeof resource, "dept-%u/resource-%u", (unsigned)(g % 30), (unsigned)(g % 120));
    snprintf(grant, sizeof grant, "g%u", (unsigned)g);
    snprintf(operator_, sizeof operator_, "clerk-%04u", (unsigned)(r / 11 % 3000));
    snprintf(case_, sizeof case_, "2026-%08llu", (unsigned long long)(n / 3));
    snprintf(person, sizeof person, "person-%llu", (unsigned long long)(mix(r) % PEOPLE));
    audit_pseudonym(b->log, slice_of(person), pseudonym);
    struct audit_param p = { SLICE("id_no"), slice_make(pseudonym, 32), true };
    struct audit_record i = { .kind = r % 50 == 0 ? AUDIT_REFUSED : AUDIT_INTENT,
                              .at = at,
                              .subject = slice_of(subject),
                              .peer = SLICE("10.0.0.1"),
                              .certificate = SLICE("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
                              .resource = slice_of(resource),
                              .resource_version = 3,
                              .grant = slice_of(grant),
                              .grant_version = 1,
                              .purpose = g % 3 ? SLICE("school-admission") : SLICE("relief"),
                              .operator_ = slice_of(operator_),
                              .case_ = slice_of(case_),
                              .snapshot = 12,
                              .params = &p,
                              .n_params = 1,
                              .items = SLICE("name,relation,division") };
    uint64_t id[2] = { 0x0019a0000000007full ^ n << 16, mix(r) | 0x80 };
    memcpy(&i.exchange, id, sizeof id);
    if (i.kind == AUDIT_REFUSED) {
        i.has_reason = true;
        i.reason = REASON_NO_GRANT;
        i.status = 403;
        put(b, &i);
        return;
    }
    put(b, &i);
    struct audit_record o = { .kind = AUDIT_OUTCOME,
                              .at = at + 7,
                              .exchange = i.exchange,
                              .has_reason = true,
                              .reason = r % 40 == 1 ? REASON_PROVIDER_TIMEOUT : REASON_GRANTED,
                              .status = r % 40 == 1 ? 504 : 200,
                              .rows = 1,
                              .bytes_in = 900,
                              .bytes_out = 400,
                              .digest_in = &digests[0],
                              .digest_out = &digests[1],
                              .duration_ms = 7 };
    put(b, &o);
}

static void make(struct bench *b, uint64_t records)
{
    struct diags d;
    struct arena a;
    int64_t start = clock_mono_ms();
    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    if (dir_make(b->dir, 0700, &d) != ERR_OK || ed25519_generate(b->key, &d) != ERR_OK ||
        ed25519_load(b->key, &b->signer, &d) != ERR_OK)
        die("cannot make the folder and its key");
    b->c = (struct audit_config){
        .dir = b->dir, .origin = SLICE("city.example/log/bench"), .signer = ed25519_signer(b->signer), .epoch = 1
    };
    if (audit_open(&b->c, &b->log, &d) != ERR_OK || audit_queue_new(b->log, QUEUE, on_done, &b->q) != ERR_OK ||
        audit_start(b->log) != ERR_OK)
        die("cannot open the log");
    for (uint64_t n = 0; b->put < records; n++)
        put_exchange(b, n, 1764115200000 + (int64_t)n * STEP_MS);
    while (b->completed < b->put) {
        audit_kick(b->q);
        audit_poll(b->q);
        usleep(1000);
    }
    b->q = audit_queue_free(b->q);
    b->log = audit_close(b->log);
    b->signer = ed25519_free(b->signer);
    arena_done(&a);
    printf("log of %llu records made in %.1f s\n", (unsigned long long)b->put, (double)(clock_mono_ms() - start) / 1e3);
}

/* ---- asking ---- */
struct tally {
    unsigned rows;
    size_t bytes;
};

static bool count_row(void *arg, const struct audit_row *r)
{
    struct tally *t = arg;
    t->rows++;
    t->bytes += r->record.n + r->outcome.n + r->cut.n;
    return true;
}

/* Drop what the kernel keeps of the folder's files. */
static void forget(const char *dir)
{
    char path[1200];
    DIR *folder = opendir(dir);
    for (struct dirent *f; folder != NULL && (f = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        int fd = f->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    if (folder != NULL)
        closedir(folder);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t ask(struct audit_index *x, const struct audit_question *q, struct tally *t)
{
    struct audit_found found;
    int64_t start = clock_mono_ns();
    *t = (struct tally){ 0 };
    if (audit_find(x, q, count_row, t, &found, NULL) != ERR_OK)
        die("a question failed");
    return clock_mono_ns() - start;
}

static void ask_all(struct bench *b, struct audit_index *x, const char *pseudonym, uint64_t size)
{
#define Q(...)                                                                                                         \
    {                                                                                                                  \
        .after = UINT64_MAX, .limit = 100, __VA_ARGS__                                                                 \
    }
    const int64_t begin = 1764115200000, span = (int64_t)(size / 2) * STEP_MS;
    const struct {
        const char *what;
        struct audit_question q;
    } asks[] = {
        { "everything, newest 100", Q() },
        { "a person", Q(.pseudonym = slice_of(pseudonym)) },
        { "a person, a resource", Q(.pseudonym = slice_of(pseudonym), .resource = SLICE("dept-3/resource-3")) },
        { "a person nobody asked about", Q(.pseudonym = SLICE("00000000000000000000000000000000")) },
        { "a resource", Q(.resource = SLICE("dept-3/resource-3")) },
        { "a resource, page at the middle", Q(.resource = SLICE("dept-3/resource-3")) },
        { "an item", Q(.item = SLICE("relation")) },
        { "a case", Q(.case_ = SLICE("2026-00000777")) },
        { "an operator, oldest first", Q(.operator_ = SLICE("clerk-0042"), .oldest_first = true) },
        { "an operator, one hour",
          Q(.operator_ = SLICE("clerk-0042"), .from = begin + span / 2, .to = begin + span / 2 + 3600000) },
        { "a department and a resource not its own",
          Q(.department = SLICE("dept-7"), .resource = SLICE("dept-3/resource-3")) },
        { "failed, of one application", Q(.result = AUDIT_FAILED, .who = SLICE("dept-1/app-1")) },
        { "refused", Q(.result = AUDIT_DENIED) },
        { "interrupted (none)", Q(.result = AUDIT_BROKEN_OFF) },
        { "two that never meet", Q(.resource = SLICE("dept-3/resource-3"), .result = AUDIT_WAS_CUT) },
    };
#undef Q
    printf("\n%-44s %6s %10s %10s\n", "question (page of 100)", "rows", "cold, ms", "warm, ms");
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct audit_question q = asks[i].q;
        struct tally t;
        int64_t warm[ROUNDS], cold;
        if (strstr(asks[i].what, "middle") != NULL)
            q.after = size / 2;
        forget(b->dir);
        cold = ask(x, &q, &t);
        for (int k = 0; k < ROUNDS; k++)
            warm[k] = ask(x, &q, &t);
        qsort(warm, ROUNDS, sizeof warm[0], by_size);
        printf("%-44s %6u %10.2f %10.2f\n", asks[i].what, t.rows, (double)cold / 1e6, (double)warm[ROUNDS / 2] / 1e6);
    }
}

static void pseudonym_of(struct bench *b, char out[33])
{
    uint64_t n = mix(4242 + 1);
    char person[32];
    snprintf(person, sizeof person, "person-%llu", (unsigned long long)(mix(n) % PEOPLE));
    if (audit_open(&b->c, &b->log, NULL) != ERR_OK)
        die("cannot open the log again");
    audit_pseudonym(b->log, slice_of(person), out);
    b->log = audit_close(b->log);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct audit_index *x;
    struct audit_index_status s;
    struct stat st;
    char pseudonym[33];
    uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
    if (argc < 2 || records < 1000 || crypto_init(NULL) != ERR_OK)
        die("usage: bench-search FOLDER [RECORDS]");
    snprintf(b.dir, sizeof b.dir, "%s/log", argv[1]);
    snprintf(b.key, sizeof b.key, "%s/key.pem", argv[1]);
    if (stat(b.dir, &st) != 0)
        make(&b, records);
    if (ed25519_load(b.key, &b.signer, NULL) != ERR_OK)
        die("no key");
    b.c = (struct audit_config){
        .dir = b.dir, .origin = SLICE("city.example/log/bench"), .signer = ed25519_signer(b.signer), .epoch = 1
    };
    pseudonym_of(&b, pseudonym);
    int64_t start = clock_mono_ms();
    double cpu = cpu_s();
    if (audit_index_open(b.dir, NULL, &x, NULL) != ERR_OK)
        die("cannot open the index");
    for (uint64_t last = UINT64_MAX; last == UINT64_MAX || s.indexed != last;) {
        last = s.indexed;
        usleep(1500000);
        audit_index_status(x, &s);
    }
    double seconds = (double)(clock_mono_ms() - start) / 1e3;
    printf("index of %llu records: ready in at most %.1f s, %.1f s of CPU time, %.0f records a second of it\n",
           (unsigned long long)s.indexed, seconds, cpu_s() - cpu, (double)s.indexed / (cpu_s() - cpu));
    printf("%llu parts, %llu bytes, %.1f a record\n", (unsigned long long)s.parts, (unsigned long long)s.bytes,
           (double)s.bytes / (double)s.indexed);
    ask_all(&b, x, pseudonym, s.indexed);
    x = audit_index_close(x);
    ed25519_free(b.signer);
    return 0;
}
