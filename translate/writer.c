/* Answers in the form wanted: JSON, NDJSON, XML (DESIGN "Answers"). One table a form; a record is written in one pass
 * over its fields, in manifest order. Absent: omitted; list items: always there; null: null, or xsi:nil in XML. */
#include "translate/mapper.h"

/* ---- JSON ---- */

/* ,"name": without the comma for the first member. */
static struct slice json_key_of(const struct map_field *f, bool first)
{
    return first ? slice_sub(f->json_key, 1, f->json_key.n) : f->json_key;
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
    if (v->plain) {
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
    buf_put(m->out, SLICE("{\"resource\":\""));
    json_escape(m->out, m->plan->resource);
    buf_put(m->out, SLICE("\",\"records\":["));
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
    void (*begin)(struct mapper *m);
    void (*end)(struct mapper *m);
    void (*field)(struct buf *out, const struct map_field *f, struct rendered *v, bool first);
    void (*list)(struct buf *out, const struct map_field *f, struct slice entries, bool first);
    struct slice open, close, between;             /* of a record */
    struct slice entry_open, entry_close, entries; /* of an entry, and between two */
} forms[] = {
    [TRANSLATE_JSON] = { json_begin, json_end, json_field, json_list, SLICE("{"), SLICE("}"), SLICE(","), SLICE("{"),
                         SLICE("}"), SLICE(",") },
    [TRANSLATE_NDJSON] = { nothing, nothing, json_field, json_list, SLICE("{"), SLICE("}\n"), SLICE(""), SLICE("{"),
                           SLICE("}"), SLICE(",") },
    [TRANSLATE_XML] = { xml_begin, xml_end, xml_field, xml_list, SLICE("<record>"), SLICE("</record>"), SLICE(""),
                        SLICE("<item>"), SLICE("</item>"), SLICE("") },
};

static bool has(const uint64_t *bits, uint16_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void render(struct mapper *m, const struct map_field *f, struct rendered *v)
{
    const struct value *from = &m->values[f->slot];

    if (from->kind == VALUE_TEXT) {
        value_render(f, slice_sub(buf_slice(&m->text), from->at, from->n), has(m->want.clear, f->top), &m->scratch, v);
        return;
    }
    v->text = (struct slice){ NULL, 0 };
    v->state = from->kind == VALUE_ABSENT ? VALUE_NONE : VALUE_NULL;
    v->finding = from->kind == VALUE_BAD;
}

static void fields(struct mapper *m, const struct form *form, const struct map_group *g, struct buf *out)
{
    bool first = true;
    struct rendered v;

    for (uint16_t i = 0; i < g->n; i++) {
        const struct map_field *f = &g->fields[i];
        if (!m->values[f->slot].wanted)
            continue;
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

void writer_begin(struct mapper *m)
{
    forms[m->want.form].begin(m);
}

void writer_record(struct mapper *m)
{
    const struct form *form = &forms[m->want.form];

    if (m->outcome.rows > 1)
        buf_put(m->out, form->between);
    buf_put(m->out, form->open);
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
