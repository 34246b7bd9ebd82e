/* Proofs made from tiles and from a tree's growth, against the definitions of RFC 6962 2.1.1 and 2.1.2 and against the
 * checks of merkle.h; tiles of all levels as files; entry bundles. */
#include "audit/entries.h"
#include "audit/prove.h"
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SMALL = 300, LARGE = 70000 };
static struct digest *g;
static struct sha256 leaves[LARGE];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(NULL), ERR_OK);
    g = digest_new();
    for (unsigned i = 0; i < LARGE; i++)
        leaves[i] = merkle_leaf(g, slice_make(&i, sizeof i));
    return g == NULL;
}

static int teardown(void **state)
{
    (void)state;
    g = digest_free(g);
    return 0;
}

/* ---- the definitions, as written ---- */
static size_t split(size_t n)
{
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

static struct sha256 mth(const struct sha256 *d, size_t n)
{
    if (n == 1)
        return *d;
    size_t k = split(n);
    struct sha256 l = mth(d, k), r = mth(d + k, n - k);
    return merkle_node(g, &l, &r);
}

static void put(struct proof_path *p, struct sha256 h)
{
    p->hash[p->n++] = h;
}

static void path(size_t m, const struct sha256 *d, size_t n, struct proof_path *ret)
{
    if (n == 1)
        return;
    size_t k = split(n);
    if (m < k) {
        path(m, d, k, ret);
        put(ret, mth(d + k, n - k));
    } else {
        path(m - k, d + k, n - k, ret);
        put(ret, mth(d, k));
    }
}

static void subproof(size_t m, const struct sha256 *d, size_t n, bool whole, struct proof_path *ret)
{
    if (m == n) {
        if (!whole)
            put(ret, mth(d, n));
        return;
    }
    size_t k = split(n);
    if (m <= k) {
        subproof(m, d, k, whole, ret);
        put(ret, mth(d + k, n - k));
    } else {
        subproof(m - k, d + k, n - k, false, ret);
        put(ret, mth(d, k));
    }
}

static void same(const struct proof_path *want, const struct sha256 *hash, size_t n)
{
    assert_int_equal(want->n, n);
    assert_memory_equal(want->hash, hash, n * sizeof *hash);
}

/* Tiles by definition: every hash is the root of its range of leaves. */
static bool defined_tile(void *self, unsigned level, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES])
{
    size_t span = (size_t)1 << (8 * level);
    (void)self;
    for (unsigned i = 0; i < width; i++)
        ret[i] = mth(leaves + (tile * TILE_HASHES + i) * span, span);
    return true;
}

static void by_definition(void **state)
{
    (void)state;
    static const struct tile_source source = { .read = defined_tile };
    for (size_t n = 1; n <= SMALL; n += n < 40 || (n > 253 && n < 260) ? 1 : 13) {
        struct prover *p = prover_new(&source, n);
        struct proof_path got;
        struct sha256 root, want = mth(leaves, n);
        assert_non_null(p);
        assert_int_equal(prove_root(p, &root), ERR_OK);
        assert_memory_equal(&root, &want, sizeof root);
        for (size_t m = 0; m < n; m++) {
            struct proof_path in = { 0 }, con = { 0 };
            path(m, leaves, n, &in);
            assert_int_equal(prove_inclusion(p, m, &got), ERR_OK);
            same(&in, got.hash, got.n);
            subproof(m + 1, leaves, n, true, &con);
            assert_int_equal(prove_consistency(p, m + 1, &got), ERR_OK);
            same(&con, got.hash, got.n);
        }
        assert_int_equal(prove_inclusion(p, n, &got), ERR_INVALID);
        assert_int_equal(prove_consistency(p, 0, &got), ERR_INVALID);
        assert_int_equal(prove_consistency(p, n + 1, &got), ERR_INVALID);
        prover_free(p);
    }
}

/* What a tree notes while it grows proves the same, at every size, from every size. */
static void growth(void **state)
{
    (void)state;
    for (size_t m = 0; m <= SMALL; m += m < 20 || (m > 250 && m < 260) ? 1 : 7) {
        struct merkle tree = { 0 };
        struct merkle_growth w;
        struct sha256 done[MERKLE_TILE_LEVELS], got[MERKLE_PATH_MAX];
        for (size_t n = 0; n < m; n++)
            merkle_push(&tree, g, &leaves[n]);
        merkle_growth_begin(&w, &tree);
        assert_int_equal(merkle_growth_proof(&w, &tree, g, got), 0);
        for (size_t n = m; n < SMALL; n++) {
            struct proof_path want = { 0 };
            assert_int_equal(merkle_push_noting(&tree, g, &leaves[n], &w, done), 1 + ((n + 1) % 256 == 0));
            if (m > 0)
                subproof(m, leaves, n + 1, true, &want);
            same(&want, got, merkle_growth_proof(&w, &tree, g, got));
        }
    }
}

