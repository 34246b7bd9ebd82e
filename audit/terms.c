/* Terms of lines and of questions. Invariant: for each field both sides hash the same bytes: the raw JSON text as the
 * renderer writes it, or a part of an identity's path for `who` and `department`. */
#include "audit/terms.h"
#include "audit/render.h"

static const char *const result_names[AUDIT_RESULTS_] = {
    [AUDIT_NO_RESULT] = "",  [AUDIT_GRANTED] = "granted", [AUDIT_DENIED] = "refused",         [AUDIT_FAILED] = "failed",
    [AUDIT_WAS_CUT] = "cut", [AUDIT_OPEN] = "running",    [AUDIT_BROKEN_OFF] = "interrupted",
};

const char *audit_result_name(enum audit_result r)
{
    return (unsigned)r < AUDIT_RESULTS_ ? result_names[r] : "";
}

bool audit_result_find(struct slice name, enum audit_result *ret)
{
    for (unsigned r = AUDIT_GRANTED; r < AUDIT_RESULTS_; r++) {
        if (slice_is(name, result_names[r])) {
            *ret = (enum audit_result)r;
            return true;
        }
    }
    return false;
}

/* ---- hashes ---- */
void terms_begin(struct terms *t, uint64_t seed)
{
    t->seed = seed;
    t->n = t->runs_n = 0;
    for (uint64_t i = 0; i < TERM_WORDS + 2; i++) {
        t->low[i] = slice_hash(slice_make(&i, sizeof i), seed);
        t->high[i] = slice_hash(slice_make(&i, sizeof i), seed ^ 0x9e3779b97f4a7c15u);
    }
}

/* The last n bytes of a text, one to seven. */
static inline uint64_t word_last(struct slice text, size_t n)
{
    uint64_t w = 0;
    if (text.n >= sizeof w && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) { /* with what stands before them */
        memcpy(&w, text.p + text.n - sizeof w, sizeof w);
        return w >> (64 - 8 * n);
    }
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(uint8_t)text.p[text.n - n + i] << (8 * i);
    return w;
}

__extension__ typedef unsigned __int128 wide;

static inline wide word_add(const struct terms *t, size_t i, uint64_t word)
{
    return (wide)t->low[i] * word + ((wide)(t->high[i] * word) << 64);
}

uint64_t term_of(const struct terms *t, enum term_field f, struct slice text)
{
    if (text.n > TERM_TEXT)
        return slice_hash(text, t->seed + (uint64_t)f * 0x9e3779b97f4a7c15u);
    wide sum = ((wide)t->high[0] << 64 | t->low[0]) + word_add(t, 1, (uint64_t)f << 32 | text.n);
    size_t i = 0;
    for (; i < text.n / 8; i++) {
        uint64_t word;
        memcpy(&word, text.p + 8 * i, sizeof word);
        sum += word_add(t, 2 + i, word);
    }
    if (text.n % 8 != 0)
        sum += word_add(t, 2 + i, word_last(text, text.n % 8));
    return (uint64_t)(sum >> 64);
}

void terms_add(struct terms *t, enum term_field f, struct slice text)
{
    if (text.n > 0 && t->n < TERMS_MAX)
        t->hash[t->n++] = term_of(t, f, text);
}

uint64_t term_result(const struct terms *t, enum audit_result r)
{
    return term_of(t, TERM_RESULT, slice_of(audit_result_name(r)));
}

/* ---- lines ---- */
static struct slice unquoted(struct slice raw)
{
    struct slice s;
    return logline_plain(raw, &s) ? s : (struct slice){ 0 };
}

/* "spiffe://xinghe.example/dept/education/app/admission": department and, behind the class, the name. */
void terms_add_identity(struct terms *t, struct slice raw)
{
    struct slice rest = unquoted(raw), department, name;
    char who[256];
    terms_add(t, TERM_SUBJECT, raw);
    if (!slice_starts(rest, SLICE("spiffe://")))
        return;
    for (int i = 0; i < 3; i++)
        slice_cut(&rest, '/');
    if (!slice_is(slice_cut(&rest, '/'), "dept"))
        return;
    department = slice_cut(&rest, '/');
    slice_cut(&rest, '/');
    name = rest;
    terms_add(t, TERM_DEPARTMENT, department);
    if (name.n == 0 || department.n + 1 + name.n > sizeof who)
        return;
    memcpy(who, department.p, department.n);
    who[department.n] = '/';
    memcpy(who + department.n + 1, name.p, name.n);
    terms_add(t, TERM_WHO, slice_make(who, department.n + 1 + name.n));
}

void terms_add_resource(struct terms *t, struct slice raw)
{
    struct slice rest = unquoted(raw);
    terms_add(t, TERM_RESOURCE, raw);
    if (slice_find(rest, '/') < rest.n)
        terms_add(t, TERM_DEPARTMENT, slice_cut(&rest, '/'));
}

void terms_add_items(struct terms *t, struct slice raw)
{
    struct logline_iter it = { .object = raw };
    struct slice one;
    while (logline_element(&it, &one))
        terms_add(t, TERM_ITEM, one);
}

