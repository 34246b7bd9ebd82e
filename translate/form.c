/* Content negotiation: RFC 9110 section 12.5.1, for the three forms that an answer can have.
 * The quality of a form is that of the most specific range that covers it; the best quality wins, then the form that
 * was named most exactly, then the order of the table. A range that cannot be read says nothing. */
#include "translate/plan.h"

static const struct {
    struct slice type, subtype;
    const char *text;
} forms[] = {
    [TRANSLATE_JSON] = { { "application", 11 }, { "json", 4 }, "application/json" },
    [TRANSLATE_NDJSON] = { { "application", 11 }, { "x-ndjson", 8 }, "application/x-ndjson" },
    [TRANSLATE_XML] = { { "application", 11 }, { "xml", 3 }, "application/xml" },
};
enum { FORMS = sizeof forms / sizeof forms[0] };

struct range {
    struct slice type, subtype;
    int q;      /* thousandths */
    bool valid; /* false: unreadable, or has a parameter that no form of ours has */
};

const char *translate_form_type(enum translate_form f)
{
    return (unsigned)f < FORMS ? forms[f].text : forms[TRANSLATE_JSON].text;
}

/* Cut at the first `sep` outside of a quoted string. */
static struct slice cut_unquoted(struct slice *s, char sep)
{
    bool quoted = false;
    struct slice head;
    size_t i = 0;

    for (; i < s->n && (quoted || s->p[i] != sep); i++) {
        if (s->p[i] == '"')
            quoted = !quoted;
        else if (quoted && s->p[i] == '\\' && i + 1 < s->n)
            i++;
    }
    head = slice_trim(slice_sub(*s, 0, i));
    *s = slice_sub(*s, i + 1, s->n);
    return head;
}

/* RFC 9110 section 12.4.2: 0 to 1 with at most three digits behind the point; -1: not so. */
static int read_q(struct slice s)
{
    static const int weight[] = { 1000, 0, 100, 10, 1 };
    int q = 0;

    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (i != 1 && (s.p[i] < '0' || s.p[i] > '9'))
            return -1;
        q += i != 1 ? (s.p[i] - '0') * weight[i] : 0;
    }
    return q <= 1000 ? q : -1;
}

static struct range read_range(struct slice text)
{
    struct slice media = cut_unquoted(&text, ';');
    struct range r = { .q = 1000, .valid = true };
    bool weighed = false;

    r.subtype = media;
    r.type = slice_trim(slice_cut(&r.subtype, '/'));
    r.subtype = slice_trim(r.subtype);
    while (text.n > 0) {
        struct slice value = cut_unquoted(&text, ';');
        struct slice name = slice_cut(&value, '=');

        if (name.n == 0 || weighed) /* behind q stand extensions, which say nothing of the type */
            continue;
        if (slice_eq_nocase(name, SLICE("q"))) {
            weighed = true;
            r.q = read_q(value);
        } else if (!slice_eq_nocase(name, SLICE("charset")) ||
                   !(slice_eq_nocase(value, SLICE("utf-8")) || slice_eq_nocase(value, SLICE("\"utf-8\"")))) {
            r.valid = false;
        }
    }
    r.valid = r.valid && r.q >= 0;
    return r;
}

/* 3: exactly; 2: type/(any); 1: (any)/(any); 0: not. */
static int specificity(const struct range *r, struct slice type, struct slice subtype)
{
    bool any = slice_is(r->subtype, "*");

    if (!r->valid)
        return 0;
    if (slice_is(r->type, "*"))
        return any ? 1 : 0;
    if (!slice_eq_nocase(r->type, type))
        return 0;
    return any ? 2 : slice_eq_nocase(r->subtype, subtype) ? 3 : 0;
}

bool form_wanted(struct slice accept, struct slice type)
{
    struct slice subtype = type, major = slice_cut(&subtype, '/');
    int exact = 0, q = 0;

    if (slice_trim(accept).n == 0)
        return true;
    while (accept.n > 0) {
        struct range r = read_range(cut_unquoted(&accept, ','));
        int s = specificity(&r, major, subtype);

        if (s > exact || (s != 0 && s == exact && r.q > q)) {
            exact = s;
            q = r.q;
        }
    }
    return q > 0;
}

bool translate_form_of(struct slice accept, enum translate_form *ret)
{
    int exact[FORMS] = { 0 }, q[FORMS] = { 0 };
    bool found = false;
    size_t best = 0;

    if (slice_trim(accept).n == 0) {
        *ret = TRANSLATE_JSON;
        return true;
    }
    while (accept.n > 0) {
        struct range r = read_range(cut_unquoted(&accept, ','));

        for (size_t f = 0; f < FORMS; f++) {
            int s = specificity(&r, forms[f].type, forms[f].subtype);

            if (s > exact[f] || (s != 0 && s == exact[f] && r.q > q[f])) {
                exact[f] = s;
                q[f] = r.q;
            }
        }
    }
    for (size_t f = 0; f < FORMS; f++) {
        if (q[f] == 0 || (found && (q[f] < q[best] || (q[f] == q[best] && exact[f] <= exact[best]))))
            continue;
        best = f;
        found = true;
    }
    if (found)
        *ret = (enum translate_form)best;
    return found;
}
