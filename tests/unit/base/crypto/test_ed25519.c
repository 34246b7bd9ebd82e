/* Ed25519 against RFC 8032 section 7.1, and key files: modes, kinds, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/crypto/crypto.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *secret, *public_key, *message, *sig;
} vectors[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
      "655141438e7a"
      "100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
      "b00d291612bb"
      "0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
      "c027beceea1e"
      "c40a" },
};

struct place {
    char dir[64], path[128];
    struct arena arena;
    struct diags d;
};

static int place_make(void **state)
{
    static struct place p;

    p = (struct place){ .dir = "/tmp/sluice-key-XXXXXX" };
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.path, sizeof p.path, "%s/log.pem", p.dir);
    arena_init(&p.arena, 1 << 20);
    diags_init(&p.d, &p.arena);
    *state = &p;
    return 0;
}

static int place_clear(void **state)
{
    struct place *p = *state;
    char command[128];

    arena_done(&p->arena);
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    return system(command);
}

/* PKCS#8 of an Ed25519 seed is a fixed head and the 32 bytes (RFC 8410 section 7). */
static void key_put(struct place *p, const char *secret)
{
    uint8_t der[48] = { 0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20 };
    struct buf b = BUF_INIT(1000);

    assert_true(hex_read(slice_of(secret), der + 16, 32));
    buf_puts(&b, "-----BEGIN PRIVATE KEY-----\n");
    base64_put(&b, slice_make(der, sizeof der));
    buf_puts(&b, "\n-----END PRIVATE KEY-----\n");
    assert_int_equal(file_write(p->path, buf_slice(&b), 0600, &p->d), ERR_OK);
    buf_done(&b);
}

static void test_vectors(void **state)
{
    struct place *p = *state;

    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        uint8_t public_key[ED25519_PUB], message[8], want[ED25519_SIG], got[ED25519_SIG];
        struct slice m = slice_make(message, strlen(vectors[v].message) / 2);
        struct ed25519 *k = NULL;
        struct signer s;

        assert_true(hex_read(slice_of(vectors[v].public_key), public_key, sizeof public_key));
        assert_true(m.n == 0 || hex_read(slice_of(vectors[v].message), message, m.n));
        assert_true(hex_read(slice_of(vectors[v].sig), want, sizeof want));
        key_put(p, vectors[v].secret);
        assert_int_equal(ed25519_load(p->path, &k, &p->d), ERR_OK);
        s = ed25519_signer(k);
        assert_memory_equal(s.public_key, public_key, ED25519_PUB);
        assert_int_equal(s.sign(s.self, m, got), ERR_OK);
        assert_memory_equal(got, want, ED25519_SIG);
        assert_true(ed25519_verify(public_key, m, slice_make(want, sizeof want)));
        ed25519_free(k);
    }
}

/* One bit anywhere in signature, message or key makes it false. */
static void test_verify_refuses(void **state)
{
    uint8_t key[ED25519_PUB], sig[ED25519_SIG + 1] = { 0 }, message[2] = { 0xaf, 0x82 };
    struct slice m = slice_make(message, 2), s = slice_make(sig, ED25519_SIG);

    (void)state;
    assert_true(hex_read(slice_of(vectors[2].public_key), key, sizeof key));
    assert_true(hex_read(slice_of(vectors[2].sig), sig, ED25519_SIG));
    assert_true(ed25519_verify(key, m, s));
    for (size_t i = 0; i < ED25519_SIG; i++) {
        sig[i] ^= 1;
        assert_false(ed25519_verify(key, m, s));
        sig[i] ^= 1;
    }
    for (size_t i = 0; i < ED25519_PUB; i++) {
        key[i] ^= 2;
        assert_false(ed25519_verify(key, m, s));
        key[i] ^= 2;
    }
    message[0] ^= 1;
    assert_false(ed25519_verify(key, m, s));
    message[0] ^= 1;
    assert_false(ed25519_verify(key, slice_sub(m, 0, 1), s));
    assert_false(ed25519_verify(key, m, slice_sub(s, 0, ED25519_SIG - 1)));
    assert_false(ed25519_verify(key, m, slice_make(sig, ED25519_SIG + 1)));
    assert_false(ed25519_verify(key, m, slice_of(NULL)));
    assert_true(ed25519_verify(key, m, s));
}