/* {"id_no":{"hmac":"…"}}: the pseudonyms among the parameters. */
static void add_params(struct terms *t, struct slice raw)
{
    struct logline_iter it = { .object = raw };
    struct slice key, value, name, hex;
    while (logline_next(&it, &key, &value)) {
        struct logline_iter inner = { .object = value };
        if (value.n > 0 && value.p[0] == '{' && logline_next(&inner, &name, &hex) && slice_is(name, "hmac"))
            terms_add(t, TERM_PERSON, unquoted(hex));
    }
}

/* One line being taken apart. */
struct taking {
    struct terms *t;
    struct term_facts *facts;
    struct slice status, reason, verb, object, content;
};

static void take_exchange(struct taking *k, struct slice raw)
{
    terms_add(k->t, TERM_EXCHANGE, raw);
    k->facts->exchange = k->t->hash[k->t->n - 1];
}

static void take_part(struct taking *k, struct slice raw)
{
    uint64_t part;
    if (slice_u64(raw, 0, UINT32_MAX, &part))
        k->facts->part = (uint32_t)part;
}

static void take_at(struct taking *k, struct slice raw)
{
    if (!clock_parse(unquoted(raw), &k->facts->at))
        k->facts->at = 0;
}

static void take_identity(struct taking *k, struct slice raw)
{
    terms_add_identity(k->t, raw);
}

static void take_resource(struct taking *k, struct slice raw)
{
    terms_add_resource(k->t, raw);
}

static void take_items(struct taking *k, struct slice raw)
{
    terms_add_items(k->t, raw);
}

static void take_params(struct taking *k, struct slice raw)
{
    add_params(k->t, raw);
}

/* Fields by key, in the order of the renderer's columns: their term, what is kept of them until the line's end, a
 * function for what is more than a value; those with neither are only stepped over. */
static const struct line_field {
    struct slice key;
    enum term_field field; /* 0: none */
    size_t keep;           /* member of struct taking; 0: none */
    void (*take)(struct taking *k, struct slice raw);
} line_fields[] = {
#define FIELD(name)  .key = { name, sizeof(name) - 1 }
#define KEEP(member) .keep = offsetof(struct taking, member)
    { FIELD("at"), .take = take_at },
    { FIELD("exchange"), .take = take_exchange },
    { FIELD("part"), .take = take_part },
    { FIELD("author"), .take = take_identity },
    { FIELD("verb"), .field = TERM_VERB, KEEP(verb) },
    { FIELD("object"), .field = TERM_OBJECT, KEEP(object) },
    { FIELD("subject"), .take = take_identity },
    { FIELD("peer") },
    { FIELD("certificate") },
    { FIELD("resource"), .take = take_resource },
    { FIELD("resource_version") },
    { FIELD("grant"), .field = TERM_GRANT },
    { FIELD("grant_version") },
    { FIELD("purpose"), .field = TERM_PURPOSE },
    { FIELD("operator"), .field = TERM_OPERATOR },
    { FIELD("case"), .field = TERM_CASE },
    { FIELD("snapshot") },
    { FIELD("debit_rows") },
    { FIELD("params"), .take = take_params },
    { FIELD("items"), .take = take_items },
    { FIELD("reason"), .field = TERM_REASON, KEEP(reason) },
    { FIELD("status"), KEEP(status) },
    { FIELD("content"), KEEP(content) },
#undef FIELD
#undef KEEP
};
enum { LINE_FIELDS = sizeof line_fields / sizeof line_fields[0] };

/* The field of a key, looked for from where the one before stood; NULL: nothing is taken of it. */
static const struct line_field *field_find(struct slice key, const struct line_field *last)
{
    const struct line_field *f = last;
    for (unsigned i = 0; i < LINE_FIELDS; i++) {
        f = f + 1 < line_fields + LINE_FIELDS ? f + 1 : line_fields;
        if (key.n == f->key.n && key.p[0] == f->key.p[0] && memcmp(key.p, f->key.p, key.n) == 0)
            return f;
    }
    return NULL;
}

static void take_field(struct taking *k, const struct line_field *f, struct slice raw)
{
    if (f->field != 0)
        terms_add(k->t, f->field, raw);
    if (f->keep != 0)
        memcpy((char *)k + f->keep, &raw, sizeof raw);
    if (f->take != NULL)
        f->take(k, raw);
}

/* What stands behind the items of an intent and the status of others can not be asked for: `last` ends the line. */
static void take_fields(struct taking *k, struct logline_iter *it, struct slice last)
{
    const struct line_field *stood = line_fields + LINE_FIELDS - 1;
    struct slice key, value;
    while ((last.n == 0 || !slice_eq(stood->key, last)) && logline_next(it, &key, &value)) {
        const struct line_field *f = field_find(key, stood);
        if (f == NULL)
            continue;
        take_field(k, f, value);
        stood = f;
    }
}

