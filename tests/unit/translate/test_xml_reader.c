/* The XML reader alone: encodings, sections, limits, and the corpora that nobody here wrote. Events are written as text
 * and compared; time and memory bounds are generous enough for a sanitizer and still far below what the bounded paths
 * would need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dirent.h>
#include <time.h>
#include "translate/xml_reader.h"
#include "translate/xml_decode.h"

/* ---- a sink that writes what it hears: <{ns}name @a=v>text</> ---- */

struct heard {
    struct buf text;
    uint64_t opens, closes, bytes;
    bool count_only;
};

static enum err hear_open(void *self, struct slice ns, struct slice name)
{
    struct heard *h = self;

    h->opens++;
    if (!h->count_only)
        buf_printf(&h->text, ns.n ? "<{%.*s}%.*s>" : "<%.*s%.*s>", SLICE_ARG(ns), SLICE_ARG(name));
    return ERR_OK;
}

static enum err hear_attr(void *self, struct slice ns, struct slice name, struct slice value)
{
    struct heard *h = self;

    if (!h->count_only)
        buf_printf(&h->text, "@%.*s%.*s=%.*s;", SLICE_ARG(ns), SLICE_ARG(name), SLICE_ARG(value));
    return ERR_OK;
}

static enum err hear_text(void *self, enum scalar kind, struct slice piece)
{
    struct heard *h = self;

    (void)kind;
    h->bytes += piece.n;
    if (!h->count_only)
        buf_put(&h->text, piece);
    return ERR_OK;
}

static enum err hear_close(void *self)
{
    struct heard *h = self;

    h->closes++;
    if (!h->count_only)
        buf_puts(&h->text, "</>");
    return ERR_OK;
}

static const struct event_sink hearing = {
    .open = hear_open, .attr = hear_attr, .text = hear_text, .close = hear_close
};

static enum err read_all(struct slice s, size_t step, const char *encoding, struct heard *h)
{
    struct xml_reader *r = xml_reader_new(&hearing, h, slice_of(encoding));
    enum err e = ERR_OK;

    assert_non_null(r);
    h->opens = h->closes = h->bytes = 0;
    buf_clear(&h->text);
    for (size_t at = 0; at < s.n && e == ERR_OK; at += step)
        e = xml_reader_feed(r, slice_sub(s, at, step));
    if (e == ERR_OK)
        e = xml_reader_finish(r);
    assert_true(xml_reader_offset(r) <= s.n);
    (void)xml_reader_free(r);
    return e;
}

/* ---- encodings ---- */

#define DECL(label) "<?xml version=\"1.0\" encoding=\"" label "\"?>"
#define MIN_GBK     "\xfe\x9f"         /* 䶮 */
#define JI_GB18030  "\x95\x34\xb2\x35" /* 𠮷 */
#define WANG_GBK    "\xcd\xf5"         /* 王 */
#define LU_GBK      "\xc2\xb7"         /* 路, which is a middle dot in UTF-8 */
/* Names that hold as UTF-8 too: л褫h, 姷滪, 褫h. */
#define XIE_GBK "\xd0\xbb\xe8\xa4\xab\x68" /* 谢瑜玥 */
#define PU_GBK  "\xe5\xa7\xb7\xe6\xbb\xaa" /* 濮锋华 */
#define YU_GBK  "\xe8\xa4\xab\x68"         /* 瑜玥 */

