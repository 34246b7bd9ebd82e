/* What evidence costs: rendering a record, records durable each second through the log with N outstanding against two
 * raw loops of write and fdatasync of the same bytes, waking at a light rate, and the verifier's speed. Raw append lets
 * the file grow, so that each sync settles its size and blocks; raw over filled space writes where the disk has blocks
 * already, which were made before the clock runs (the log makes its own while it runs). Both know beforehand how much
 * to write at once. A round measures all three, every other one in reverse order; the figures are medians of the
 * rounds' own ratios, for a disk's speed drifts. Prints tables; judges nothing. Usage: bench-evidence [--quick]
 * [--rounds N] [--outstanding N] [folder] */
#include "audit/audit.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORDS = 200000,
    QUICK = 20000,
    LIGHT = 5000,
    RAW_MAX = 1 << 20,
    ROUNDS = 9,
    ROUNDS_MAX = 99,
    OUTSTANDING_MAX = 1024
};

struct bench {
    char dir[128];
    struct audit_log *log;
    struct audit_queue *q;
    unsigned completed, records, rounds, light, only; /* only: this many outstanding and nothing else; 0: all */
};

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static const struct sha256 digests[2] = { { { 1 } }, { { 2 } } };

static struct audit_record sample(unsigned n, enum audit_kind kind)
{
    struct audit_record r = { .kind = kind,
                              .at = clock_wall_ms(),
                              .subject = SLICE("spiffe://city.example/dept/education/app/admission"),
                              .peer = SLICE("127.0.0.1"),
                              .resource = SLICE("public-security/household"),
                              .resource_version = 3,
                              .grant = SLICE("g-2026-0001"),
                              .grant_version = 1,
                              .purpose = SLICE("admission"),
                              .operator_ = SLICE("zhang"),
                              .snapshot = 12 };
    memcpy(r.exchange.b + 8, &n, sizeof n);
    if (kind == AUDIT_OUTCOME)
        r = (struct audit_record){ .kind = kind,
                                   .at = r.at,
                                   .exchange = r.exchange,
                                   .reason = REASON_GRANTED,
                                   .has_reason = true,
                                   .status = 200,
                                   .rows = 1,
                                   .bytes_in = 900,
                                   .bytes_out = 400,
                                   .digest_in = &digests[0],
                                   .digest_out = &digests[1],
                                   .duration_ms = 7 };
    return r;
}

static void on_done(void *waiter, enum err e, uint64_t index)
{
    struct bench *b = waiter;
    (void)index;
    if (e == ERR_OK)
        b->completed++;
}

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static size_t render_cost(const struct bench *bench)
{
    struct buf out = BUF_INIT(1 << 20);
    struct audit_record a = sample(1, AUDIT_INTENT), b = sample(1, AUDIT_OUTCOME);
    size_t bytes = 0;
    int64_t start = clock_mono_ns();
    for (unsigned i = 0; i < bench->records; i++) {
        buf_clear(&out);
        if (audit_render(i & 1 ? &b : &a, &out) != ERR_OK)
            die("render");
        bytes += out.n;
    }
    printf("render                    %8.0f ns a record, %zu bytes\n",
           (double)(clock_mono_ns() - start) / bench->records, bytes / bench->records);
    buf_done(&out);
    return bytes / bench->records;
}