/* What an act was about: its object is the resource or the grant itself, or its content names them. */
static void take_act(struct taking *k)
{
    struct slice verb = unquoted(k->verb), v;
    if (slice_starts(verb, SLICE("resource.")))
        terms_add_resource(k->t, k->object);
    if (slice_starts(verb, SLICE("grant.")))
        terms_add(k->t, TERM_GRANT, k->object);
    if (slice_starts(verb, SLICE("grant.")) && logline_field(k->content, "resource", &v))
        terms_add_resource(k->t, v);
}

enum audit_result term_reason_result(struct slice reason)
{
    if (slice_is(reason, reason_info(REASON_GRANTED)->code))
        return AUDIT_GRANTED;
    return slice_is(reason, reason_info(REASON_INTERRUPTED)->code) ? AUDIT_BROKEN_OFF : AUDIT_NO_RESULT;
}

/* An outcome that is no success, after its head had been told (status 200), ended an answer in the middle. */
static enum audit_result result_of(enum audit_kind k, const struct taking *f)
{
    if (k == AUDIT_REFUSED)
        return AUDIT_DENIED;
    if (k == AUDIT_INTENT)
        return AUDIT_OPEN;
    if (k == AUDIT_CUT)
        return AUDIT_WAS_CUT;
    if (k != AUDIT_OUTCOME)
        return AUDIT_NO_RESULT;
    enum audit_result r = term_reason_result(unquoted(f->reason));
    if (r != AUDIT_NO_RESULT)
        return r;
    return slice_is(f->status, "200") ? AUDIT_WAS_CUT : AUDIT_FAILED;
}

static bool any_line(struct terms *t, struct slice line, struct term_facts *ret)
{
    struct logline_iter it = { .object = line };
    struct taking k = { .t = t, .facts = ret };
    *ret = (struct term_facts){ 0 };
    t->n = t->runs_n = 0;
    if (!logline_kind(line, &ret->kind))
        return false;
    terms_add(t, TERM_KIND, slice_of(audit_kind_name(ret->kind)));
    it.at = LOGLINE_KIND + strlen(audit_kind_name(ret->kind)) + 1; /* what stands before has its fixed place */
    struct slice last = ret->kind == AUDIT_INTENT ? SLICE("items") : SLICE("status");
    take_fields(&k, &it, ret->kind <= AUDIT_CUT ? last : SLICE(""));
    if (ret->kind == AUDIT_ACT)
        take_act(&k);
    ret->result = result_of(ret->kind, &k);
    return true;
}

bool terms_of_line(struct terms *t, struct slice line, struct term_facts *ret)
{
    return (t->memo != NULL && terms_quick(t, line, ret)) || any_line(t, line, ret);
}

/* ---- questions ---- */
static enum err add_rendered(struct terms *t, enum term_field f, const char *column, struct slice text)
{
    struct buf raw = BUF_INIT(4096);
    struct json j;
    if (text.n == 0)
        return ERR_OK;
    if (!render_as(column, text, &raw) && raw.failed == ERR_OK) {
        json_init(&j, &raw); /* no text column of the table: exchange, reason, an item */
        json_str(&j, text);
    }
    enum err e = raw.failed;
    if (e == ERR_OK)
        terms_add(t, f, buf_slice(&raw));
    buf_done(&raw);
    return e;
}

enum err terms_of_question(struct terms *t, const struct audit_question *q)
{
    const struct {
        enum term_field field;
        const char *column; /* NULL: hashed as it is */
        struct slice text;
    } all[] = {
        { TERM_SUBJECT, "subject", q->subject },
        { TERM_WHO, NULL, q->who },
        { TERM_DEPARTMENT, NULL, q->department },
        { TERM_RESOURCE, "resource", q->resource },
        { TERM_ITEM, "", q->item },
        { TERM_GRANT, "grant", q->grant },
        { TERM_PURPOSE, "purpose", q->purpose },
        { TERM_OPERATOR, "operator", q->operator_ },
        { TERM_CASE, "case", q->case_ },
        { TERM_EXCHANGE, "", q->exchange },
        { TERM_REASON, "", q->reason },
        { TERM_KIND, NULL, q->kind },
        { TERM_VERB, "verb", q->verb },
        { TERM_OBJECT, "object", q->object },
        { TERM_PERSON, NULL, q->pseudonym }, /* the last: audit/find.c */
    };
    enum err e = ERR_OK;
    t->n = 0;
    t->item = 0;
    for (size_t i = 0; e == ERR_OK && i < sizeof all / sizeof all[0]; i++) {
        if (all[i].column == NULL)
            terms_add(t, all[i].field, all[i].text);
        else
            e = add_rendered(t, all[i].field, all[i].column, all[i].text);
        if (all[i].field == TERM_ITEM && all[i].text.n > 0 && e == ERR_OK)
            t->item = t->hash[t->n - 1];
    }
    return e;
}

void terms_flat(struct terms *t)
{
    for (; t->runs_n > 0 && t->n + MEMO_TERMS <= TERMS_MAX; t->runs_n--) {
        const struct term_memo_run *r = t->run[t->runs_n - 1];
        memcpy(t->hash + t->n, r->hash, r->n * sizeof r->hash[0]);
        t->n += r->n;
    }
}

bool terms_hold(const struct terms *t, uint64_t hash)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (t->hash[i] == hash)
            return true;
    }
    return false;
}
