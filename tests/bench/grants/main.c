/* What grants cost: building the snapshot from the state, its memory, one change, and the look-ups and the decision of
 * one exchange, with few grants and with very many. Prints a table; judges nothing.
 * Usage: bench-grants [grants] [folder] */
#include "gateway/snapshot.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    FEW = 1000,
    MANY = 1000000,
    APPS = 1000,
    BUSY = 20000,
    ASKED = 500000,
    PASSES = 15,
    BUSY_PASSES = 101,
    CHANGES = 200,
    ID_ROOM = 64
};

struct bench {
    const char *dir;
    unsigned grants, apps, resources; /* each application has one grant for each resource */
    struct sql *sql;
    struct snapshot *snapshot;
    struct arena a;
    struct diags d;
    double build_ms, bytes, change_ms, change_worst_ms, busy_ns, all_ns;
};

static void check(struct bench *b, enum err e, const char *what)
{
    struct buf out = BUF_INIT(1 << 16);

    if (e == ERR_OK)
        return;
    diags_print(&b->d, LANG_EN, &out);
    fprintf(stderr, "%s: %s\n%.*s", what, err_name(e), (int)out.n, out.p ? out.p : "");
    exit(1);
}

/* This thread's, for other programs run too. */
static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double ms_since(int64_t ns)
{
    return (double)(clock_mono_ns() - ns) / 1e6;
}

/* ---- the state ---- */
static const char manifest[] =
    "{kind: Resource, id: provider/r%u, code: 101001/%u, title: 测试%u, abstract: a resource of the bench,"
    " class: base/population, format: {class: interface, type: json}, share: {type: conditional, condition: none,"
    " mode: interface}, open: none, update: daily, contact: {person: provider/pat, phone: 0543-0000000},"
    " items: [{name: id, title: 编号, type: C, length: 18, level: 2}, {name: name, title: 姓名, type: C, length: 50},"
    " {name: age, title: 年龄, type: I}],"
    " connector: {kind: http, endpoint: 'http://127.0.0.1:9/p', tls: {mode: none, reason: a bench}},"
    " request: {safe: true, params: [{param: id, required: true, to: json:/id}]},"
    " response: {records: /rows, map: {id: id, name: name, age: age}}}";

static void put(struct bench *b, struct sql_tx *tx, const char *yaml, const enum catalog_move *moves, size_t n)
{
    const struct doc *list;
    struct catalog_manifest m;
    struct catalog_entry entry;
    enum catalog_put result;
    uint64_t version;

    check(b, doc_read_yaml(slice_of(yaml), &b->a, &b->d, &list), yaml);
    check(b, catalog_read(list->first, &b->a, &b->d, &m), yaml);
    check(b, catalog_put(tx, &m, SLICE(""), clock_wall_ms(), &result, &version, &b->d), yaml);
    for (size_t i = 0; i < n; i++) {
        struct catalog_act act = { .move = moves[i], .now = clock_wall_ms() };
        act.by = moves[i] == CATALOG_SUBMIT ? SLICE("provider/pat") : SLICE("bureau/li");
        check(b, catalog_move(tx, m.kind, m.id, &act, &b->a, &entry, &b->d), yaml);
    }
}

static void put_catalog(struct bench *b, struct sql_tx *tx)
{
    static const enum catalog_move activate[] = { CATALOG_ACTIVATE }, publish[] = { CATALOG_SUBMIT, CATALOG_PUBLISH };

    put(b, tx, "{kind: Department, id: provider, title: 提供方, code: 11990100009900443M}", activate, 1);
    put(b, tx, "{kind: Person, id: provider/pat, title: pat}", activate, 1);
    for (unsigned i = 0; i < b->apps; i++)
        put(b, tx,
            arena_printf(&b->a, "{kind: App, id: provider/a%u, title: app %u, contact: {person: provider/pat}}", i, i),
            activate, 1);
    for (unsigned i = 0; i < b->resources; i++)
        put(b, tx, arena_printf(&b->a, manifest, i, i, i), publish, 2);
}

