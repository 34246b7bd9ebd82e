/* Whatever the manifest and the answer: in which order an element's attributes come, or an object's members, changes
 * nothing. Manifests and documents are drawn, always the same ones; each document is written again in other orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/translate/answer_fixture.h"

enum { ANSWERS = 400, TRIES = 10 * ANSWERS, ORDERS = 4, DEPTH = 2, PARTS_MAX = 8, TEXT_MAX = 1 << 20 };

/* What is drawn from `what` does not depend on what is drawn from `order`. */
struct pen {
    uint32_t what, order; /* seeds; order 0: as it comes */
    bool code;            /* elements may have the result code */
    struct buf *out;
};

static uint32_t draw(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 16) % n;
}

static bool once_in(struct pen *p, uint32_t n)
{
    return draw(&p->what, n) == 0;
}

static const char *one_of(struct pen *p, const char *const *all, uint32_t n)
{
    return all[draw(&p->what, n)];
}
#define ONE_OF(pen, all) one_of(pen, all, sizeof(all) / sizeof *(all))

static const char *const names[] = { "a", "b", "c", "d" }, *const attrs[] = { "k", "t", "p", "q" },
                         *const values[] = { "张三丰", "", "1", "2", "x y", "2024-02-29", "ABCDEFGHIJKLMN" };

/* The parts that begin at `at`, the last of which ends the text, in another order. */
static void shuffle(struct pen *p, size_t *at, size_t n)
{
    static char copy[TEXT_MAX];
    size_t ends[PARTS_MAX], from = n > 0 ? at[0] : 0, to = from;

    if (p->order == 0 || p->out->failed != ERR_OK || n == 0)
        return;
    memcpy(copy, p->out->p + from, p->out->n - from);
    for (size_t i = 0; i < n; i++)
        ends[i] = i + 1 < n ? at[i + 1] : p->out->n;
    for (size_t left = n; left > 0; left--) {
        size_t i = draw(&p->order, (uint32_t)left), part = ends[i] - at[i];
        memcpy(p->out->p + to, copy + (at[i] - from), part);
        to += part;
        at[i] = at[left - 1];
        ends[i] = ends[left - 1];
    }
}

/* ---- XML ---- */

static void xml_step(struct pen *p)
{
    buf_printf(p->out, "%s", ONE_OF(p, names));
    if (once_in(p, 3))
        buf_printf(p->out, "[@%s=''%u'']", ONE_OF(p, attrs), 1 + draw(&p->what, 2));
    if (once_in(p, 10))
        buf_printf(p->out, "[%u]", 1 + draw(&p->what, 2));
}

static void xml_path(struct pen *p)
{
    bool attr = once_in(p, 3);

    if (!attr) {
        xml_step(p);
        if (once_in(p, 3)) {
            buf_putc(p->out, '/');
            xml_step(p);
        }
        attr = once_in(p, 3);
        buf_put(p->out, attr ? SLICE("/") : SLICE(""));
    }
    if (attr)
        buf_printf(p->out, "@%s", ONE_OF(p, attrs));
}

static void xml_element(struct pen *p, const char *name, unsigned depth)
{
    size_t at[PARTS_MAX], n = 0;

    buf_printf(p->out, "<%s", name);
    for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
        if (once_in(p, 2)) {
            at[n++] = p->out->n;
            buf_printf(p->out, " %s='%s'", attrs[i],
                       i < 2 ? ONE_OF(p, ((const char *const[]){ "1", "2" })) : ONE_OF(p, values));
        }
    if (p->code && !once_in(p, 4)) {
        at[n++] = p->out->n;
        buf_printf(p->out, " code='%d'", once_in(p, 50) ? 9 : 1);
    }
    shuffle(p, at, n);
    buf_putc(p->out, '>');
    uint32_t kids = depth > 0 ? draw(&p->what, 5) : 0;
    for (uint32_t i = 0; i < kids; i++)
        xml_element(p, ONE_OF(p, names), depth - 1);
    buf_printf(p->out, "%s</%s>", kids == 0 ? ONE_OF(p, values) : "", name);
}

static void xml_document(struct pen *p)
{
    uint32_t rows = draw(&p->what, 4);

    buf_put(p->out, SLICE("<r code='1'>"));
    for (uint32_t i = 0; i < rows; i++)
        xml_element(p, "z", DEPTH);
    buf_put(p->out, SLICE("</r>"));
}

/* ---- JSON ---- */

static void json_path(struct pen *p)
{
    buf_printf(p->out, "%s", ONE_OF(p, names));
    if (once_in(p, 3))
        buf_printf(p->out, "/%s", ONE_OF(p, ((const char *const[]){ "a", "b", "c", "d", "0", "1" })));
}

static void json_object(struct pen *p, unsigned depth);

static void json_value(struct pen *p, unsigned depth)
{
    static const char *const scalars[] = {
        "null", "true", "-0.5", "12345678901234567890", "\"l\\\"q\\n\"", "{}", "[]"
    };
    uint32_t kind = draw(&p->what, 8);

    if (kind == 0 && depth > 0) {
        json_object(p, depth - 1);
    } else if (kind == 1 && depth > 0) {
        uint32_t n = 1 + draw(&p->what, 3);
        for (uint32_t i = 0; i < n; i++) {
            buf_putc(p->out, i == 0 ? '[' : ',');
            json_value(p, depth - 1);
        }
        buf_putc(p->out, ']');
    } else if (kind == 2) {
        buf_printf(p->out, "%s", ONE_OF(p, scalars));
    } else {
        buf_printf(p->out, "\"%s\"", ONE_OF(p, values));
    }
}

