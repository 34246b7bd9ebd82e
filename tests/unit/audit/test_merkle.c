/* The tree against the definition of RFC 6962 section 2.1, and every proof of the corpus, right and wrong ones. */
#include "tests/unit/audit/judge.h"
#include "tests/unit/audit/world.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct digest *g;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(NULL), ERR_OK);
    g = digest_new();
    return g == NULL;
}

static int teardown(void **state)
{
    (void)state;
    g = digest_free(g);
    return 0;
}

/* RFC 6962 2.1, as written: split at the largest power of two below n. */
static struct sha256 defined_root(const struct sha256 *leaf, size_t n)
{
    if (n == 0)
        return sha256_of(slice_make("", 0));
    if (n == 1)
        return *leaf;
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    struct sha256 l = defined_root(leaf, k), r = defined_root(leaf + k, n - k);
    return merkle_node(g, &l, &r);
}

static void roots(void **state)
{
    (void)state;
    enum { N = 300 };
    struct sha256 leaves[N];
    struct merkle m = { 0 };
    for (size_t n = 0; n <= N; n++) {
        struct sha256 want = defined_root(leaves, n), got = merkle_root(&m, g);
        assert_memory_equal(&want, &got, sizeof want);
        if (n < N) {
            leaves[n] = merkle_leaf(g, slice_make(&n, sizeof n));
            merkle_push(&m, g, &leaves[n]);
        }
    }
}

struct bytes {
    struct buf b[70];
    struct slice s[70];
    unsigned n;
};

static struct slice decode(struct bytes *x, struct slice v)
{
    struct buf *b = &x->b[x->n];
    *b = BUF_INIT(4096);
    if (v.n > 2 && v.p[0] == '"')
        assert_int_equal(base64_read(slice_sub(v, 1, v.n - 2), b), ERR_OK);
    x->s[x->n] = buf_slice(b);
    return x->s[x->n++];
}

static struct slice get(struct slice j, const char *key)
{
    struct slice v = { 0 };
    return judge_get(j, key, &v) ? v : (struct slice){ 0 };
}

static uint64_t num(struct slice j, const char *key)
{
    return (uint64_t)judge_int(j, key);
}

static bool proof_holds(struct slice j, struct slice kind)
{
    struct bytes x = { 0 };
    struct slice list = get(j, "proof"), one;
    size_t n = list.n > 0 && list.p[0] == '[' ? judge_count(list) : 0;
    assert_true(n < 64);
    for (size_t i = 0; i < n && judge_at(list, i, &one); i++)
        decode(&x, one);
    struct merkle_proof p = { x.s, n };
    struct slice root = decode(&x, get(j, "root")), leaf = decode(&x, get(j, "leafHash"));
    struct slice root1 = decode(&x, get(j, "root1")), root2 = decode(&x, get(j, "root2"));
    bool ok = false;
    if (slice_is(kind, "inclusion"))
        ok = merkle_included(g, leaf, num(j, "leafIdx"), num(j, "treeSize"), p, root);
    else if (slice_is(kind, "consistency"))
        ok = merkle_consistent(g, num(j, "size1"), root1, num(j, "size2"), root2, p);
    else if (slice_is(kind, "subtreeinclusion"))
        ok = merkle_subtree_included(g, leaf, num(j, "leafIdx"), num(j, "start"), num(j, "end"), p, root);
    else
        ok = merkle_subtree_consistent(g, num(j, "start"), num(j, "end"), root1, num(j, "size"), root2, p);
    for (unsigned i = 0; i < x.n; i++)
        buf_done(&x.b[i]);
    return ok;
}

struct tally {
    unsigned files, wrong;
};

static void try_file(const char *path, struct slice kind, struct tally *t)
{
    struct buf text = BUF_INIT(1 << 16);
    assert_int_equal(file_read(path, &text, NULL), ERR_OK);
    struct slice j = slice_trim(buf_slice(&text));
    assert_true(judge_value(j));
    bool want = slice_is(get(j, "wantErr"), "false");
    t->files++;
    if (proof_holds(j, kind) != want) {
        print_error("%s: wanted %s\n", path, want ? "good" : "bad");
        t->wrong++;
    }
    buf_done(&text);
}

static void try_folder(const char *path, struct slice kind, struct tally *t)
{
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *f; (f = readdir(folder)) != NULL;) {
        char inner[1024];
        if (f->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, f->d_name);
        if (slice_ends(slice_of(inner), SLICE(".json")))
            try_file(inner, kind, t);
        else
            try_folder(inner, kind, t);
    }
    closedir(folder);
}

static void corpus(void **state)
{
    (void)state;
    static const char *kinds[] = { "inclusion", "consistency", "subtreeinclusion", "subtreeconsistency" };
    const char *base = getenv("SLUICE_CORPUS");
    struct tally t = { 0 };
    char path[1024];
    snprintf(path, sizeof path, "%s/merkle-proofs", base ? base : "");
    if (base == NULL || *base == '\0' || access(path, R_OK) != 0) {
        print_message("skipped: no corpus; set SLUICE_CORPUS\n");
        skip();
    }
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/merkle-proofs/%s", base, kinds[i]);
        try_folder(path, slice_of(kinds[i]), &t);
    }
    print_message("%u proofs tried\n", t.files);
    assert_true(t.files > 500);
    assert_int_equal(t.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(roots), cmocka_unit_test(corpus) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
