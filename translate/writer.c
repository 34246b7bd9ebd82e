/* Answers in the form wanted: JSON, NDJSON, XML (DESIGN "Answers"). One table a form; a record is written in one pass
 * over its fields, in manifest order. Absent: omitted; list items: always there; null: null, or xsi:nil in XML. */
#include "translate/mapper.h"
#include "translate/plain.h"
#include "translate/value_time.h"

enum { OUT_FIRST = 2048 }; /* of output: most answers then need no more memory than they begin with */

/* ---- JSON ---- */

/* ,"name": without the comma for the first member. */
static struct slice json_key_of(const struct map_field *f, bool first)
{
    return slice_make(f->json_key.p + first, f->json_key.n - first);
}

static void json_field(struct buf *out, const struct map_field *f, struct rendered *v, bool first)
{
    struct slice key = json_key_of(f, first);
    char *to = buf_reserve(out, key.n + v->text.n + 4); /* enough for null, and for all that needs no escape */

    if (to == NULL)
        return;
    memcpy(to, key.p, key.n);
    to += key.n;
    if (v->state == VALUE_NULL) {
        memcpy(to, "null", 4);
        out->n += key.n + 4;
        return;
    }
    if (v->quote)
        *to++ = '"';
    out->n = (size_t)(to - out->p);
    if (v->plain || v->raw) {
        if (v->text.n > 0)
            memcpy(to, v->text.p, v->text.n);
        out->n += v->text.n;
    } else {
        json_escape(out, v->text);
    }
    if (v->quote)
        buf_putc(out, '"');
}

static void json_list(struct buf *out, const struct map_field *f, struct slice entries, bool first)
{
    buf_put(out, json_key_of(f, first));
    buf_putc(out, '[');
    buf_put(out, entries);
    buf_putc(out, ']');
}

/* ---- XML ---- */

/* XML 1.0 section 2.2 of valid UTF-8: false for what no escape can carry. */
static bool xml_can(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return false;
        if (c == 0xEF && i + 2 < s.n && (unsigned char)s.p[i + 1] == 0xBF && (unsigned char)s.p[i + 2] >= 0xBE)
            return false;
    }
    return true;
}

static void xml_escape(struct buf *out, struct slice s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        struct slice as = { NULL, 0 };
        if (c == '&')
            as = SLICE("&amp;");
        else if (c == '<')
            as = SLICE("&lt;");
        else if (c == '>')
            as = SLICE("&gt;");
        else if (c == '\r')
            as = SLICE("&#13;");
        if (as.n == 0)
            continue;
        buf_put(out, slice_sub(s, from, i - from));
        buf_put(out, as);
        from = i + 1;
    }
    buf_put(out, slice_sub(s, from, s.n));
}

static void xml_field(struct buf *out, const struct map_field *f, struct rendered *v, bool first)
{
    (void)first;
    if (v->state == VALUE_WRITTEN && !v->plain && !xml_can(v->text)) { /* a control character from JSON */
        v->state = VALUE_NULL;
        v->finding = true;
    }
    if (v->state == VALUE_NULL) {
        buf_put(out, slice_sub(f->xml_open, 0, f->xml_open.n - 1));
        buf_put(out, SLICE(" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>"));
        return;
    }
    buf_put(out, f->xml_open);
    xml_escape(out, v->text);
    buf_put(out, f->xml_close);
}

static void xml_list(struct buf *out, const struct map_field *f, struct slice entries, bool first)
{
    (void)first;
    buf_put(out, f->xml_open);
    buf_put(out, entries);
    buf_put(out, f->xml_close);
}

/* ---- forms ---- */

static void json_begin(struct mapper *m)
{
    buf_put(m->out, m->plan->json_head);
}

static void json_end(struct mapper *m)
{
    buf_put(m->out, SLICE("],\"count\":"));
    buf_put_u64(m->out, m->outcome.rows);
    buf_putc(m->out, '}');
}

static void xml_begin(struct mapper *m)
{
    buf_put(m->out, SLICE("<answer xmlns=\""));
    xml_escape(m->out, m->plan->xmlns);
    buf_put(m->out, SLICE("\">"));
}

static void xml_end(struct mapper *m)
{
    buf_put(m->out, SLICE("<count>"));
    buf_put_u64(m->out, m->outcome.rows);
    buf_put(m->out, SLICE("</count></answer>"));
}

static void nothing(struct mapper *m)
{
    (void)m;
}

static const struct form {
    bool json;
    void (*begin)(struct mapper *m);
    void (*end)(struct mapper *m);
    void (*field)(struct buf *out, const struct map_field *f, struct rendered *v, bool first);
    void (*list)(struct buf *out, const struct map_field *f, struct slice entries, bool first);
    struct slice open, next, close;                /* of a record; next: open behind another */
    struct slice entry_open, entry_close, entries; /* of an entry, and between two */
} forms[] = {
    [TRANSLATE_JSON] = { true, json_begin, json_end, json_field, json_list, SLICE("{"), SLICE(",{"), SLICE("}"),
                         SLICE("{"), SLICE("}"), SLICE(",") },
    [TRANSLATE_NDJSON] = { true, nothing, nothing, json_field, json_list, SLICE("{"), SLICE("{"), SLICE("}\n"),
                           SLICE("{"), SLICE("}"), SLICE(",") },
    [TRANSLATE_XML] = { false, xml_begin, xml_end, xml_field, xml_list, SLICE("<record>"), SLICE("<record>"),
                        SLICE("</record>"), SLICE("<item>"), SLICE("</item>"), SLICE("") },
};

