/* Cosignatures of witnesses: keys in their written form, lines that hold and lines that do not, and how many count. */
#include "audit/note.h"
#include "audit/audit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { WITNESSES = 3, AT = 1679315147 };
static struct ed25519 *keys[WITNESSES];
static struct signer signers[WITNESSES];
static struct audit_witness known[WITNESSES];
static const char *const names[WITNESSES] = { "bureau.example/w1", "审计局.example/w2", "w3" };
static struct buf note; /* signed by a log of its own, cosigned by all three */

static struct ed25519 *key_new(void)
{
    char dir[] = "/tmp/sluice-cosign-XXXXXX", path[64];
    struct ed25519 *k = NULL;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/key", dir);
    assert_int_equal(ed25519_generate(path, NULL), ERR_OK);
    assert_int_equal(ed25519_load(path, &k, NULL), ERR_OK);
    unlink(path);
    rmdir(dir);
    return k;
}

static struct slice text_of(struct slice whole)
{
    struct note_checkpoint c;
    assert_int_equal(note_read(whole, &c), ERR_OK);
    return c.text;
}

static int setup(void **state)
{
    (void)state;
    struct ed25519 *log = key_new();
    struct signer own = ed25519_signer(log);
    struct sha256 root = sha256_of(SLICE("root"));
    note = BUF_INIT(NOTE_MAX);
    assert_int_equal(note_sign(SLICE("city.example/log/gw1"), 20852163, &root, &own, &note), ERR_OK);
    for (int i = 0; i < WITNESSES; i++) {
        struct buf vkey = BUF_INIT(1024);
        keys[i] = key_new();
        signers[i] = ed25519_signer(keys[i]);
        assert_int_equal(audit_witness_vkey(slice_of(names[i]), signers[i].public_key, &vkey), ERR_OK);
        assert_int_equal(audit_witness_read(buf_slice(&vkey), &known[i]), ERR_OK);
        assert_string_equal(known[i].name, names[i]);
        struct buf line = BUF_INIT(NOTE_MAX);
        assert_int_equal(note_cosign(text_of(buf_slice(&note)), slice_of(names[i]), AT + i, &signers[i], &line),
                         ERR_OK);
        buf_put(&note, buf_slice(&line));
        buf_done(&line);
        buf_done(&vkey);
    }
    ed25519_free(log);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < WITNESSES; i++)
        ed25519_free(keys[i]);
    buf_done(&note);
    return 0;
}

/* The form of the message is fixed by the standard: this is it, written out once more. */
static void a_line_holds(void **state)
{
    (void)state;
    int64_t at = 0;
    struct buf message = BUF_INIT(NOTE_MAX);
    uint8_t sig[8 + ED25519_SIG];
    struct note_checkpoint c;
    assert_int_equal(note_read(buf_slice(&note), &c), ERR_OK);
    for (int i = 0; i < WITNESSES; i++) {
        struct slice lines = c.lines;
        assert_true(audit_cosigned_by(buf_slice(&note), &known[i], &at));
        assert_int_equal(at, AT + i);
        assert_true(note_line_next(&lines, slice_of(names[i]), known[i].hash, sig, sizeof sig));
        buf_clear(&message);
        buf_printf(&message, "cosignature/v1\ntime %d\n%.*s", AT + i, SLICE_ARG(c.text));
        assert_true(ed25519_verify(known[i].key, buf_slice(&message), slice_make(sig + 8, ED25519_SIG)));
    }
    assert_int_equal(audit_cosigned(buf_slice(&note), known, WITNESSES), WITNESSES);
    buf_done(&message);
}

/* Any byte of the text or of the line that is another makes it no cosignature. */
static void an_altered_byte_does_not_hold(void **state)
{
    (void)state;
    int64_t at;
    size_t text = text_of(buf_slice(&note)).n;
    for (size_t i = 0; i < note.n; i++) {
        note.p[i] ^= 1;
        size_t n = audit_cosigned(buf_slice(&note), known, WITNESSES);
        assert_true(i < text ? n == 0 : n <= WITNESSES);
        note.p[i] ^= 1;
    }
    struct slice lines;
    struct note_checkpoint c;
    assert_int_equal(note_read(buf_slice(&note), &c), ERR_OK);
    lines = c.lines;
    slice_cut(&lines, '\n'); /* the log's own */
    for (size_t i = (size_t)(lines.p - note.p) + 4; lines.p[i - (size_t)(lines.p - note.p)] != '\n'; i++) {
        char was = note.p[i];
        note.p[i] = was == 'A' ? 'B' : 'A';
        if (note.p[i + 1] != '\n' && note.p[i + 1] != '=') /* the last digit has bits that mean nothing */
            assert_false(audit_cosigned_by(buf_slice(&note), &known[0], &at));
        note.p[i] = was;
    }
}