struct encoded {
    const char *in;
    size_t n;
    const char *transport, *out; /* out NULL: refused */
};
#define IN(text) text, sizeof(text) - 1
static const struct encoded encoded[] = {
    { IN(DECL("GB2312") "<a>" MIN_GBK JI_GB18030 WANG_GBK "</a>"), NULL, "<a>䶮𠮷王</>" },
    { IN(DECL("gbk") "<a x=\"" WANG_GBK "\">" LU_GBK "</a>"), NULL, "<a>@x=王;路</>" },
    { IN(DECL("GBK") "<a>" LU_GBK "</a>"), NULL, "<a>路</>" },
    { IN(DECL("GBK") "<a>" LU_GBK "</a>"), "utf-8", "<a>·</>" },
    { IN("<a>" WANG_GBK "</a>"), "GBK", "<a>王</>" },
    { IN(DECL("UTF-8") "<a>" WANG_GBK WANG_GBK "</a>"), "\"GBK", NULL },
    { IN(DECL("UTF-8") "<a>" WANG_GBK WANG_GBK "</a>"), "CP936", "<a>王王</>" },
    { IN(DECL("GB2312") "<a>王𠮷</a>"), NULL, "<a>王𠮷</>" },
    { IN(DECL("GB2312") "<a>王·𠮷</a>"), "GB2312", "<a>王·𠮷</>" },
    { IN("\xef\xbb\xbf" DECL("GB2312") "<a>王</a>"), "GBK", "<a>王</>" },
    { IN("  \r\n\t" DECL("GB2312") "<a>王</a>"), NULL, "<a>王</>" },
    { IN(DECL("UTF-8") "<a>" WANG_GBK "</a>"), NULL, NULL },
    { IN("<a>" WANG_GBK "</a>"), NULL, NULL },
    { IN("<a>" WANG_GBK "</a>"), "ISO-8859-1", NULL },
    { IN(DECL("GB2312") "<a>\xe7\x8e\x8b\xe7\x8e\x8b\xe7\x8e</a>"), NULL,
      NULL }, /* UTF-8 cut inside a character: no GBK is made of it */
    { IN(DECL("GBK") "<a>" WANG_GBK "\xff</a>"), NULL, NULL },
    { IN(DECL("GBK") "<a/>" WANG_GBK), NULL, NULL },
    { IN(DECL("GBK") "<a>" WANG_GBK "<![CDATA[" MIN_GBK "<b>]]></a>"), NULL, "<a>王䶮<b></>" },
    /* four bytes by the edition of 2005, two by that of 2022 */
    { IN(DECL("GB18030") "<a>" WANG_GBK "\x82\x35\x90\x37\x82\x35\x91\x34\xfe\x59" WANG_GBK "</a>"), NULL,
      "<a>王\u9fb4\u9fbb\u9fb4王</>" },
    { IN(DECL("GBK") "<a>" WANG_GBK "<![CDATA[\x84\x31\x82\x36\x84\x31\x83\x35]]></a>"), NULL, "<a>王\ufe10\ufe19</>" },
    { IN(DECL("GB18030") "<a>" WANG_GBK "\xff\x35\x90\x37</a>"), NULL, NULL },
    { IN(DECL("GB18030") "<a>" WANG_GBK "\x82\x35\x90"), NULL, NULL },
    /* bytes that hold as both */
    { IN(DECL("GBK") "<a>" XIE_GBK "</a>"), "GBK", "<a>谢瑜玥</>" },
    { IN(DECL("GB18030") "<a>" XIE_GBK "</a>"), NULL, "<a>谢瑜玥</>" },
    { IN(DECL("GBK") "<a>" PU_GBK "</a>"), "GBK", "<a>濮锋华</>" },
    { IN("<a>" YU_GBK "</a>"), "GB2312", "<a>瑜玥</>" },
    { IN(DECL("GBK") "<a>" XIE_GBK "</a>"), "utf-8", "<a>л褫h</>" },
    { IN(DECL("UTF-8") "<a>" XIE_GBK "</a>"), "GBK", "<a>谢瑜玥</>" },
    { IN(DECL("UTF-8") "<a>" XIE_GBK "</a>"), NULL, "<a>л褫h</>" },
    { IN(DECL("GBK") "<a>张三</a>"), "GBK", "<a>张三</>" },
    { IN(DECL("GBK") "<a>张·三</a>"), NULL, "<a>张·三</>" },
    { IN(DECL("GB2312") "<a>（北京）</a>"), "GB2312", "<a>（北京）</>" },
    { IN(DECL("GB2312") "<a>é</a>"), "utf-8", "<a>é</>" },
    { IN("\xff\xfe<\0a\0>\0\x8b\x73<\0/\0a\0>\0"), NULL, "<a>王</>" },
    { IN("\xfe\xff\0<\0a\0>\x73\x8b\0<\0/\0a\0>"), NULL, "<a>王</>" },
    { IN("<\0a\0>\0\x42\xd8\xb7\xdf<\0/\0a\0>\0"), NULL, "<a>𠮷</>" },
    { IN("\xff\xfe<\0a\0>\0\x42\xd8<\0/\0a\0>\0"), NULL, NULL },
    { IN("\x4c\x6f\xa7\x94"), NULL, NULL },
    { IN("\0\0\0<\0\0\0a"), NULL, NULL },
    { IN("\xef\xbb"), NULL, NULL },
    { IN(DECL("UTF-8")), NULL, NULL },
};

static void test_encodings(void **state)
{
    struct heard h = { .text = BUF_INIT(1 << 20) };

    (void)state;
    for (size_t i = 0; i < sizeof encoded / sizeof *encoded; i++)
        for (size_t step = 1; step < 40; step++) {
            enum err e = read_all(slice_make(encoded[i].in, encoded[i].n), step, encoded[i].transport, &h);
            if (encoded[i].out == NULL ? e == ERR_OK : e != ERR_OK || !slice_is(buf_slice(&h.text), encoded[i].out))
                fail_msg("row %zu in steps of %zu: %s, %.*s", i, step, err_name(e), SLICE_ARG(buf_slice(&h.text)));
        }
    buf_done(&h.text);
}