/* Zeros over the whole of what will be written, durable; or an empty file. */
static int raw_file(const struct bench *b, size_t filled, char *path, size_t room)
{
    static const char zeros[RAW_MAX];
    snprintf(path, room, "%s/raw", b->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        die("raw file");
    for (size_t left = filled; left > 0;) {
        ssize_t n = write(fd, zeros, left < RAW_MAX ? left : RAW_MAX);
        if (n <= 0)
            die("raw file");
        left -= (size_t)n;
    }
    if (fsync(fd) != 0)
        die("raw file");
    return fd;
}

static double raw_rate(const struct bench *b, size_t bytes, unsigned outstanding, bool filled)
{
    static char mem[RAW_MAX];
    char path[256];
    size_t n = bytes * outstanding;
    unsigned turns = b->records / outstanding;
    if (n > RAW_MAX)
        die("too much at once");
    int fd = raw_file(b, filled ? n * turns : 0, path, sizeof path);
    memset(mem, 'x', n);
    int64_t start = clock_mono_ns();
    for (unsigned i = 0; i < turns; i++) {
        if (pwrite(fd, mem, n, (off_t)(n * i)) != (ssize_t)n || fdatasync(fd) != 0)
            die("raw write");
    }
    double rate = turns * outstanding / ((double)(clock_mono_ns() - start) / 1e9);
    close(fd);
    unlink(path);
    return rate;
}

static void wait_some(struct bench *b)
{
    struct pollfd p = { .fd = audit_queue_fd(b->q), .events = POLLIN };
    if (audit_poll(b->q) == 0)
        poll(&p, 1, 1000);
}

static double through_log(struct bench *b, unsigned outstanding)
{
    unsigned put = 0;
    b->completed = 0;
    int64_t start = clock_mono_ns();
    while (b->completed < b->records) {
        while (put < b->records && put - b->completed < outstanding) {
            struct audit_record r = sample(put / 2, put & 1 ? AUDIT_OUTCOME : AUDIT_INTENT);
            if (audit_put(b->q, &r, 0, b) != ERR_OK)
                break;
            put++;
        }
        audit_kick(b->q);
        wait_some(b);
    }
    return b->records / ((double)(clock_mono_ns() - start) / 1e9);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

enum side { APPEND, FILLED, LOG, SIDES };
static void side_measure(struct bench *b, size_t bytes, unsigned outstanding, enum side s, double *rate, int64_t *cpu)
{
    int64_t before = cpu_ns();
    *rate = s == LOG ? through_log(b, outstanding) : raw_rate(b, bytes, outstanding, s == FILLED);
    if (s == LOG)
        *cpu += cpu_ns() - before;
}

static void against(const char *name, double *raw, double *ratio, unsigned n)
{
    double x = median(ratio, n);
    printf("    %-22s%8.0f k/s, ratio %.2f (%.2f to %.2f)\n", name, median(raw, n) / 1e3, x, ratio[0], ratio[n - 1]);
}

static void rounds(struct bench *b, size_t bytes, unsigned outstanding)
{
    double rate[SIDES][ROUNDS_MAX], ratio[LOG][ROUNDS_MAX];
    int64_t cpu = 0;
    for (unsigned i = 0; i < b->rounds; i++) {
        for (unsigned k = 0; k < SIDES; k++) {
            enum side s = (enum side)(i % 2 == 0 ? k : SIDES - 1 - k);
            side_measure(b, bytes, outstanding, s, &rate[s][i], &cpu);
        }
        for (unsigned s = 0; s < LOG; s++)
            ratio[s][i] = rate[LOG][i] / rate[s][i];
    }
    printf("%3u outstanding           %8.0f k/s durable through the log, %.2f us CPU a record\n", outstanding,
           median(rate[LOG], b->rounds) / 1e3, (double)cpu / b->rounds / b->records / 1e3);
    against("raw append", rate[APPEND], ratio[APPEND], b->rounds);
    against("raw over filled space", rate[FILLED], ratio[FILLED], b->rounds);
}

/* One record at a time at a fixed rate: what waking the writer costs. */
static void light(struct bench *b)
{
    int64_t start = clock_mono_ns(), cpu = cpu_ns(), worst = 0, sum = 0;
    for (unsigned i = 0; i < b->light; i++) {
        int64_t due = start + (int64_t)i * 1000000000 / LIGHT, now;
        while ((now = clock_mono_ns()) < due) {
            struct timespec t = { 0, due - now };
            nanosleep(&t, NULL);
        }
        struct audit_record r = sample(i, AUDIT_OUTCOME);
        b->completed = 0;
        if (audit_put(b->q, &r, 0, b) != ERR_OK)
            die("put");
        audit_kick(b->q);
        while (b->completed == 0)
            wait_some(b);
        int64_t took = clock_mono_ns() - now;
        sum += took;
        worst = took > worst ? took : worst;
    }
    printf("%d a second            %8.1f us durable on average, %.0f worst, %.1f us CPU a record\n", LIGHT,
           (double)sum / b->light / 1e3, (double)worst / 1e3, (double)(cpu_ns() - cpu) / b->light / 1e3);
}

static void verify(const struct bench *b)
{
    struct audit_report r;
    int64_t start = clock_mono_ns();
    if (audit_verify(b->dir, SLICE(""), NULL, NULL, &r, NULL) != ERR_OK || r.failed)
        die("the log does not verify");
    double s = (double)(clock_mono_ns() - start) / 1e9;
    printf("verify                    %8.0f MB/s, %.0f records/s\n", (double)r.bytes / s / 1e6, (double)r.size / s);
}

static const char *options(int argc, char **argv, struct bench *b)
{
    const char *folder = "/tmp";
    *b = (struct bench){ .records = RECORDS, .rounds = ROUNDS, .light = LIGHT };
    for (int i = 1; i < argc; i++) {
        uint64_t n = 0;
        if (strcmp(argv[i], "--quick") == 0) {
            b->records = QUICK;
            b->rounds = 3;
            b->light = LIGHT / 10;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc &&
                   slice_u64(slice_of(argv[i + 1]), 1, ROUNDS_MAX, &n)) {
            b->rounds = (unsigned)n;
            i++;
        } else if (strcmp(argv[i], "--outstanding") == 0 && i + 1 < argc &&
                   slice_u64(slice_of(argv[i + 1]), 1, OUTSTANDING_MAX, &n)) {
            b->only = (unsigned)n;
            i++;
        } else if (argv[i][0] != '-') {
            folder = argv[i];
        } else {
            die("usage: bench-evidence [--quick] [--rounds N] [--outstanding N] [folder]");
        }
    }
    return folder;
}

int main(int argc, char **argv)
{
    static const unsigned outstanding[] = { 16, 64, 256 };
    struct bench b;
    struct arena arena;
    struct diags d;
    char key[160], command[160];
    struct ed25519 *k = NULL;
    arena_init(&arena, 1 << 20);
    diags_init(&d, &arena);
    snprintf(b.dir, sizeof b.dir, "%.90s/bench-evidence-XXXXXX", options(argc, argv, &b));
    if (crypto_init(&d) != ERR_OK || mkdtemp(b.dir) == NULL)
        die("cannot begin");
    snprintf(key, sizeof key, "%s/key.pem", b.dir);
    if (ed25519_generate(key, &d) != ERR_OK || ed25519_load(key, &k, &d) != ERR_OK)
        die("key");
    struct audit_config c = { .dir = b.dir, .origin = SLICE("bench/log/1"), .signer = ed25519_signer(k), .epoch = 1 };
    if (audit_open(&c, &b.log, &d) != ERR_OK || audit_start(b.log) != ERR_OK ||
        audit_queue_new(b.log, 1 << 20, on_done, &b.q) != ERR_OK)
        die("open");
    size_t bytes = render_cost(&b);
    for (size_t i = 0; b.only == 0 && i < sizeof outstanding / sizeof *outstanding; i++)
        rounds(&b, bytes, outstanding[i]);
    if (b.only != 0)
        rounds(&b, bytes, b.only);
    else
        light(&b);
    audit_queue_free(b.q);
    audit_close(b.log);
    verify(&b);
    ed25519_free(k);
    arena_done(&arena);
    snprintf(command, sizeof command, "rm -rf %s", b.dir);
    return system(command) == 0 ? 0 : 1;
}
