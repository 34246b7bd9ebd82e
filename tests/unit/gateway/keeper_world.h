#pragma once
/* What the tests of the keeper share: a real keeper, forked over keys in a folder of its own, and the daemon's side of
 * it with its inside open: lines and process id. One file includes it a program. */
#include "gateway/keeper.c" /* its inside: sockets and process id */

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/folder.h"

#define DOMAIN "data.city.example"
#define ORIGIN DOMAIN "/log/gw1"

static struct {
    char dir[64];
    struct arena a;
    struct diags d;
    struct gate gate;
    struct keeper *k;
    struct buf csr;
} w;

static inline char *in_dir(const char *name)
{
    char *path = path_join(&w.a, w.dir, name);

    assert_non_null(path);
    return path;
}

static inline enum err start(void)
{
    struct keeper_config c = {
        .state_dir = w.dir, .log_dir = in_dir("log"), .trust_domain = DOMAIN, .origin = SLICE(ORIGIN), .gate = &w.gate
    };

    c.certificate = in_dir("keys/gateway.pem");
    return keeper_start(&c, &w.k, &w.d);
}

static inline void restart(void)
{
    w.k = keeper_stop(w.k);
    assert_int_equal(start(), ERR_OK);
}

/* In a process of their own, as sluice init does: this one must never have held them. */
static inline void make_keys(void)
{
    int status = 1;
    pid_t maker = fork();

    if (maker == 0)
        _exit(ed25519_generate(in_dir("keys/log.key"), NULL) != ERR_OK ||
              certs_ca_create(w.dir, DOMAIN, clock_wall_ms(), NULL) != ERR_OK);
    assert_int_equal(waitpid(maker, &status, 0), maker);
    assert_int_equal(status, 0);
}

static inline int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    arena_init(&w.a, 16 << 20);
    diags_init(&w.d, &w.a);
    folder_make(w.dir, sizeof w.dir, "keeper");
    assert_int_equal(dir_make(in_dir("keys"), 0700, NULL), ERR_OK);
    assert_int_equal(dir_make(in_dir("log"), 0700, NULL), ERR_OK);
    make_keys();
    w.csr = BUF_INIT(1 << 16);
    assert_int_equal(certs_request_make(in_dir("app.key"), SLICE("app"), &w.csr, NULL), ERR_OK);
    assert_int_equal(start(), ERR_OK);
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st, (void)kind, (void)f;
    return remove(path);
}

static inline int teardown(void **state)
{
    (void)state;
    w.k = keeper_stop(w.k);
    nftw(w.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    buf_done(&w.csr);
    arena_done(&w.a);
    return 0;
}

/* ---- raw requests ---- */
/* A frame with any length said, any bytes sent; the code of the reply, or ERR_CLOSED. */
static inline enum err raw(enum keeper_side side, uint32_t verb, uint32_t said, struct slice body, struct buf *out)
{
    struct keeper_line *l = &w.k->line[side];
    struct buf bytes = BUF_INIT(KEEPER_REQUEST_MAX);
    enum err code = ERR_CLOSED;

    buf_clear(out);
    keeper_put(&bytes, verb, 4);
    keeper_put(&bytes, said, 4);
    keeper_put(&bytes, ++l->number, 4);
    buf_put(&bytes, body);
    l->owed = send(l->fd, bytes.p, bytes.n, MSG_NOSIGNAL) == (ssize_t)bytes.n;
    if (keeper_line_wait(l, 20000, &code, out) != ERR_OK)
        code = ERR_CLOSED;
    buf_done(&bytes);
    return code;
}

static inline enum err checkpoint_of(uint64_t size, const struct sha256 *root, const struct sha256 *proof, size_t n)
{
    struct buf body = BUF_INIT(4096), out = BUF_INIT(1 << 17);
    enum err e;

    keeper_put(&body, size, 8);
    buf_put(&body, slice_make(root->b, SHA256_LEN));
    buf_put(&body, slice_make(proof, n * SHA256_LEN));
    e = raw(KEEPER_LOG, KEEPER_CHECKPOINT, (uint32_t)body.n, buf_slice(&body), &out);
    assert_true(e == ERR_OK ? out.n == ED25519_SIG : memchr(out.p, '\0', out.n) != NULL);
    buf_done(&body);
    buf_done(&out);
    return e;
}

/* Trees of two leaves and of one: small enough to be written out. */
static inline struct sha256 leaf_hash(const char *text)
{
    return sha256_of2(SLICE("\0"), slice_of(text));
}

static inline struct sha256 node_hash(struct sha256 l, struct sha256 r)
{
    uint8_t both[1 + 2 * SHA256_LEN] = { 1 };

    memcpy(both + 1, l.b, SHA256_LEN);
    memcpy(both + 1 + SHA256_LEN, r.b, SHA256_LEN);
    return sha256_of(slice_make(both, sizeof both));
}

static inline bool holds(struct slice s, struct slice part)
{
    return memmem(s.p, s.n, part.p, part.n) != NULL;
}

#define KEEPER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