/* ---- form ---- */

static const struct {
    const char *in, *out;
} forms[] = {
    { "<a b='1' xmlns:p='u:1' p:c='&lt;2&#x4e2d;'><p:d/>x&amp;y</a>", "<a>@b=1;@u:1c=<2中;<{u:1}d></>x&y</>" },
    { "<a b='x&amp;y' c='&#38;#38;&#x26;amp;' d='&amp;' e='&#38;&lt;'/>", "<a>@b=x&y;@c=&#38;&amp;;@d=&;@e=&<;</>" },
    { "<a xmlns='u:2'><b xmlns=''/></a>", "<{u:2}a><b></></>" },
    { "<a xmlns='带 空格'/>", "<{带 空格}a></>" },
    { "<a><![CDATA[]]></a>", "<a></>" },
    { "<a><![CDATA[]]]></a>", "<a>]</>" },
    { "<a><![CDATA[]]]]]></a>", "<a>]]]</>" },
    { "<a><![CDATA[a]b]]c]]>d<![CDATA[\r\n\r]]></a>", "<a>a]b]]cd\n\n</>" },
    { "<a><!-- <![CDATA[ -- ></a>", NULL },
    { "<a><!----><!-- -><![CDATA[ --></a>", "<a></>" },
    { "<a><!--->--></a>", "<a></>" },
    { "<a><?"
      "?><?x ?<![CDATA[?></a>",
      NULL },
    { "<a><?x ?<![CDATA[?></a>", "<a></>" },
    { "<a>! ? <b/>?!</a>", "<a>! ? <b></>?!</>" },
    { "<a><![cdata[x]]></a>", NULL },
    { "<a><![CDATA[x]]", NULL },
    { "<a><!- x --></a>", NULL },
    { "<a <![CDATA[]]>/>", NULL },
    { "<![CDATA[]]><a/>", NULL },
    { "<a/><![CDATA[]]>", NULL },
    { "<a b='<![CDATA[x]]>'/>", NULL },
    { "<a>]]></a>", NULL },
    { "<a>&b;</a>", NULL },
    { "<a b='1' b='2'/>", NULL },
    { "<a></b>", NULL },
    { "<a>\x01</a>", NULL },
    { "<a>&#1;</a>", NULL },
    { "<a><![CDATA[\xe4\xc3\xe4\xc3\xe4\xc3]]></a>", NULL }, /* found by fuzzing: a cut character cut again */
    { "<a><![CDATA[\xf0\xa0\xae\xb7\xb7]]></a>", NULL },
    { "<a><![CDATA[\xf0\xa0\xae]]></a>", NULL },
    { "<a><![CDATA[\xf0\xa0\xae\xb7\xe4\xb8\xad]]></a>", "<a>𠮷中</>" },
    { "<p:a/>", NULL },
    { "<a p:b='1'/>", NULL },
    { "<!DOCTYPE a><a/>", NULL },
    { "<!doctype a><a/>", NULL },
    { "<a><!ENTITY x 'y'></a>", NULL },
    { "<a/>x", NULL },
    { "x<a/>", NULL },
    { "<a/><", NULL },
    { "<", NULL },
    { "", NULL },
};

static void test_forms(void **state)
{
    struct heard h = { .text = BUF_INIT(1 << 20) };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (size_t step = 1; step < 20; step++) {
            enum err e = read_all(slice_of(forms[i].in), step, NULL, &h);
            if (forms[i].out == NULL ? e == ERR_OK : e != ERR_OK || !slice_is(buf_slice(&h.text), forms[i].out))
                fail_msg("%s in steps of %zu: %s, %.*s", forms[i].in, step, err_name(e), SLICE_ARG(buf_slice(&h.text)));
        }
    buf_done(&h.text);
}

