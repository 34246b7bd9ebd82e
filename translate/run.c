/* One answer: a provider's bytes in, a consumer's bytes out. One block holds the run, its values, the outer document
 * and the JSON reader; text buffers and the XML reader are their own. The mapper owns the outcome; this file joins it
 * to the right reader. Blocks of runs that ended well are kept by their thread for the next ones, at most KEPT_MAX of
 * them and KEPT_BYTES in all, with text buffers of at most KEPT_TEXT bytes each. A block that serves the same plan
 * again still knows the names of its members. */
#include "translate/json_reader_state.h"
#include "translate/mapper.h"
#include "translate/xml_decode.h"
#include "translate/xml_reader.h"
#include <pthread.h>

enum {
    BLOCK_MAX = 32 << 10,
    BLOCK_STEP = 2 << 10,
    KEPT_MAX = 128,
    KEPT_BYTES = 4 << 20,
    KEPT_TEXT = 32768,
    KEPT_KEYS = 1024
};

struct translate_run {
    struct mapper m;
    struct json_reader *json; /* own; one of the two */
    struct xml_reader *xml;
    struct xml_decode *decode; /* own; JSON that is not UTF-8, or begins with its byte order mark */
    uint64_t fed;
    bool over;       /* failed or finished: nothing more is read or written */
    size_t size;     /* of the block */
    bool ready;      /* `reader` has been initialised */
    uint64_t serial; /* of the plan that the block serves, or has served last; 0: none */
    bool same;       /* it is the same as before */
    struct json_reader reader;
};

/* ---- blocks ---- */

static _Thread_local struct {
    struct translate_run *at[KEPT_MAX]; /* own */
    unsigned n;
    size_t bytes; /* that they hold */
    bool watched; /* the end of the thread is */
} blocks;
static pthread_key_t blocks_end;
static pthread_once_t blocks_once = PTHREAD_ONCE_INIT;
static bool blocks_may;

static void block_free(struct translate_run *r)
{
    buf_done(&r->m.text);
    buf_done(&r->m.scratch);
    if (r->ready)
        json_reader_done(&r->reader);
    mem_free(r);
}

static void blocks_free(void *unused)
{
    (void)unused;
    while (blocks.n > 0)
        block_free(blocks.at[--blocks.n]);
    blocks.bytes = 0;
    blocks.watched = false;
}

static size_t block_bytes(const struct translate_run *r)
{
    return r->size + r->m.text.room + r->m.scratch.room +
           (r->ready ? r->reader.names.room + json_keys_bytes(&r->reader.keys) : 0);
}

static void blocks_make(void)
{
    blocks_may = pthread_key_create(&blocks_end, blocks_free) == 0;
}

/* Memory of at least `size` bytes; text buffers and, when it is ready, the reader may be used. NULL: no memory. */
static struct translate_run *block_get(size_t size)
{
    struct translate_run *r;

