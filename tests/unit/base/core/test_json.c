/* Commas, escapes, refusals, depth; strings against a byte-by-byte reading of RFC 8259. */
#include "unit.h"

static void shapes(void **state)
{
    struct buf b = BUF_INIT(1000);
    struct json j;

    (void)state;
    json_init(&j, &b);
    json_open(&j, '{');
    json_pair(&j, "s", SLICE("x"));
    json_opt(&j, "absent", SLICE(""));
    json_opt(&j, "present", SLICE("p"));
    json_key(&j, "list");
    json_open(&j, '[');
    json_u64(&j, UINT64_MAX);
    json_i64(&j, INT64_MIN);
    json_i64(&j, 7);
    json_bool(&j, false);
    json_null(&j);
    json_cstr(&j, NULL);
    json_cstr(&j, "c");
    json_open(&j, '{');
    json_close(&j, '}');
    json_open(&j, '[');
    json_close(&j, ']');
    json_raw(&j, SLICE("1.50"));
    json_close(&j, ']');
    json_pair_u64(&j, "n", 0);
    json_pair_bool(&j, "b", true);
    json_key_slice(&j, SLICE("k\"y"));
    json_str(&j, SLICE(""));
    json_close(&j, '}');
    assert_int_equal(b.failed, ERR_OK);
    assert_text(buf_slice(&b),
                "{\"s\":\"x\",\"present\":\"p\",\"list\":[18446744073709551615,-9223372036854775808,7,false,"
                "null,null,\"c\",{},[],1.50],\"n\":0,\"b\":true,\"k\\\"y\":\"\"}");
    buf_clear(&b);
    for (int i = 0; i < 2; i++) { /* one writer, a line after a line */
        json_open(&j, '[');
        json_close(&j, ']');
        buf_putc(&b, '\n');
    }
    assert_text(buf_slice(&b), "[]\n[]\n");
    buf_done(&b);
}

static void bytes(void **state)
{
    struct buf b = BUF_INIT(1000);
    struct json j;

    (void)state;
    json_init(&j, &b);
    json_open(&j, '[');
    json_bytes(&j, SLICE("张"));
    json_bytes(&j, SLICE("\xff\xfe"));
    json_bytes(&j, SLICE("x"));
    json_close(&j, ']');
    assert_text(buf_slice(&b), "[\"张\",{\"b64\":\"//4=\"},\"x\"]");
    assert_int_equal(b.failed, ERR_OK);
    json_str(&j, SLICE("\xff"));
    assert_int_equal(b.failed, ERR_INVALID);
    buf_clear(&b);
    json_open(&j, '{');
    json_key_slice(&j, SLICE("\xc0\x80"));
    assert_int_equal(b.failed, ERR_INVALID);
    buf_done(&b);
}

/* Each byte at each place of a word: the fast path and the slow path must agree. */
static void escapes(void **state)
{
    static const char *const shorts[256] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"
    };
    struct buf got = BUF_INIT(1000), want = BUF_INIT(1000);

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < 19; at++) {
            char text[19];
            memset(text, 'a', sizeof text);
            text[at] = (char)c;
            buf_clear(&got);
            buf_clear(&want);
            json_escape(&got, (struct slice){ text, sizeof text });
            buf_put(&want, (struct slice){ text, at });
            if (shorts[c])
                buf_puts(&want, shorts[c]);
            else if (c < 0x20)
                buf_printf(&want, "\\u%04x", c);
            else
                buf_putc(&want, (char)c);
            buf_put(&want, (struct slice){ text + at + 1, sizeof text - at - 1 });
            if (!slice_eq(buf_slice(&got), buf_slice(&want)))
                fail_msg("byte %02x at %zu", c, at);
        }
    }
    buf_done(&got);
    buf_done(&want);
}

static void depth(void **state)
{
    struct buf b = BUF_INIT(10000);
    struct json j;

    (void)state;
    json_init(&j, &b);
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        json_open(&j, '[');
        json_u64(&j, 1);
    }
    assert_int_equal(b.failed, ERR_OK);
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        json_u64(&j, 2);
        json_close(&j, ']');
    }
    assert_true(slice_starts(buf_slice(&b), SLICE("[1,[1,[1,[1")));
    assert_true(slice_ends(buf_slice(&b), SLICE(",2],2],2]")));
    for (int i = 0; i <= JSON_DEPTH_MAX; i++)
        json_open(&j, '[');
    assert_int_equal(b.failed, ERR_TOO_LARGE);
    for (int i = 0; i < 400; i++)
        json_open(&j, '[');
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(shapes), cmocka_unit_test(bytes), cmocka_unit_test(escapes),
                                        cmocka_unit_test(depth) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