/* Each of them with a comma before it, the first of which makes room for the bracket. */
static void json_members_end(struct pen *p, size_t *at, size_t n)
{
    size_t from = at[0];

    shuffle(p, at, n);
    if (p->out->failed == ERR_OK)
        p->out->p[from] = '{';
    buf_putc(p->out, '}');
}

static void json_object(struct pen *p, unsigned depth)
{
    size_t at[PARTS_MAX] = { p->out->n }, n = 1;

    buf_printf(p->out, ",\"unknown%u\":", draw(&p->what, 70));
    json_value(p, depth);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!once_in(p, 3)) {
            at[n++] = p->out->n;
            buf_printf(p->out, ",\"%s\":", names[i]);
            json_value(p, depth);
        }
    if (p->code && !once_in(p, 8)) {
        at[n++] = p->out->n;
        buf_printf(p->out, ",\"code\":\"%d\"", once_in(p, 50) ? 9 : 1);
    }
    json_members_end(p, at, n);
}

static void json_document(struct pen *p)
{
    size_t at[] = { p->out->n, 0 };
    uint32_t rows = draw(&p->what, 4);

    buf_put(p->out, SLICE(",\"z\":["));
    for (uint32_t i = 0; i < rows; i++) {
        buf_put(p->out, i > 0 ? SLICE(",") : SLICE(""));
        json_object(p, DEPTH);
    }
    buf_putc(p->out, ']');
    at[1] = p->out->n;
    buf_put(p->out, SLICE(",\"code\":\"1\""));
    json_members_end(p, at, 2);
}

/* ---- cases ---- */

static const struct format {
    const char *name, *root, *predicate, *attr; /* attr: what stands before the name of the code */
    void (*path)(struct pen *p);
    void (*document)(struct pen *p);
} formats[] = { { "xml", "/r", "[@t=''1'']", "@", xml_path, xml_document },
                { "json", "", "", "", json_path, json_document } };

static void manifest(struct pen *p, const struct format *f)
{
    static const char *const before[] = { "i0: '",        "', i1: '",       "', i2: '", "', i3: '",
                                          "', l: {at: '", "', map: {la: '", "', lb: '" };

    buf_printf(p->out,
               "id: d/x\n"
               "format: {class: interface, type: %s}\n"
               "items:\n"
               "  - {name: i0, type: C}\n"
               "  - {name: i1, type: C, mask: name}\n"
               "  - {name: i2, type: D}\n"
               "  - {name: i3, type: C, length: 3}\n"
               "  - {name: l, type: list, items: [{name: la, type: C}, {name: lb, type: C, mask: name}]}\n"
               "connector: {kind: http, endpoint: 'http://x.example/'}\n"
               "request: {params: []}\n"
               "response:\n"
               "  records: '%s/z%s'\n",
               f->name, f->root, once_in(p, 2) ? f->predicate : "");
    p->code = once_in(p, 2);
    if (p->code)
        buf_printf(p->out, "  success: {at: '%s%s/%scode', ok: ['1']}\n", f->root, once_in(p, 4) ? "" : "/z", f->attr);
    buf_put(p->out, SLICE("  map: {"));
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        buf_printf(p->out, "%s", before[i]);
        f->path(p);
    }
    buf_put(p->out, SLICE("'}}}\n"));
    buf_putc(p->out, 0);
}

/* The same document in some orders. True: it has an answer. */
static bool check(struct answer *f, struct pen *p, const struct format *format, const char *yaml)
{
    struct slice want = { NULL, 0 }, first = want;
    uint32_t what = p->what;
    enum err e = ERR_OK;
    uint64_t findings = 0;

    for (uint32_t order = 0; order < ORDERS; order++) {
        p->what = what;
        p->order = order;
        buf_clear(p->out);
        format->document(p);
        assert_int_equal(p->out->failed, ERR_OK);
        struct slice text = buf_slice(p->out);
        enum err got = answer_run(f, text, order == 1 ? 1 : 0, TRANSLATE_NDJSON, 200, "", 0x1f, 0x0d);
        if (order == 0) {
            e = got;
            want = arena_dup(&f->arena, buf_slice(&f->out));
            first = arena_dup(&f->arena, text);
            findings = f->outcome.findings;
        } else if ((got == ERR_OK) != (e == ERR_OK) ||
                   (e == ERR_OK && (!slice_eq(want, buf_slice(&f->out)) || findings != f->outcome.findings))) {
            print_error("%s%.*s\n", yaml, SLICE_ARG(first));
            print_error("%s %.*s\n%.*s\n", err_name(e), SLICE_ARG(want), SLICE_ARG(text));
            fail_msg("%s %.*s", err_name(got), SLICE_ARG(buf_slice(&f->out)));
        }
    }
    return e == ERR_OK && want.n > 0;
}

static void test_orders(void **state)
{
    struct buf yaml = BUF_INIT(TEXT_MAX), text = BUF_INIT(TEXT_MAX);

    (void)state;
    for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
        struct pen p = { .what = 1 };
        unsigned answers = 0, tries = 0;

        while (answers < ANSWERS) {
            struct answer f;
            assert_true(++tries < TRIES);
            buf_clear(&yaml);
            p.out = &yaml;
            manifest(&p, &formats[k]);
            assert_int_equal(yaml.failed, ERR_OK);
            p.out = &text;
            if (answer_compile(&f, yaml.p) == ERR_OK) /* paths that exclude each other are refused */
                answers += check(&f, &p, &formats[k], yaml.p);
            answer_done(&f);
        }
    }
    buf_done(&yaml);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_orders) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