/* ---- size: head, then `unit` until `total` bytes, then tail; refused early or read in bounded memory ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long memory_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f != NULL)
        (void)fclose(f);
    return kib;
}

/* A sanitizer keeps freed memory for a while: what it adds is not ours. */
#if defined(__SANITIZE_ADDRESS__)
enum { GROWTH_MAX_KIB = 1 << 20 };
#else
enum { GROWTH_MAX_KIB = 8192 };
#endif
enum { MIB = 1 << 20 };
static const struct flood {
    const char *what, *head, *unit, *tail;
    size_t total, step;
    enum err want;
} floods[] = {
    { "text of 100 MB", "<a>", "0123456789abcdef", "</a>", 100 * MIB, 16384, ERR_OK },
    { "section of 100 MB", "<a><![CDATA[", "0123456789abc]]", "]]></a>", 100 * MIB, 16384, ERR_OK },
    { "section of 12 MB in pieces of 300", "<a><![CDATA[", "<b>0123456789</b>", "]]></a>", 12 * MIB, 300, ERR_OK },
    { "sections", "<a>", "<b><![CDATA[x]]></b>", "</a>", 20 * MIB, 16384, ERR_OK },
    { "records", "<a>", "<r x='1'><b>1</b><c>22</c></r>", "</a>", 100 * MIB, 16384, ERR_OK },
    { "comments", "<a>", "<!-- x --><?p x?>", "</a>", 50 * MIB, 16384, ERR_OK },
    { "attribute of 100 MB", "<a x='", "0123456789abcdef", "'/>", 100 * MIB, 16384, ERR_TOO_LARGE },
    { "name of 100 MB", "<", "abcdefghijklmnop", "/>", 100 * MIB, 16384, ERR_TOO_LARGE },
    { "comment of 100 MB", "<a><!--", "0123456789abcdef", "--></a>", 100 * MIB, 16384, ERR_TOO_LARGE },
    { "comment of 100 MB in pieces of 7", "<a><!--", "0123456", "--></a>", 100 * MIB, 7, ERR_TOO_LARGE },
    { "instruction of 100 MB", "<a><?x ", "0123456789abcdef", "?></a>", 100 * MIB, 16384, ERR_TOO_LARGE },
    { "declaration of 100 MB", "<?xml version='1.0' ", "                ", "?><a/>", 100 * MIB, 16384, ERR_TOO_LARGE },
    { "depth", "", "<a>", "", 100 * MIB, 16384, ERR_TOO_LARGE },
    { "references", "<a>", "&amp;&#65;", "</a>", 20 * MIB, 16384, ERR_OK },
};

/* A name that differs each time, for what fills dictionaries and attribute tables. */
static enum err flood_names(const char *head, const char *before, const char *after, size_t total)
{
    struct heard h = { .text = BUF_INIT(1 << 20), .count_only = true };
    struct xml_reader *r = xml_reader_new(&hearing, &h, slice_of("UTF-8"));
    struct buf piece = BUF_INIT(1 << 20);
    enum err e;
    size_t sent = 0;

    assert_non_null(r);
    e = xml_reader_feed(r, slice_of(head));
    for (unsigned long i = 0; e == ERR_OK && sent < total; sent += piece.n) {
        buf_clear(&piece);
        while (piece.failed == ERR_OK && piece.n < 16384) {
            buf_printf(&piece, "%s%lu%s", before, i, after);
            i++;
        }
        e = piece.failed == ERR_OK ? xml_reader_feed(r, buf_slice(&piece)) : piece.failed;
    }
    (void)xml_reader_free(r);
    buf_done(&piece);
    buf_done(&h.text);
    return e;
}

static enum err flood(const struct flood *f)
{
    struct heard h = { .text = BUF_INIT(1 << 20), .count_only = true };
    struct xml_reader *r = xml_reader_new(&hearing, &h, slice_of("UTF-8"));
    size_t unit = strlen(f->unit), block = f->step < unit ? unit : f->step / unit * unit;
    char *bytes = mem_alloc(block);
    enum err e;

    assert_true(r != NULL && bytes != NULL);
    e = xml_reader_feed(r, slice_of(f->head));
    for (size_t at = 0; at < block; at += unit)
        memcpy(bytes + at, f->unit, unit);
    for (size_t at = 0; e == ERR_OK && at < f->total; at += block)
        e = xml_reader_feed(r, slice_make(bytes, block));
    if (e == ERR_OK)
        e = xml_reader_feed(r, slice_of(f->tail));
    if (e == ERR_OK)
        e = xml_reader_finish(r);
    (void)xml_reader_free(r);
    mem_free(bytes);
    buf_done(&h.text);
    return e;
}