static void test_generate(void **state)
{
    struct place *p = *state;
    struct ed25519 *a = NULL, *b = NULL;
    uint8_t sig[ED25519_SIG];
    struct signer sa, sb;
    struct stat st;
    char part[140];

    assert_int_equal(ed25519_generate(p->path, &p->d), ERR_OK);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(part, sizeof part, "%s.part", p->path);
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_equal(ed25519_load(p->path, &a, &p->d), ERR_OK);
    assert_int_equal(ed25519_generate(p->path, &p->d), ERR_EXISTS);
    assert_int_equal(ed25519_load(p->path, &b, &p->d), ERR_OK);
    sa = ed25519_signer(a);
    sb = ed25519_signer(b);
    assert_memory_equal(sa.public_key, sb.public_key, ED25519_PUB); /* not overwritten */
    assert_int_equal(sa.sign(sa.self, SLICE("checkpoint"), sig), ERR_OK);
    assert_true(ed25519_verify(sb.public_key, SLICE("checkpoint"), slice_make(sig, sizeof sig)));
    ed25519_free(b);
    b = ed25519_free(a);
    assert_null(ed25519_free(b));
    unlink(p->path);
    assert_int_equal(ed25519_generate(p->path, &p->d), ERR_OK);
    assert_int_equal(ed25519_load(p->path, &b, &p->d), ERR_OK);
    assert_memory_not_equal(sa.public_key, ed25519_signer(b).public_key, ED25519_PUB); /* and not the same each time */
    ed25519_free(b);
    assert_int_equal(ed25519_generate("/nonexistent/folder/k.pem", NULL), ERR_NOT_FOUND);
}

/* X25519: agrees on keys, cannot sign. */
static const char another_kind[] = "-----BEGIN PRIVATE KEY-----\n"
                                   "MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n"
                                   "-----END PRIVATE KEY-----\n";
static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj7VDOnm7mvVAICCAAw\n"
                                "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEB9DWKYt5D5gBNNcXTQSxvQEQJvW\n"
                                "-----END ENCRYPTED PRIVATE KEY-----\n";

static void test_load_refuses(void **state)
{
    const struct {
        const char *text;
        unsigned mode;
        enum err want;
    } cases[] = {
        { "", 0600, ERR_CRYPTO },        { "no key at all\n", 0600, ERR_CRYPTO }, { another_kind, 0600, ERR_CRYPTO },
        { encrypted, 0600, ERR_CRYPTO }, { another_kind, 0640, ERR_DENIED },      { another_kind, 0604, ERR_DENIED },
    };
    struct place *p = *state;
    struct ed25519 *k = NULL;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(file_write(p->path, slice_of(cases[i].text), cases[i].mode, &p->d), ERR_OK);
        assert_int_equal(ed25519_load(p->path, &k, &p->d), cases[i].want);
        assert_null(k);
        assert_int_equal(p->d.count, i + 1);
    }
    unlink(p->path);
    assert_int_equal(ed25519_load(p->path, &k, &p->d), ERR_NOT_FOUND);
}

static void test_no_memory(void **state)
{
    struct place *p = *state;
    unsigned failed = 0;

    key_put(p, vectors[0].secret);
    for (size_t n = 1; n < 8; n++) {
        struct ed25519 *k = NULL;
        enum err e;

        mem_fail_nth(n);
        e = ed25519_load(p->path, &k, NULL);
        mem_fail_nth(0);
        assert_true(e == ERR_OK ? k != NULL : e == ERR_NOMEM && k == NULL);
        failed += e != ERR_OK;
        ed25519_free(k);
    }
    assert_true(failed >= 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_make, place_clear)
    const struct CMUnitTest tests[] = { CASE(test_vectors), CASE(test_verify_refuses), CASE(test_generate),
                                        CASE(test_load_refuses), CASE(test_no_memory) };
    int failed;

    if (crypto_init(NULL) != ERR_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