/* ---- files ---- */
static void names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool entries;
        unsigned level, width;
        uint64_t tile;
    } cases[] = {
        { "tile/0/000", false, 0, 256, 0 },
        { "tile/1/067.p/17", false, 1, 17, 67 },
        { "tile/0/x001/x234/067", false, 0, 256, 1234067 },
        { "tile/63/x001/000.p/255", false, 63, 255, 1000 },
        { "tile/entries/x001/234.p/1", true, 0, 1, 1234 },
        { "tile/entries/000", true, 0, 256, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tile_name n;
        char again[TILE_PATH];
        assert_true(tile_name_read(slice_of(cases[i].path), &n));
        assert_int_equal(n.entries, cases[i].entries);
        assert_int_equal(n.level, cases[i].level);
        assert_int_equal(n.width, cases[i].width);
        assert_int_equal(n.tile, cases[i].tile);
        tile_path(n.level, n.tile, n.width, again);
        if (!n.entries)
            assert_string_equal(again, cases[i].path);
    }
}

static void no_names(void **state)
{
    (void)state;
    static const char *const bad[] = { "tile/64/000",
                                       "tile/00/000",
                                       "tile/0/00",
                                       "tile/0/0000",
                                       "tile/0/x000/000",
                                       "tile/0/001/000",
                                       "tile/0/x001",
                                       "tile/0/x001/",
                                       "tile/0/000.p/0",
                                       "tile/0/000.p/256",
                                       "tile/0/000.p/01",
                                       "tile/0/000.p/",
                                       "tile/0/000.p",
                                       "tile/0/000.q/1",
                                       "tile/0/",
                                       "tile/0",
                                       "tile/",
                                       "tile",
                                       "",
                                       "tile/0/../../checkpoint",
                                       "tile/0/x999/x999/x999/x999/x999/x999/999",
                                       "tile/-1/000",
                                       "tile/0/+01" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tile_name n;
        if (tile_name_read(slice_of(bad[i]), &n))
            fail_msg("%s was taken", bad[i]);
    }
}

static void widths(void **state)
{
    (void)state;
    /* the specification's own example */
    assert_int_equal(tile_width(0, 272, 70000), 256);
    assert_int_equal(tile_width(0, 273, 70000), 112);
    assert_int_equal(tile_width(0, 274, 70000), 0);
    assert_int_equal(tile_width(1, 0, 70000), 256);
    assert_int_equal(tile_width(1, 1, 70000), 17);
    assert_int_equal(tile_width(2, 0, 70000), 1);
    assert_int_equal(tile_width(3, 0, 70000), 0);
    assert_int_equal(tile_width(1, 0, 256), 1);
    assert_int_equal(tile_width(0, UINT64_MAX, 70000), 0);
    assert_int_equal(tile_width(40, 0, 70000), 0);
}

static uint64_t hashes_in(const char *dir, unsigned level)
{
    char full[256];
    struct stat st;
    snprintf(full, sizeof full, "%s/tile/%u.hashes", dir, level);
    return stat(full, &st) == 0 ? (uint64_t)st.st_size / SHA256_LEN : 0;
}

static void large_checked(const char *dir, uint64_t size)
{
    struct prover *p = prover_folder(dir, size);
    assert_non_null(p);
    struct sha256 root, want = mth(leaves, size);
    assert_int_equal(prove_root(p, &root), ERR_OK);
    assert_memory_equal(&root, &want, sizeof root);
    for (uint64_t i = 0; i < size; i += 4999) {
        struct proof_path in = { 0 }, con = { 0 }, got;
        path(i, leaves, size, &in);
        assert_int_equal(prove_inclusion(p, i, &got), ERR_OK);
        same(&in, got.hash, got.n);
        subproof(i + 1, leaves, size, true, &con);
        assert_int_equal(prove_consistency(p, i + 1, &got), ERR_OK);
        same(&con, got.hash, got.n);
    }
    prover_free(p);
}