static void test_floods(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        long before = memory_kib();
        double start = seconds();
        enum err e = flood(&floods[i]);
        double took = seconds() - start;
        long grown = memory_kib() - before;
        print_message("  %-36s %-10s %6.2f s %+6ld KiB\n", floods[i].what, err_name(e), took, grown);
        if (e != floods[i].want)
            fail_msg("%s: %s", floods[i].what, err_name(e));
        if (took > 20 || grown > GROWTH_MAX_KIB) /* the paths that are not bounded took minutes or gigabytes */
            fail_msg("%s: %.1f s, %ld KiB", floods[i].what, took, grown);
    }
    assert_int_equal(flood_names("<a", " x", "=''", 10 * MIB), ERR_TOO_LARGE);
    double start = seconds();
    assert_int_not_equal(flood_names("<a>", "<x", "/>", 100 * MIB), ERR_OK); /* names without end fill no memory */
    assert_true(seconds() - start < 20);
}

static int64_t cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* `deep` elements, each with `each` declarations of its own, and then `leaves` small ones, for each of which all that
 * hold are walked over. */
static enum err nest_names(unsigned deep, unsigned each, size_t leaves)
{
    struct heard h = { .text = BUF_INIT(1 << 20), .count_only = true };
    struct xml_reader *r = xml_reader_new(&hearing, &h, slice_of("UTF-8"));
    struct buf piece = BUF_INIT(1 << 20);
    enum err e = ERR_OK;

    assert_non_null(r);
    for (unsigned d = 0; d < deep && e == ERR_OK; d++) {
        buf_clear(&piece);
        buf_puts(&piece, "<r");
        for (unsigned i = 0; i < each; i++)
            buf_printf(&piece, " xmlns:n%x='u'", i);
        buf_puts(&piece, ">");
        assert_int_equal(piece.failed, ERR_OK);
        e = xml_reader_feed(r, buf_slice(&piece));
    }
    for (size_t i = 0; i < leaves && e == ERR_OK; i++)
        e = xml_reader_feed(r, SLICE("<a/>"));
    (void)xml_reader_free(r);
    buf_done(&piece);
    buf_done(&h.text);
    return e;
}

/* A name costs what it weighs, however many declarations stand around it: it is time of all who share the loop. */
static void test_namespaces(void **state)
{
    int64_t before = cpu_ms();

    (void)state;
    assert_int_equal(nest_names(1, 256, 10000), ERR_OK);
    assert_int_equal(nest_names(50, 5, 10000), ERR_OK); /* what programs write: the same few on each level */
    assert_int_equal(nest_names(2, 200, 10000), ERR_TOO_LARGE);
    assert_int_equal(nest_names(60, 4000, 100000), ERR_TOO_LARGE);
    assert_true(cpu_ms() - before < 5000);
}

/* ---- corpora ---- */

static unsigned read_folder(const char *corpus, const char *folder)
{
    struct heard whole = { .text = BUF_INIT(64 << 20) }, cut = { .text = BUF_INIT(64 << 20) };
    struct buf file = BUF_INIT(16 << 20);
    char path[1024];
    unsigned n = 0;

    snprintf(path, sizeof path, "%s/%s", corpus, folder);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (!slice_ends(slice_of(entry->d_name), SLICE(".xml")))
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", corpus, folder, entry->d_name);
        assert_int_equal(file_read(path, &file, NULL), ERR_OK);
        if (read_all(buf_slice(&file), file.n, NULL, &whole) != ERR_OK)
            fail_msg("%s is not read", path);
        assert_true(whole.opens > 10 && whole.opens == whole.closes && whole.text.failed == ERR_OK);
        static const size_t steps[] = { 1, 2, 7, 4095, 4097 };
        for (size_t i = file.n < 40000 ? 0 : 2; i < 5; i++) {
            assert_int_equal(read_all(buf_slice(&file), steps[i], NULL, &cut), ERR_OK);
            if (!slice_eq(buf_slice(&whole.text), buf_slice(&cut.text)))
                fail_msg("%s differs in steps of %zu", path, steps[i]);
        }
        n++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    buf_done(&whole.text);
    buf_done(&cut.text);
    buf_done(&file);
    return n;
}

static void test_corpora(void **state)
{
    const char *corpus = getenv("SLUICE_CORPUS"), *source = getenv("SLUICE_SOURCE");
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s/../shared/data", source ? source : ".");
    if (corpus == NULL || corpus[0] == 0)
        corpus = path;
    unsigned records = read_folder(corpus, "xml-records"), notices = read_folder(corpus, "xml-notices");
    print_message("  %u records, %u notices from %s\n", records, notices, corpus);
    if (records + notices == 0) {
        print_message("  skipped: no corpus; set SLUICE_CORPUS\n");
        skip();
    }
    assert_true(records >= 9 && notices >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_encodings), cmocka_unit_test(test_forms),
                                        cmocka_unit_test(test_floods), cmocka_unit_test(test_namespaces),
                                        cmocka_unit_test(test_corpora) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