/* A witness counts once, whatever its lines and its names; the log's own key is no witness. */
static void each_counts_once(void **state)
{
    (void)state;
    struct audit_witness twice[2] = { known[0], known[0] };
    struct buf alias = BUF_INIT(NOTE_MAX), vkey = BUF_INIT(1024);
    struct audit_witness w;
    assert_int_equal(audit_cosigned(buf_slice(&note), twice, 2), 1);
    buf_put(&alias, buf_slice(&note));
    assert_int_equal(note_cosign(text_of(buf_slice(&note)), SLICE("alias"), AT, &signers[0], &alias), ERR_OK);
    assert_int_equal(audit_witness_vkey(SLICE("alias"), signers[0].public_key, &vkey), ERR_OK);
    assert_int_equal(audit_witness_read(buf_slice(&vkey), &twice[1]), ERR_OK);
    assert_int_equal(audit_cosigned(buf_slice(&alias), twice, 2), 1);
    buf_clear(&vkey);
    assert_int_equal(audit_vkey(SLICE("w"), signers[0].public_key, &vkey), ERR_OK);
    assert_int_equal(audit_witness_read(buf_slice(&vkey), &w), ERR_UNSUPPORTED);
    buf_done(&alias);
    buf_done(&vkey);
}

static void keys_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "w",
                                       "w+00000000",
                                       "w+00000000+",
                                       "+00000000+AAAA",
                                       "w+zz+AAAA",
                                       "w+00000000+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    struct audit_witness w;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(audit_witness_read(slice_of(bad[i]), &w), ERR_OK);
    assert_int_equal(audit_cosigned(SLICE("no note"), known, WITNESSES), 0);
    assert_int_equal(audit_cosigned(SLICE(""), known, WITNESSES), 0);
}

/* Below the text stand lines of signatures and nothing else, of unknown signers too. */
static void a_note_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *more; /* behind a whole note */
        bool good;
    } rows[] = {
        { "", true },
        { "— another/w AAAAAAAA\n", true },
        { "— another/w AAAAAAAA\n— another/w AAAAAAAA\n", true },
        { "— 审计局.example/w2 AAAAAAA=\n", true },
        { "\n", false },
        { "\n— another/w AAAAAAAA\n", false },
        { "checked, all is well\n", false },
        { "- another/w AAAAAAAA\n", false },
        { "— another/w\n", false },
        { "— another/w AAAAAAAA \n", false },
        { "—  AAAAAAAA\n", false },
        { "— an+other AAAAAAAA\n", false },
        { "— another/w AAAAAA==\n", false }, /* a key hash without a signature */
        { "— another/w AAAAAAAB=\n", false },
        { "— another/w AAAAAAA!\n", false },
        { "— another/w AAAAAAAA", false },
        { "— another/w\r AAAAAAAA\n", false },
        { "— an\x1bother AAAAAAAA\n", false },
        { "— \xff AAAAAAAA\n", false },
    };
    struct note_checkpoint c;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf whole = BUF_INIT(2 * NOTE_MAX);
        buf_put(&whole, buf_slice(&note));
        buf_puts(&whole, rows[i].more);
        if ((note_read(buf_slice(&whole), &c) == ERR_OK) != rows[i].good)
            print_error("case %zu\n", i);
        assert_int_equal(note_read(buf_slice(&whole), &c), rows[i].good ? ERR_OK : ERR_SYNTAX);
        assert_int_equal(audit_cosigned(buf_slice(&whole), known, WITNESSES), rows[i].good ? WITNESSES : 0);
        while (rows[i].good && whole.failed == ERR_OK && whole.n <= NOTE_MAX)
            buf_puts(&whole, "— another/w AAAAAAAA\n");
        assert_int_equal(note_read(buf_slice(&whole), &c), ERR_SYNTAX); /* too long, or as before */
        buf_done(&whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_holds),     cmocka_unit_test(an_altered_byte_does_not_hold),
        cmocka_unit_test(each_counts_once), cmocka_unit_test(keys_that_are_none),
        cmocka_unit_test(a_note_is_strict),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