    size = (size + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP;
    if (blocks.n > 0 && blocks.at[blocks.n - 1]->size >= size) {
        r = blocks.at[--blocks.n];
        blocks.bytes -= block_bytes(r);
        return r;
    }
    r = mem_alloc(size);
    if (r == NULL)
        return NULL;
    buf_init(&r->m.text, RECORD_MAX);
    buf_init(&r->m.scratch, 2 * RECORD_MAX);
    r->ready = false;
    r->serial = 0;
    r->size = size;
    return r;
}

static void trim(struct buf *b)
{
    if (b->room > KEPT_TEXT)
        buf_done(b);
    buf_clear(b);
}

static void block_put(struct translate_run *r)
{
    (void)pthread_once(&blocks_once, blocks_make);
    if (!blocks.watched)
        blocks.watched = blocks_may && pthread_setspecific(blocks_end, &blocks) == 0;
    if (r->size > BLOCK_MAX || !blocks.watched || blocks.n >= KEPT_MAX || blocks.bytes >= KEPT_BYTES) {
        block_free(r);
        return;
    }
    trim(&r->m.text);
    trim(&r->m.scratch);
    if (r->ready) {
        trim(&r->reader.names);
        if (r->reader.keys.room > KEPT_KEYS || r->reader.keys.size > KEPT_KEYS)
            json_keys_done(&r->reader.keys);
    }
    blocks.bytes += block_bytes(r);
    blocks.at[blocks.n++] = r;
}

/* ---- answers ---- */

static uint64_t run_offset(const struct mapper *m)
{
    const struct translate_run *r = (const struct translate_run *)(const void *)m; /* its first member */

    return r->xml != NULL ? xml_reader_offset(r->xml) : r->json != NULL ? json_reader_offset(r->json) : 0;
}

/* The charset parameter of a Content-Type (RFC 9110 section 8.3.1); empty: none. */
static struct slice charset(struct slice type)
{
    if (slice_find(type, ';') == type.n)
        return (struct slice){ NULL, 0 };
    while (type.n > 0) {
        struct slice part = slice_trim(slice_cut(&type, ';')), value = part;
        struct slice name = slice_trim(slice_cut(&value, '='));
        if (!slice_eq_nocase(name, SLICE("charset")))
            continue;
        value = slice_trim(value);
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = slice_sub(value, 1, value.n - 2);
        return value;
    }
    return (struct slice){ NULL, 0 };
}

static bool is_html(struct slice type)
{
    struct slice media = slice_trim(slice_cut(&type, ';'));

    return slice_eq_nocase(media, SLICE("text/html")) || slice_eq_nocase(media, SLICE("application/xhtml+xml"));
}

/* A part, of which nobody asked for one, is no answer (RFC 9110 section 15.3.7): who may get all would take it for
 * all. */
enum { PARTIAL = 206 };

static bool status_ok(const struct plan_response *p, int status)
{
    for (unsigned i = 0; i < p->n_status; i++)
        if (p->status[i] == status)
            return true;
    return status >= 200 && status < 300 && status != PARTIAL;
}

static enum err feed_json(void *self, struct slice utf8)
{
    struct translate_run *r = self;

    return json_reader_feed(r->json, utf8);
}

static enum err decode_json(struct translate_run *r, enum xml_label told, struct slice encoding)
{
    r->decode = mem_alloc(sizeof *r->decode);
    if (r->decode == NULL)
        return ERR_NOMEM;
    xml_decode_init(r->decode, told, encoding, feed_json, r);
    return ERR_OK;
}

/* What begins with this byte is no JSON; behind a byte order mark (.NET writes one) it may be (RFC 8259 section 8.1).
 */
static bool may_be_marked(const struct translate_run *r, struct slice first)
{
    return r->fed == 0 && r->decode == NULL && first.n > 0 && first.p[0] == '\xEF';
}

static enum err open_reader(struct translate_run *r, struct slice encoding)
{
    enum xml_label told = r->m.r->told;

