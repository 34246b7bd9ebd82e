/* SHA-256 against FIPS 180-4's examples, HMAC against RFC 4231, in every way a message can be split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/crypto/crypto.h"

static void assert_hex(struct sha256 got, const char *want)
{
    struct buf b = BUF_INIT(100);

    hex_put(&b, slice_make(got.b, SHA256_LEN));
    buf_putc(&b, '\0');
    assert_string_equal(b.p, want);
    buf_done(&b);
}

static const struct {
    const char *text, *hex;
} vectors[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrst"
      "u",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

static void test_sha256(void **state)
{
    struct digest *g = digest_new();

    (void)state;
    assert_non_null(g);
    assert_non_null(g);
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        struct slice s = slice_of(vectors[v].text);

        assert_hex(sha256_of(s), vectors[v].hex);
        for (size_t cut = 0; cut <= s.n; cut++) {
            struct slice a = slice_sub(s, 0, cut), b = slice_sub(s, cut, s.n);

            assert_hex(sha256_of2(a, b), vectors[v].hex);
            digest_begin(g);
            digest_add(g, a);
            digest_add(g, b);
            assert_hex(digest_end(g), vectors[v].hex);
        }
    }
    digest_add(g, SLICE("dropped"));
    digest_begin(g);
    assert_hex(digest_end(g), vectors[0].hex);
    assert_hex(digest_end(g), vectors[0].hex); /* an end is a new beginning */
    g = digest_free(g);
    assert_null(digest_free(g));
}

/* Every length around the ends of blocks, in two pieces: the digest of the digests of 0 to 300 times 'a', as Python's
 * hashlib has it. */
static void test_lengths(void **state)
{
    static const char want[] = "e8e4a8cfe049153f6f930f2156161a5b19bb9b3dc4b698c20e4d44a29d7f9526";
    static const size_t steps[] = { 1, 7, 63, 64, 65, 300 };
    struct digest *all = digest_new(), *one = digest_new();
    char a[300];

    (void)state;
    assert_non_null(all);
    assert_non_null(one);
    memset(a, 'a', sizeof a);
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        for (size_t n = 0; n <= sizeof a; n++) {
            for (size_t at = 0; at < n; at += steps[k])
                digest_add(one, slice_sub(slice_make(a, n), at, steps[k]));
            struct sha256 got = digest_end(one);
            digest_add(all, slice_make(got.b, sizeof got.b));
        }
        assert_hex(digest_end(all), want);
    }
    all = digest_free(all);
    one = digest_free(one);
}

static void test_million(void **state)
{
    static char a[1000];
    struct digest *g = digest_new();

    (void)state;
    assert_non_null(g);
    assert_non_null(g);
    memset(a, 'a', sizeof a);
    for (int i = 0; i < 1000; i++)
        digest_add(g, slice_make(a, sizeof a));
    assert_hex(digest_end(g), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    digest_free(g);
}

/* RFC 4231 section 4: a byte repeated, or text, as key and as data. */
static const struct {
    uint8_t key_byte;
    size_t key_n;
    const char *key;
    uint8_t data_byte;
    size_t data_n;
    const char *data, *hex;
} macs[] = {
    { 0x0b, 20, NULL, 0, 0, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { 0, 0, "Jefe", 0, 0, "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { 0xaa, 20, NULL, 0xdd, 50, NULL, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { 0xaa, 131, NULL, 0, 0, "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { 0xaa, 131, NULL, 0, 0,
      "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
      "before being used by the HMAC algorithm.",
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
};

static void test_hmac(void **state)
{
    (void)state;
    for (size_t v = 0; v < sizeof macs / sizeof *macs; v++) {
        char key_room[131], data_room[50];
        struct slice key = slice_of(macs[v].key), data = slice_of(macs[v].data);

        if (macs[v].key_n) {
            memset(key_room, macs[v].key_byte, macs[v].key_n);
            key = slice_make(key_room, macs[v].key_n);
        }
        if (macs[v].data_n) {
            memset(data_room, macs[v].data_byte, macs[v].data_n);
            data = slice_make(data_room, macs[v].data_n);
        }
        for (size_t cut = 0; cut <= data.n; cut++)
            assert_hex(hmac_sha256(key, slice_sub(data, 0, cut), slice_sub(data, cut, data.n)), macs[v].hex);
    }
    /* Empty key and message, from RFC 2104's definition; a key of exactly one block is used as it is. */
    assert_hex(hmac_sha256(slice_of(NULL), slice_of(NULL), slice_of(NULL)),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_random(void **state)
{
    static uint8_t a[100000], b[100000];
    size_t zero = 0;

    (void)state;
    assert_int_equal(random_bytes(a, sizeof a), ERR_OK);
    assert_int_equal(random_bytes(b, sizeof b), ERR_OK);
    assert_int_equal(random_bytes(a, 0), ERR_OK);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i < sizeof a; i++)
        zero += a[i] == 0;
    assert_in_range(zero, 100, 800); /* 390 expected; a tail left unfilled would show */
}

static void test_equal(void **state)
{
    (void)state;
    assert_true(crypto_equal("abc", "abc", 3));
    assert_false(crypto_equal("abc", "abd", 3));
    assert_false(crypto_equal("xbc", "abc", 3));
    assert_true(crypto_equal(NULL, NULL, 0));
}

static void test_no_memory(void **state)
{
    (void)state;
    mem_fail_nth(1);
    assert_null(digest_new());
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),    cmocka_unit_test(test_lengths), cmocka_unit_test(test_million),
        cmocka_unit_test(test_hmac),      cmocka_unit_test(test_random),  cmocka_unit_test(test_equal),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
