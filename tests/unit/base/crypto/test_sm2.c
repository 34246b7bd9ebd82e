/* SM2 with SM3 against GB/T 32918.5 annex A, our own signatures, and what is refused: another id's, another key's, DER,
 * numbers out of range, points off the curve, keys of another kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/crypto/crypto.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define POINT                                                                                                          \
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"                                               \
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
#define R    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
#define S    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
#define N    "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"

struct place {
    char dir[64], path[128];
};

static int place_make(void **state)
{
    static struct place p;

    p = (struct place){ .dir = "/tmp/sluice-sm2-XXXXXX" };
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.path, sizeof p.path, "%s/log.sm2.key", p.dir);
    *state = &p;
    return 0;
}

static int place_clear(void **state)
{
    struct place *p = *state;
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    return system(command);
}

static void the_standard(void **state)
{
    static const struct {
        const char *point, *r, *s, *message;
        bool want;
    } cases[] = {
        { POINT, R, S, "message digest", true },
        { POINT, R, S, "message digesT", false },
        { POINT, S, R, "message digest", false },
        { POINT, ZERO, S, "message digest", false },
        { POINT, R, ZERO, "message digest", false },
        { POINT, N, S, "message digest", false },
        { POINT, R, N, "message digest", false },
        { "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
          "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad14",
          R, S, "message digest", false }, /* not on the curve */
        { "0309f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
          "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
          R, S, "message digest", false }, /* of another form */
        { "04" ZERO ZERO, R, S, "message digest", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t key[SM2_PUB], sig[SM2_SIG];
        assert_true(hex_read(slice_of(cases[i].point), key, sizeof key));
        assert_true(hex_read(slice_of(cases[i].r), sig, 32) && hex_read(slice_of(cases[i].s), sig + 32, 32));
        assert_int_equal(sm2_verify(key, slice_of(cases[i].message), sig), cases[i].want);
    }
}

/* Numbers that begin with a zero come about once in 128 signatures: each is 32 bytes all the same. */
static void our_own(void **state)
{
    struct place *p = *state;
    struct sm2 *k = NULL, *other = NULL;
    uint8_t sig[SM2_SIG], again[SM2_SIG];
    char path[140];
    unsigned zeros = 0;

    snprintf(path, sizeof path, "%s.2", p->path);
    assert_int_equal(sm2_generate(p->path, NULL), ERR_OK);
    assert_int_equal(sm2_generate(p->path, NULL), ERR_EXISTS);
    assert_int_equal(sm2_generate(path, NULL), ERR_OK);
    assert_int_equal(sm2_load(p->path, &k, NULL), ERR_OK);
    assert_int_equal(sm2_load(path, &other, NULL), ERR_OK);
    for (int i = 0; i < 2000 && (i < 20 || zeros < 2); i++) {
        struct slice message = slice_make(&i, sizeof i);
        assert_int_equal(sm2_sign(k, message, sig), ERR_OK);
        assert_true(sm2_verify(sm2_public(k), message, sig));
        assert_false(sm2_verify(sm2_public(other), message, sig));
        zeros += sig[0] == 0 || sig[32] == 0;
    }
    assert_true(zeros >= 2);
    assert_int_equal(sm2_sign(k, SLICE("x"), again), ERR_OK);
    sig[0] ^= 1;
    assert_false(sm2_verify(sm2_public(k), SLICE("x"), sig));
    assert_true(sm2_verify(sm2_public(k), SLICE("x"), again));
    sm2_free(k);
    sm2_free(other);
}

/* What the command line of OpenSSL signs with the id holds, and without it, or with another, it does not. */
static void the_id(void **state)
{
    static const struct {
        const char *option;
        bool want;
    } cases[] = { { "-pkeyopt distid:1234567812345678", true },
                  { "", false },
                  { "-pkeyopt distid:1234567812345679", false } };
    struct place *p = *state;
    struct sm2 *k = NULL;

    assert_int_equal(sm2_generate(p->path, NULL), ERR_OK);
    assert_int_equal(sm2_load(p->path, &k, NULL), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[640], path[160];
        struct buf der = BUF_INIT(200);
        uint8_t sig[SM2_SIG] = { 0 };
        snprintf(path, sizeof path, "%s/sig", p->dir);
        snprintf(command, sizeof command,
                 "cd %s && printf 'a text' > m && openssl pkeyutl -sign -rawin -digest sm3 -inkey %s -in m -out sig %s "
                 "2>/dev/null",
                 p->dir, p->path, cases[i].option);
        if (system(command) != 0) {
            printf("no openssl command: skipped\n");
            break;
        }
        assert_int_equal(file_read(path, &der, NULL), ERR_OK);
        const uint8_t *at = (const uint8_t *)der.p + 2; /* SEQUENCE of two INTEGERs, each behind type and length */
        for (int half = 0; half < 2; half++) {
            size_t n = at[1], skip = n > 32 ? n - 32 : 0;
            memcpy(sig + 32 * half + (32 - (n - skip)), at + 2 + skip, n - skip);
            at += 2 + n;
        }
        assert_int_equal(sm2_verify(sm2_public(k), SLICE("a text"), sig), cases[i].want);
        buf_done(&der);
    }
    sm2_free(k);
}

static void files_that_are_refused(void **state)
{
    struct place *p = *state;
    struct sm2 *k = NULL;
    struct ed25519 *e = NULL;

    assert_int_equal(ed25519_generate(p->path, NULL), ERR_OK);
    assert_int_equal(sm2_load(p->path, &k, NULL), ERR_CRYPTO);
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(sm2_load(p->path, &k, NULL), ERR_NOT_FOUND);
    assert_int_equal(sm2_generate(p->path, NULL), ERR_OK);
    assert_int_equal(ed25519_load(p->path, &e, NULL), ERR_CRYPTO);
    assert_int_equal(chmod(p->path, 0644), 0);
    assert_int_not_equal(sm2_load(p->path, &k, NULL), ERR_OK);
    assert_null(k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_clear)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(the_standard), TEST(our_own), TEST(the_id), TEST(files_that_are_refused) };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
