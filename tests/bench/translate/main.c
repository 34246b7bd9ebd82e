/* What an answer costs inside translate, apart from everything else: the provider's JSON of 1 KiB that the exchange
 * benchmark uses, the same with Chinese text, and 10 MB of flat XML records against libxml2's bare push parser. Prints
 * a table; judges nothing. For instructions instead of time, one case and one function: valgrind --tool=callgrind
 * --toggle-collect=bench_run bench-translate json 100 divided by the times, once in each of 5 rounds; the first call
 * also fills the free lists. For bare: bench_bare. Usage: bench-translate [json|chinese|large|xml|bare [times]] */
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include "translate/translate.h"

enum { RECORD = 174, PIECE = 16384, LARGE = 10 << 20 };
static const char *const names[] = { "id", "name", "division", "relation", "since", "note" };
static const char types[] = "CCCCDM";
static const uint32_t lengths[] = { 8, 50, 12, 2, 0, 0 };
static const char *const manifests[] = {
    "id: provider/bench\nformat: {class: interface, type: json}\nconnector: {kind: http, endpoint: "
    "'http://x.example/'}\n"
    "request: {safe: true, params: []}\nresponse:\n  records: /records\n"
    "  map: {id: id, name: name, division: division, relation: relation, since: since, note: note}\n",
    "id: provider/bench\nformat: {class: interface, type: xml}\nconnector: {kind: http, endpoint: "
    "'http://x.example/'}\n"
    "request: {safe: true, params: []}\nresponse:\n  records: /answer/record\n"
    "  map: {id: id, name: name, division: division, relation: relation, since: since, note: note}\n",
};

struct bench {
    struct arena arena;
    const struct translate_plan *plans[2];
    struct buf in, out;
    uint64_t rows;
};

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static const struct translate_plan *compile(struct bench *b, const char *yaml)
{
    struct translate_item *items = arena_array(&b->arena, 6, sizeof *items);
    const struct translate_plan *p = NULL;
    const struct doc *all = NULL;
    struct diags d;

    diags_init(&d, &b->arena);
    for (int i = 0; i < 6; i++)
        items[i] =
            (struct translate_item){ .name = slice_of(names[i]), .type = types[i], .level = 1, .length = lengths[i] };
    if (doc_read_yaml(slice_of(yaml), &b->arena, &d, &all) != ERR_OK ||
        translate_compile(all->first, items, 6, SLICE("provider/bench"), 1, &b->arena, &d, &p) != ERR_OK)
        die("cannot compile");
    return p;
}

/* The answer of tests/bench/harness/upstream.py: the last record's note fills up to `size` bytes. */
static void make_json(struct buf *to, size_t size, const char *name)
{
    static char notes[4096];
    size_t n = size / RECORD > 2 ? size / RECORD - 1 : 1;

    memset(notes, 'n', sizeof notes);
    buf_clear(to);
    buf_puts(to, "{\"records\":[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(to,
                   "%s{\"id\":\"%08zu\",\"name\":\"%s\",\"division\":\"990101\",\"relation\":\"02\",\"since\":"
                   "\"2019-08-31\",\"note\":\"",
                   i ? "," : "", i, name);
        size_t left = size > to->n + 4 ? size - to->n - 4 : 0;
        buf_put(to, slice_make(notes, i + 1 < n ? 64 : left < sizeof notes ? left : sizeof notes));
        buf_puts(to, "\"}");
    }
    buf_puts(to, "]}");
}

static void make_xml(struct buf *to, size_t size)
{
    buf_clear(to);
    buf_puts(to, "<answer>");
    for (size_t i = 0; to->n < size; i++)
        buf_printf(to,
                   "<record><id>%08zu</id><name>Bench Person</name><division>990101</division><relation>02</relation>"
                   "<since>2019-08-31</since><note>%064d</note></record>\n",
                   i, 0);
    buf_puts(to, "</answer>");
}