/* Grants as approvals would have left them, by one statement: a million approvals are not what is measured. */
static void put_grants(struct bench *b, struct sql_tx *tx)
{
    check(
        b,
        sql_exec(tx,
                 "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)"
                 " INSERT INTO policy_grant SELECT i + 1, 'g' || (i + 1), 'r' || (i + 1), 'provider/a' || (i % $2),"
                 " 'provider', 'provider', 'provider/r' || (i / $2), 'school-admission', 'id,name', '',"
                 " 'Compulsory Education Act, article 12', 'provider/zhao', 'provider/zhang,bureau/wang', 'active', '',"
                 " 'bureau/wang', 1, 1, 0, 0, 60000, 0, 0, 0, 0, 1, 1 FROM n",
                 SQL_ARGS(SQL_I(b->grants), SQL_I(b->apps)), NULL),
        "grants");
}

static void make_state(struct bench *b)
{
    char path[256];
    struct sql_tx *tx;

    snprintf(path, sizeof path, "%s/state-%u.db", b->dir, b->grants);
    check(b, sql_open(path, &b->sql, &b->d), path);
    check(b, sql_migrate(b->sql, "catalog", catalog_migrations, catalog_migrations_n, &b->d), path);
    check(b, sql_migrate(b->sql, "policy", policy_migrations, policy_migrations_n, &b->d), path);
    check(b, sql_begin(b->sql, true, &tx, &b->d), path);
    put_catalog(b, tx);
    put_grants(b, tx);
    check(b, sql_commit(tx, &b->d), path);
    sql_close(b->sql); /* as a start finds it: all in the one file */
    check(b, sql_open(path, &b->sql, &b->d), path);
}

/* ---- what is measured ---- */
static struct snapshot_source source(struct sql_tx *tx)
{
    static const struct connector_world world = { .secrets_dir = ".", .trust_dir = ".", .workers = 1 };

    return (struct snapshot_source){ .tx = tx, .world = &world, .now = clock_wall_ms() };
}

/* Holes between the blocks are counted, too. */
static size_t memory(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.arena - m.keepcost + m.hblkhd;
}

static void build(struct bench *b)
{
    struct sql_tx *tx;
    struct snapshot_source from;
    size_t before = memory();
    int64_t began = clock_mono_ns();

    check(b, sql_begin(b->sql, false, &tx, &b->d), "read");
    from = source(tx);
    b->snapshot = snapshot_new();
    check(b, b->snapshot ? snapshot_load_all(b->snapshot, &from, &b->d) : ERR_NOMEM, "build");
    b->build_ms = ms_since(began);
    sql_rollback(tx);
    b->bytes = (double)(memory() - before) / b->grants;
}

/* One grant after another is read anew into a next version, as a revocation does; the version before goes. */
static void change(struct bench *b)
{
    struct sql_tx *tx;
    struct snapshot_source from;
    char id[ID_ROOM];

    check(b, sql_begin(b->sql, false, &tx, &b->d), "read");
    from = source(tx);
    for (unsigned i = 0; i < CHANGES; i++) {
        int64_t began = clock_mono_ns();
        struct snapshot *next = snapshot_next(b->snapshot);
        snprintf(id, sizeof id, "g%u", 1 + (unsigned)((uint64_t)i * 7919 % b->grants));
        check(b, next ? snapshot_reload(next, SNAPSHOT_GRANT, slice_of(id), &from, &b->d) : ERR_NOMEM, "change");
        snapshot_unref(b->snapshot);
        b->snapshot = next;
        double ms = ms_since(began);
        b->change_ms += ms / CHANGES;
        b->change_worst_ms = ms > b->change_worst_ms ? ms : b->change_worst_ms;
    }
    sql_rollback(tx);
}

/* What the stages resolve and decide ask of the snapshot for one exchange, each time of another pair. */
static bool decide_one(const struct snapshot *s, struct slice app, struct slice resource)
{
    const struct principal *who = snapshot_app(s, app);
    const struct resource_head *what = snapshot_resource(s, resource);
    const struct grant_set set = snapshot_pair(s, app, resource);
    struct policy_facts f = { .app = app,
                              .app_active = who && who->active,
                              .resource_published = what && what->n > 0,
                              .resource_callable = true,
                              .now = 1,
                              .day = 20000,
                              .minute = 600,
                              .weekday = 3,
                              .grants = grant_set_all(&set),
                              .n_grants = set.n };

    return policy_decide(&f).permit;
}