    if (r->m.r->format == PLAN_XML) {
        r->xml = told == XML_LABEL_NONE ? xml_reader_new(&map_sink, r->m.docs[0], encoding)
                                        : xml_reader_new_told(&map_sink, r->m.docs[0], told);
        return r->xml != NULL ? ERR_OK : ERR_NOMEM;
    }
    r->json = &r->reader;
    if (r->ready) {
        json_reader_reset(r->json, r->same);
        r->json->self = r->m.docs[0];
    } else {
        json_reader_init(r->json, &map_sink, r->m.docs[0]);
    }
    r->ready = true;
    if ((told != XML_LABEL_NONE ? told : xml_label_of(encoding)) != XML_LABEL_GB18030)
        return ERR_OK;
    return decode_json(r, told, encoding);
}

static bool has(const uint64_t *bits, uint16_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

/* What is constant for a run. */
static void values_init(struct mapper *m)
{
    m->may_line = writer_may_line(m);
    for (unsigned i = 0; i < m->r->n_slots; i++) {
        const struct map_field *f = m->r->slot_fields[i];
        bool wanted = has(m->want.items, f->top);
        enum map_easy easy = wanted ? f->easy : MAP_NOT_EASY;

        if (easy == MAP_EASY_MASKED)
            easy = has(m->want.clear, f->top) ? MAP_EASY_TEXT : MAP_NOT_EASY;
        m->values[i] = (struct value){ .wanted = wanted, .easy = (uint8_t)easy };
    }
}

static struct translate_run *run_new(const struct translate_plan *p, const struct translate_want *w, struct buf *out)
{
    const struct plan_response *resp = p->response;
    size_t doc = map_doc_size(resp), lists = resp->n_groups * sizeof(struct buf),
           values = resp->n_slots * sizeof(struct value);
    size_t head = (sizeof(struct translate_run) + 15) & ~(size_t)15;
    struct translate_run *r = block_get(head + lists + ((doc + 15) & ~(size_t)15) + values);
    char *block = (char *)r;

    if (r == NULL)
        return NULL;
    struct buf text = r->m.text, scratch = r->m.scratch;
    memset(&r->m, 0, sizeof r->m);
    r->m.text = text;
    r->m.scratch = scratch;
    r->json = NULL;
    r->xml = NULL;
    r->decode = NULL;
    r->fed = 0;
    r->over = false;
    r->same = r->serial == p->serial;
    r->serial = p->serial;
    r->m.plan = p;
    r->m.r = resp;
    r->m.want = *w;
    r->m.out = out;
    r->m.offset = run_offset;
    r->m.outcome.reason = REASON_GRANTED;
    r->m.lists = (struct buf *)(void *)(block + head);
    for (unsigned i = 0; i < resp->n_groups; i++)
        buf_init(&r->m.lists[i], RECORD_MAX);
    struct map_doc *outer = (struct map_doc *)(void *)(block + head + lists);
    /* In the same place of the same plan: what the last answer repeated is likely to be what this one will. */
    const struct map_node *again = r->same ? outer->again : NULL;
    const struct map_level *again_of = r->same ? outer->again_of : NULL;
    r->m.docs[0] = outer;
    map_doc_init(outer, &r->m, 0);
    outer->again = again;
    outer->again_of = again_of;
    r->m.values = (struct value *)(void *)(block + head + lists + ((doc + 15) & ~(size_t)15));
    values_init(&r->m);
    return r;
}

enum err translate_open(const struct translate_plan *p, const struct translate_want *w, int status,
                        struct slice content_type, struct buf *out, struct translate_run **ret)
{
    struct translate_run *r = run_new(p, w, out);

    if (r == NULL)
        return ERR_NOMEM;
    if (open_reader(r, charset(content_type)) != ERR_OK) {
        (void)translate_close(r);
        return ERR_NOMEM;
    }
    r->m.refused = !status_ok(p->response, status);
    if (is_html(content_type))
        (void)mapper_fail(&r->m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    else if (r->m.refused && !p->response->has_code && p->response->root == p->response->doc)
        (void)mapper_fail(&r->m, REASON_PROVIDER_REFUSED, ERR_INVALID); /* neither a code nor a fault to look for */
    r->over = r->m.failed;
    *ret = r;
    return ERR_OK;
}

static enum err feed(struct translate_run *r, struct slice bytes)
{
    if (r->xml != NULL)
        return xml_reader_feed(r->xml, bytes);
    if (may_be_marked(r, bytes) && decode_json(r, XML_LABEL_UTF8, (struct slice){ NULL, 0 }) != ERR_OK)
        return ERR_NOMEM;
    return r->decode != NULL ? xml_decode_feed(r->decode, bytes) : json_reader_feed(r->json, bytes);
}

enum err translate_feed(struct translate_run *r, struct slice bytes)
{
    enum err e;

    if (r->over)
        return ERR_INVALID;
    e = feed(r, bytes);
    r->fed += bytes.n;
    if (e == ERR_OK && r->m.refused && r->fed > REFUSAL_MAX)
        e = mapper_fail(&r->m, REASON_PROVIDER_REFUSED, ERR_INVALID);
    if (e != ERR_OK) {
        r->over = true;
        return mapper_reader_failed(&r->m, e);
    }
    return ERR_OK;
}

enum err translate_finish(struct translate_run *r)
{
    enum err e = ERR_OK;

    if (r->over)
        return ERR_INVALID;
    r->over = true;
    if (r->xml != NULL)
        e = xml_reader_finish(r->xml);
    if (r->decode != NULL)
        e = xml_decode_finish(r->decode);
    if (r->json != NULL && e == ERR_OK)
        e = json_reader_finish(r->json);
    return e == ERR_OK ? mapper_finish(&r->m) : mapper_reader_failed(&r->m, e);
}

struct translate_run *translate_close(struct translate_run *r)
{
    if (r == NULL)
        return NULL;
    if (r->decode != NULL) {
        xml_decode_done(r->decode);
        r->decode = mem_free(r->decode);
    }
    r->xml = xml_reader_free(r->xml);
    mapper_done(&r->m);
    if (r->m.failed || !r->over)
        block_free(r);
    else
        block_put(r);
    return NULL;
}

const struct translate_outcome *translate_outcome(const struct translate_run *r)
{
    return &r->m.outcome;
}