static bool has(const uint64_t *bits, uint16_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static inline struct slice text_of(const struct mapper *m, const struct value *from)
{
    return from->n > 0 ? slice_make(m->text.p + from->at, from->n) : SLICE("");
}

static void render(struct mapper *m, const struct map_field *f, struct rendered *v)
{
    const struct value *from = &m->values[f->slot];

    if (from->kind == VALUE_TEXT) {
        value_render(f, text_of(m, from), has(m->want.clear, f->top), &m->scratch, v);
        v->raw = from->raw;
        return;
    }
    v->text = (struct slice){ NULL, 0 };
    v->raw = false;
    v->state = from->kind == VALUE_ABSENT ? VALUE_NONE : VALUE_NULL;
    v->finding = from->kind == VALUE_BAD;
}

/* JSON, and a value that goes out as it came, or with escapes. False: it is not so easy; nothing is written. */
static inline bool easy_field(struct mapper *m, const struct map_field *f, const struct value *from, struct buf *out,
                              bool first)
{
    struct slice key = json_key_of(f, first), text = text_of(m, from);

    if (from->easy == MAP_NOT_EASY)
        return false;
    if (from->easy == MAP_EASY_DATE ? !time_is_date(text) : text.n > f->limit)
        return false;
    size_t n = key.n + text.n + 4;
    char *to = out->failed == ERR_OK && n <= out->room - out->n ? out->p + out->n : buf_reserve(out, n);
    if (to == NULL)
        return true;                  /* as sticky as any other failure */
    copy_short(to, key.p, key.n + 1); /* with the quote */
    to += key.n + 1;
    if (from->raw || plain_run(text.p, text.p + text.n, true) == text.p + text.n) {
        copy_short(to, text.p, text.n);
        to += text.n;
    } else {
        out->n = (size_t)(to - out->p);
        json_escape(out, text);
        buf_putc(out, '"');
        return true;
    }
    *to++ = '"';
    out->n = (size_t)(to - out->p);
    return true;
}

static void fields(struct mapper *m, const struct form *form, const struct map_group *g, struct buf *out)
{
    bool first = true;
    struct rendered v;
    const struct map_field *f = g->fields, *end = f + g->n;
    const struct value *from = &m->values[g->slot0];

    for (; f < end; f++, from++) {
        if (!from->wanted)
            continue;
        if (form->json && from->kind == VALUE_TEXT && easy_field(m, f, from, out, first)) {
            first = false;
            continue;
        }
        if (f->group != MAP_NO_GROUP) {
            form->list(out, f, buf_slice(&m->lists[f->group]), first);
            first = false;
            continue;
        }
        render(m, f, &v);
        if (v.state != VALUE_NONE) {
            form->field(out, f, &v, first);
            first = false;
        }
        m->outcome.findings += v.finding;
    }
}

bool writer_may_line(const struct mapper *m)
{
    return forms[m->want.form].json && !m->r->groups[0].lists;
}

void writer_begin(struct mapper *m)
{
    (void)buf_reserve(m->out, OUT_FIRST);
    forms[m->want.form].begin(m);
}

/* The record that lies written in its text, but for the comma in front. */
static void line_record(struct mapper *m, struct slice open, struct slice close)
{
    size_t n = m->line.n - 1;
    char *to = buf_reserve(m->out, open.n + n + close.n);

    if (to == NULL)
        return;
    copy_short(to, open.p, open.n);
    memcpy(to + open.n, m->text.p + 1, n);
    copy_short(to + open.n + n, close.p, close.n);
    m->out->n += open.n + n + close.n;
}

void writer_record(struct mapper *m)
{
    const struct form *form = &forms[m->want.form];
    struct slice open = m->outcome.rows > 1 ? form->next : form->open;

    if (m->line.next != (uint32_t)LINE_BROKEN && m->line.n == m->text.n && m->line.n > 0) {
        line_record(m, open, form->close);
        return;
    }
    buf_put(m->out, open);
    fields(m, form, &m->r->groups[0], m->out);
    buf_put(m->out, form->close);
}

void writer_entry(struct mapper *m, const struct map_group *g, struct buf *out, bool first)
{
    const struct form *form = &forms[m->want.form];

    if (!first)
        buf_put(out, form->entries);
    buf_put(out, form->entry_open);
    fields(m, form, g, out);
    buf_put(out, form->entry_close);
}

void writer_end(struct mapper *m)
{
    forms[m->want.form].end(m);
}