struct names {
    char app[ID_ROOM], resource[ID_ROOM];
    size_t app_n, resource_n;
};

/* `n` pairs, drawn evenly. */
static struct names *draw(struct bench *b, unsigned n)
{
    struct names *asked = calloc(n, sizeof *asked);

    check(b, asked ? ERR_OK : ERR_NOMEM, "names");
    for (unsigned i = 0, x = 1; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        asked[i].app_n = (size_t)snprintf(asked[i].app, ID_ROOM, "provider/a%u", (x >> 16) % b->apps);
        asked[i].resource_n = (size_t)snprintf(asked[i].resource, ID_ROOM, "provider/r%u", (x >> 4) % b->resources);
    }
    return asked;
}

/* Nanoseconds of CPU for one decision of `times`, over the n pairs in turn. */
static double pass(struct bench *b, const struct names *asked, unsigned n, unsigned times)
{
    int64_t began = cpu_ns();

    for (unsigned i = 0; i < times; i++) {
        const struct names *q = &asked[i % n];
        if (!decide_one(b->snapshot, (struct slice){ q->app, q->app_n }, (struct slice){ q->resource, q->resource_n }))
            check(b, ERR_CONFLICT, "a granted pair was refused");
    }
    return (double)(cpu_ns() - began) / times;
}

/* Short passes over few grants and over many in turn, so that both meet the same machine; the least of each, for other
 * programs take time and cache. */
static void decide(struct bench all[2], unsigned n, unsigned times, int passes, double ret[2])
{
    struct names *asked[2] = { draw(&all[0], n), draw(&all[1], n) };

    ret[0] = ret[1] = 1e9;
    for (int i = 0; i < 2 * passes; i++) {
        double ns = pass(&all[i % 2], asked[i % 2], n, times);
        ret[i % 2] = ns < ret[i % 2] ? ns : ret[i % 2];
    }
    free(asked[0]);
    free(asked[1]);
}

static void run(struct bench *b)
{
    arena_init(&b->a, (size_t)1 << 30);
    diags_init(&b->d, &b->a);
    make_state(b);
    build(b);
    change(b);
}

static void end(struct bench *b)
{
    snapshot_unref(b->snapshot);
    sql_close(b->sql);
    arena_done(&b->a);
}

int main(int argc, char **argv)
{
    unsigned many = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : MANY;
    char dir[256] = "/tmp/sluice-bench-XXXXXX";

    if (many < APPS || (argc <= 2 && mkdtemp(dir) == NULL)) {
        fprintf(stderr, "usage: bench-grants [grants, at least %d] [folder]\n", APPS);
        return 2;
    }
    clock_set_zone(480);
    const char *where = argc > 2 ? argv[2] : dir;
    struct bench all[] = { { .dir = where, .grants = FEW, .apps = 32, .resources = 32 },
                           { .dir = where, .grants = many, .apps = APPS, .resources = many / APPS } };
    all[0].grants = all[0].apps * all[0].resources;
    all[1].grants = all[1].apps * all[1].resources;
    for (size_t i = 0; i < 2; i++)
        run(&all[i]);
    double busy[2], any[2];
    decide(all, FEW, BUSY, BUSY_PASSES, busy);
    decide(all, ASKED, ASKED, PASSES, any);
    for (size_t i = 0; i < 2; i++) {
        all[i].busy_ns = busy[i];
        all[i].all_ns = any[i];
        end(&all[i]);
    }
    printf("| grants | built in, ms | bytes a grant | one change, ms (worst) | decision, %d busy pairs, ns | decision, "
           "any pair, ns |\n"
           "|---:|---:|---:|---:|---:|---:|\n",
           FEW);
    for (size_t i = 0; i < 2; i++)
        printf("| %u | %.0f | %.0f | %.3f (%.3f) | %.0f | %.0f |\n", all[i].grants, all[i].build_ms, all[i].bytes,
               all[i].change_ms, all[i].change_worst_ms, all[i].busy_ns, all[i].all_ns);
    printf("\nmany over few: %.2f for busy pairs, %.2f for any pair (cold memory)\n", all[1].busy_ns / all[0].busy_ns,
           all[1].all_ns / all[0].all_ns);
    return 0;
}