/* Three levels; the upper ones are taken up again, or derived, by the next process. */
static void levels(void **state)
{
    (void)state;
    enum { FIRST = 256 * 260 };
    char dir[] = "/tmp/sluice-tiles-XXXXXX", command[128];
    struct merkle tree = { 0 };
    struct sha256 done[MERKLE_TILE_LEVELS];
    struct tiles *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    assert_non_null(mkdtemp(dir));
    tiles_init(t);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t from = round == 0 ? 0 : FIRST;
        tree = (struct merkle){ 0 };
        for (uint64_t i = 0; i < from; i++)
            merkle_push(&tree, g, &leaves[i]);
        if (round == 2) { /* without the upper levels: derived from the lowest */
            snprintf(command, sizeof command, "rm %s/tile/1.hashes %s/tile/2.hashes", dir, dir);
            assert_int_equal(system(command), 0);
        }
        tiles_begin(t, dir, &tree, g);
        for (uint64_t i = from; i < LARGE; i++) {
            tiles_push(t, done, merkle_push_noting(&tree, g, &leaves[i], NULL, done));
            if (i % 1000 == 0)
                tiles_store(t);
        }
        tiles_store(t);
        assert_int_equal(t->failed, 0);
        tiles_done(t);
        for (unsigned l = 0; l < TILE_LEVELS; l++)
            assert_int_equal(hashes_in(dir, l), (uint64_t)LARGE >> (8 * l));
        large_checked(dir, LARGE);
    }
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
    mem_free(t);
}

/* ---- a real log ---- */
static struct world w;
static uint64_t log_size;
enum { EXCHANGES = 700 };

static int log_setup(void **state)
{
    (void)state;
    world_init(&w);
    w.c.segment_bytes = 128 << 10;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, EXCHANGES);
    log_size = world_size(&w);
    world_close(&w);
    return 0;
}

static int log_teardown(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

struct seen {
    uint64_t next;
    struct merkle tree;
};

static bool see(void *arg, uint64_t index, struct slice line)
{
    struct seen *s = arg;
    struct sha256 leaf = merkle_leaf(g, line);
    assert_int_equal(index, s->next++);
    merkle_push(&s->tree, g, &leaf);
    return true;
}

static void log_runs(void **state)
{
    (void)state;
    uint64_t size = log_size;
    struct segment_list list;
    struct seen all = { 0 };
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_true(list.n > 2);
    segment_list_done(&list);
    assert_int_equal(entries_each(w.dir, 0, size, see, &all), ERR_OK);
    assert_int_equal(all.next, size);
    for (uint64_t i = 0; i < size; i += 7) {
        struct seen one = { .next = i };
        assert_int_equal(entries_each(w.dir, i, i + 3 < size ? i + 3 : size, see, &one), ERR_OK);
        assert_true(one.next > i);
    }
    assert_int_equal(entries_each(w.dir, size, size + 1, see, &all), ERR_NOT_FOUND);
    assert_int_equal(entries_each(w.dir, size - 1, size + 1, see, &(struct seen){ .next = size - 1 }), ERR_NOT_FOUND);
    struct sha256 root = merkle_root(&all.tree, g), tiles;
    char command[128];
    for (unsigned round = 0; round < 2; round++) { /* with tiles, and without any */
        struct prover *p = prover_folder(w.dir, size);
        assert_non_null(p);
        assert_int_equal(prove_root(p, &tiles), ERR_OK);
        assert_memory_equal(&root, &tiles, sizeof root);
        prover_free(p);
        snprintf(command, sizeof command, "rm -rf %s/tile", w.dir);
        assert_int_equal(system(command), 0);
    }
}

/* After a restart without tiles, all levels are there again from the tile of the last segments on. */
static void log_again(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/tile", w.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, EXCHANGES, 50);
    uint64_t size = world_size(&w);
    world_close(&w);
    struct sha256 hash[TILE_HASHES];
    assert_true(tile_read(w.dir, 1, 0, tile_width(1, 0, size), hash));
    world_good(&w, size);
}

static void bundles(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(4 << 20), line = BUF_INIT(AUDIT_RECORD_MAX);
    assert_int_equal(entries_bundle(w.dir, 1, 100, &out), ERR_OK);
    struct slice rest = buf_slice(&out);
    for (unsigned i = 0; i < 100; i++) {
        const uint8_t *p = (const uint8_t *)rest.p;
        assert_true(rest.n >= 2);
        size_t n = (size_t)p[0] << 8 | p[1];
        buf_clear(&line);
        assert_int_equal(entries_line(w.dir, 256 + i, &line), ERR_OK);
        assert_true(slice_eq(slice_sub(rest, 2, n), buf_slice(&line)));
        rest = slice_sub(rest, 2 + n, rest.n);
    }
    assert_int_equal(rest.n, 0);
    assert_int_equal(entries_bundle(w.dir, 1000, 1, &out), ERR_NOT_FOUND);
    buf_done(&out);
    buf_done(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_definition),
        cmocka_unit_test(growth),
        cmocka_unit_test(names),
        cmocka_unit_test(no_names),
        cmocka_unit_test(widths),
        cmocka_unit_test(levels),
        cmocka_unit_test_setup_teardown(log_runs, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(log_again, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(bundles, log_setup, log_teardown),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