void bench_run(struct bench *b, int plan);
void bench_bare(struct bench *b);

void __attribute__((noinline)) bench_run(struct bench *b, int plan)
{
    struct translate_want w = { .form = TRANSLATE_JSON, .items = { 63 } };
    struct translate_run *run = NULL;
    enum err e =
        translate_open(b->plans[plan], &w, 200, plan ? SLICE("text/xml") : SLICE("application/json"), &b->out, &run);

    for (size_t at = 0; at < b->in.n && e == ERR_OK; at += PIECE) {
        buf_clear(&b->out);
        e = translate_feed(run, slice_sub(buf_slice(&b->in), at, PIECE));
    }
    if (e != ERR_OK || translate_finish(run) != ERR_OK || translate_outcome(run)->findings > 0)
        die("the answer was refused");
    b->rows = translate_outcome(run)->rows;
    (void)translate_close(run);
}

static void start(void *self, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                  const xmlChar **ns, int n, int defaulted, const xmlChar **attrs)
{
    (void)name, (void)prefix, (void)uri, (void)n_ns, (void)ns, (void)n, (void)defaulted, (void)attrs;
    ++*(uint64_t *)self;
}
static void end(void *self, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)self, (void)name, (void)prefix, (void)uri;
}
static void text(void *self, const xmlChar *s, int n)
{
    (void)self, (void)s, (void)n;
}

void __attribute__((noinline)) bench_bare(struct bench *b)
{
    xmlSAXHandler h = {
        .initialized = XML_SAX2_MAGIC, .startElementNs = start, .endElementNs = end, .characters = text
    };
    xmlParserCtxtPtr c = xmlCreatePushParserCtxt(&h, &b->rows, NULL, 0, NULL);

    b->rows = 0;
    for (size_t at = 0; c != NULL && at < b->in.n; at += PIECE) {
        struct slice s = slice_sub(buf_slice(&b->in), at, PIECE);
        (void)xmlParseChunk(c, s.p, (int)s.n, at + PIECE >= b->in.n);
    }
    if (c == NULL || !c->wellFormed)
        die("libxml2");
    b->rows /= 7;
    xmlFreeParserCtxt(c);
}

static void measure(struct bench *b, const char *what, int times)
{
    bool bare = strcmp(what, "bare") == 0, xml = bare || strcmp(what, "xml") == 0;
    double best = 1e18;

    if (xml)
        make_xml(&b->in, LARGE);
    else
        make_json(&b->in, strcmp(what, "large") == 0 ? LARGE : 1024,
                  strcmp(what, "chinese") == 0 ? "欧阳测试" : "Bench Person");
    for (int round = 0; round < 5; round++) {
        int64_t from = clock_mono_ns();
        for (int i = 0; i < times; i++)
            if (bare)
                bench_bare(b);
            else
                bench_run(b, xml);
        double ns = (double)(clock_mono_ns() - from) / times;
        best = ns < best ? ns : best;
    }
    printf("%-8s %9zu bytes, %6llu rows: %12.0f ns, %7.1f MB/s\n", what, b->in.n, (unsigned long long)b->rows, best,
           (double)b->in.n / best * 1e3);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *what;
        int times;
    } cases[] = { { "json", 20000 }, { "chinese", 20000 }, { "large", 4 }, { "xml", 2 }, { "bare", 2 } };
    struct bench b = { .in = BUF_INIT(64 << 20), .out = BUF_INIT(64 << 20) };

    arena_init(&b.arena, 1 << 24);
    b.plans[0] = compile(&b, manifests[0]);
    b.plans[1] = compile(&b, manifests[1]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc < 2 || strcmp(argv[1], cases[i].what) == 0)
            measure(&b, cases[i].what, argc > 2 ? (int)strtol(argv[2], NULL, 10) : cases[i].times);
    buf_done(&b.in);
    buf_done(&b.out);
    arena_done(&b.arena);
    return 0;
}
