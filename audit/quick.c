/* Lines as the renderer writes nearly all of them: records of exchanges, columns in their order, texts without escapes.
 * Reads hostile files like everything here: each step looks where the line ends. Invariant: what is accepted gives the
 * terms and facts that terms.c finds in the same line, in the same order; a text it cannot end, a column out of order,
 * any doubt is left to terms.c. */
#include "audit/terms.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct quick {
    const char *p, *end;
    struct terms *t;
    struct term_memo *memo;
    struct term_facts *facts;
};

/* Is this what comes next? Then it is stepped over. */
#define STEP(q, text) step(q, text, sizeof(text) - 1)
static inline bool step(struct quick *q, const char *text, size_t n)
{
    if ((size_t)(q->end - q->p) < n || memcmp(q->p, text, n) != 0)
        return false;
    q->p += n;
    return true;
}

/* Behind the closing quote of a text without escapes; NULL: it is none. */
static inline const char *text_past(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');
    for (; end - p >= (ptrdiff_t)sizeof quote; p += sizeof quote) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, escape)));
        if (found != 0) {
            p += __builtin_ctz((unsigned)found);
            return *p == '"' ? p + 1 : NULL;
        }
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p < end && *p == '"' ? p + 1 : NULL;
}

/* The text whose first quote was stepped over; with its quotes. */
static inline bool text(struct quick *q, struct slice *raw)
{
    const char *start = q->p - 1, *past = text_past(q->p, q->end);
    if (past == NULL)
        return false;
    *raw = slice_make(start, (size_t)(past - start));
    q->p = past;
    return true;
}

static inline struct slice inside(struct slice raw)
{
    return slice_make(raw.p + 1, raw.n - 2);
}

/* Digits up to what ends a value; with a value, so few that they fit 32 bits. */
static inline bool number(struct quick *q, uint32_t *ret)
{
    enum { DIGITS = 9 };
    const char *start = q->p, *p = start, *end = q->end;
    uint32_t v = 0;
    for (; p < end && (uint8_t)(*p - '0') <= 9; p++)
        v = v * 10 + (uint32_t)(*p - '0');
    q->p = p;
    if (ret != NULL)
        *ret = v;
    return p > start && p < end && (*p == ',' || *p == '}') && (ret == NULL || p - start <= DIGITS);
}

static inline bool skip_text(struct quick *q)
{
    struct slice raw;
    return text(q, &raw);
}

/* ---- what was seen before ---- */
/* The last bytes of a text, with what stands before it when it is short; line.p + LOGLINE_KIND always does. */
static inline uint64_t last_word(struct slice text)
{
    uint64_t word;
    memcpy(&word, text.p + text.n - sizeof word, sizeof word);
    return word;
}

/* The two slots where a run may be, by a few of its words: the first of them. */
static inline struct term_memo_run *run_slots(struct term_memo *m, uint64_t words)
{
    return &m->run[(words ^ words >> 32) * 0x9e3779b97f4a7c15u >> 32 & (MEMO_RUNS - 2)];
}

static bool run_again(struct terms *t, struct term_memo_run *s, struct slice text)
{
    if (text.n == 0)
        return false;
    if (s->text_n != text.n || memcmp(s->text, text.p, text.n) != 0)
        s++;
    if (s->text_n != text.n || memcmp(s->text, text.p, text.n) != 0)
        return false;
    t->run[t->runs_n++] = s;
    return true;
}

/* In the place of each of the two in turn, but not of one that this line has just found. */
static void run_keep(struct term_memo *m, struct term_memo_run *s, struct slice text, const struct terms *t,
                     unsigned before)
{
    if (text.n == 0 || text.n > MEMO_TEXT || t->n - before > MEMO_TERMS)
        return;
    bool second = s[0].text_n != 0 && (s[1].text_n == 0 || m->turn++ % 2 != 0);
    if (t->runs_n > 0 && t->run[0] == &s[second])
        second = !second;
    s += second;
    s->text_n = (uint16_t)text.n;
    s->n = (uint16_t)(t->n - before);
    memcpy(s->text, text.p, text.n);
    memcpy(s->hash, t->hash + before, s->n * sizeof s->hash[0]);
    s->owner = 0;
}

static inline bool short_is(const struct term_memo_short *s, struct slice raw)
{
    return s->text_n == raw.n && memcmp(s->text, raw.p, raw.n) == 0;
}

static void short_keep(struct term_memo_short *s, struct slice raw, uint64_t hash)
{
    s->text_n = (uint8_t)raw.n;
    s->hash = hash;
    memcpy(s->text, raw.p, raw.n);
}

/* ---- columns ---- */
/* "2026-01-02T03:04:05.678+08:00": the renderer's width. Lines of one second differ in the milliseconds only. */
enum { AT_N = 31, AT_MS = 21 };

static bool at_again(const struct term_memo *m, const char *raw, int64_t *ret)
{
    const char *p = raw + AT_MS;
    if (m->second_n != AT_N || memcmp(raw, m->second, AT_MS) != 0 ||
        memcmp(p + 3, m->second + AT_MS + 3, AT_N - AT_MS - 3) != 0)
        return false;
    unsigned a = (unsigned)(p[0] - '0'), b = (unsigned)(p[1] - '0'), c = (unsigned)(p[2] - '0');
    *ret = m->second_ms + a * 100 + b * 10 + c;
    return a < 10 && b < 10 && c < 10;
}

static bool take_at(struct quick *q)
{
    struct term_memo *m = q->memo;
    struct slice raw;
    int64_t *at = &q->facts->at;
    if (q->end - q->p >= AT_N && at_again(m, q->p - 1, at)) {
        q->p += AT_N - 1;
        return true;
    }
    if (!text(q, &raw) || !clock_parse(inside(raw), at))
        return false;
    if (raw.n == AT_N && raw.p[AT_MS - 1] == '.') {
        memcpy(m->second, raw.p, AT_N);
        m->second_n = AT_N;
        m->second_ms = *at - (*at % 1000 + 1000) % 1000;
    }
    return true;
}

static bool take_exchange(struct quick *q)
{
    enum { RAW = UUID_TEXT + 1 };
    struct slice raw;
    uint64_t word;
    if (!text(q, &raw) || raw.n != RAW)
        return false;
    memcpy(&word, raw.p + RAW - 1 - sizeof word, sizeof word);
    struct term_memo_short *s = &q->memo->exchange[word * 0x9e3779b97f4a7c15u >> 32 & (MEMO_EXCHANGES - 1)];
    if (s->text_n == 0 || memcmp(s->text, raw.p, RAW) != 0)
        short_keep(s, raw, term_of(q->t, TERM_EXCHANGE, raw));
    q->facts->exchange = q->t->hash[q->t->n++] = s->hash;
    return true;
}

static bool take_part(struct quick *q)
{
    return STEP(q, ",\"part\":") && number(q, &q->facts->part);
}

/* Who asked for what by which right: a run that is often the same. */
static bool take_run(struct quick *q)
{
    struct slice subject = { 0 }, resource = { 0 }, grant = { 0 }, purpose = { 0 };
    const char *start = q->p;
    const unsigned before = q->t->n;
    if ((STEP(q, ",\"subject\":\"") && !text(q, &subject)) || (STEP(q, ",\"peer\":\"") && !skip_text(q)) ||
        (STEP(q, ",\"certificate\":\"") && !skip_text(q)) || (STEP(q, ",\"resource\":\"") && !text(q, &resource)) ||
        (STEP(q, ",\"resource_version\":") && !number(q, NULL)) || (STEP(q, ",\"grant\":\"") && !text(q, &grant)) ||
        (STEP(q, ",\"grant_version\":") && !number(q, NULL)) || (STEP(q, ",\"purpose\":\"") && !text(q, &purpose)))
        return false;
    struct slice run = slice_make(start, (size_t)(q->p - start));
    uint64_t words = last_word(run);
    words = words * 0xff51afd7ed558ccdu ^ (grant.n > 0 ? last_word(grant) : 0);
    words = words * 0xff51afd7ed558ccdu ^ (resource.n > 0 ? last_word(resource) : 0);
    words = words * 0xff51afd7ed558ccdu ^ (subject.n > 0 ? last_word(subject) : 0);
    struct term_memo_run *s = run_slots(q->memo, words);
    if (run_again(q->t, s, run))
        return true;
    if (subject.n > 0)
        terms_add_identity(q->t, subject);
    if (resource.n > 0)
        terms_add_resource(q->t, resource);
    terms_add(q->t, TERM_GRANT, grant);
    terms_add(q->t, TERM_PURPOSE, purpose);
    run_keep(q->memo, s, run, q->t, before);
    return true;
}

/* {"id_no":{"hmac":"…"},"year":"2026"} */
static bool take_params(struct quick *q)
{
    struct slice hex;
    do {
        if (!STEP(q, "\"") || !skip_text(q))
            return false;
        if (STEP(q, ":{\"hmac\":\"")) {
            if (!text(q, &hex) || !STEP(q, "}"))
                return false;
            terms_add(q->t, TERM_PERSON, inside(hex));
        } else if (!STEP(q, ":\"") || !skip_text(q)) {
            return false;
        }
    } while (STEP(q, ","));
    return STEP(q, "}");
}

/* ["name","relation"]; at the first inner byte. Where they stop is looked for only when they are not known: most end
 * the line. */
static bool take_items(struct quick *q, struct slice line)
{
    struct slice to_end = slice_make(q->p - 1, (size_t)(q->end - q->p)), key, value;
    const unsigned before = q->t->n;
    uint64_t words = last_word(to_end) * 0xff51afd7ed558ccdu ^ to_end.n;
    if (to_end.n > 2 * sizeof words)
        words = words * 0xff51afd7ed558ccdu ^ last_word(slice_make(to_end.p, to_end.n / 2));
    struct term_memo_run *s = run_slots(q->memo, words);
    if (run_again(q->t, s, to_end)) {
        q->p = q->end - 1;
        return true;
    }
    struct logline_iter it = { .object = line, .at = (size_t)(q->p - line.p) - sizeof(",\"items\":[") + 1 };
    if (!logline_next(&it, &key, &value))
        return false;
    terms_add_items(q->t, value);
    q->p = value.p + value.n;
    if (q->p == q->end - 1)
        run_keep(q->memo, s, value, q->t, before);
    return true;
}

static bool take_reason(struct quick *q, enum audit_result *ret)
{
    struct slice raw;
    if (!text(q, &raw) || raw.n > MEMO_SHORT)
        return false;
    struct term_memo_short *s = &q->memo->reason[(raw.n * 7 + (uint8_t)raw.p[raw.n / 2]) % MEMO_REASONS];
    if (!short_is(s, raw)) {
        short_keep(s, raw, term_of(q->t, TERM_REASON, raw));
        s->result = (uint8_t)term_reason_result(inside(raw));
    }
    q->t->hash[q->t->n++] = s->hash;
    *ret = (enum audit_result)s->result;
    return true;
}

static bool take_text(struct quick *q, enum term_field f)
{
    struct slice raw;
    if (!text(q, &raw))
        return false;
    terms_add(q->t, f, raw);
    return true;
}

/* ---- lines ---- */
static bool take_kind(struct quick *q)
{
    static const enum audit_result result[] = {
        [AUDIT_REFUSED] = AUDIT_DENIED, [AUDIT_INTENT] = AUDIT_OPEN, [AUDIT_CUT] = AUDIT_WAS_CUT
    };
    enum audit_kind k;
    if (STEP(q, "intent\",\"at\":\""))
        k = AUDIT_INTENT;
    else if (STEP(q, "outcome\",\"at\":\""))
        k = AUDIT_OUTCOME;
    else if (STEP(q, "refused\",\"at\":\""))
        k = AUDIT_REFUSED;
    else if (STEP(q, "cut\",\"at\":\""))
        k = AUDIT_CUT;
    else
        return false;
    q->facts->kind = k;
    q->facts->result = result[k];
    q->t->hash[q->t->n++] = q->memo->kind[k];
    return true;
}

static bool at_end(const struct quick *q)
{
    return q->end - q->p == 1 && *q->p == '}';
}

/* Reason and status: the last that can be asked for of what is no intent. */
static bool take_end(struct quick *q)
{
    enum audit_result r = AUDIT_NO_RESULT;
    bool told = false;
    if (STEP(q, ",\"reason\":\"") && !take_reason(q, &r))
        return false;
    if (STEP(q, ",\"status\":")) {
        const char *status = q->p;
        if (!number(q, NULL))
            return false;
        told = q->p - status == 3 && memcmp(status, "200", 3) == 0;
    } else if (!at_end(q)) {
        return false;
    }
    if (q->facts->kind == AUDIT_OUTCOME)
        q->facts->result = r != AUDIT_NO_RESULT ? r : told ? AUDIT_WAS_CUT : AUDIT_FAILED;
    return true;
}

static bool take_outcome(struct quick *q)
{
    struct term_memo *m = q->memo;
    const char *start = q->p;
    unsigned before = q->t->n;
    if (m->ending.text_n != 0 && (size_t)(q->end - start) >= m->ending.text_n &&
        memcmp(start, m->ending.text, m->ending.text_n) == 0) {
        q->facts->result = (enum audit_result)m->ending.result;
        q->t->hash[q->t->n++] = m->ending.hash;
        return true;
    }
    if (!take_part(q) || !take_end(q))
        return false;
    size_t n = (size_t)(q->p - start) + 1;
    if (q->facts->part == 0 && q->t->n == before + 1 && q->p < q->end && *q->p == ',' && n <= MEMO_ENDING) {
        m->ending.text_n = (uint8_t)n;
        m->ending.result = (uint8_t)q->facts->result;
        m->ending.hash = q->t->hash[before];
        memcpy(m->ending.text, start, n);
    }
    return true;
}

static bool take_line(struct quick *q, struct slice line)
{
    if (!take_kind(q) || !take_at(q) || !STEP(q, ",\"exchange\":\"") || !take_exchange(q))
        return false;
    if (q->facts->kind == AUDIT_OUTCOME)
        return take_outcome(q);
    if (!take_part(q))
        return false;
    if (q->facts->kind == AUDIT_CUT)
        return take_end(q);
    if (!take_run(q) || (STEP(q, ",\"operator\":\"") && !take_text(q, TERM_OPERATOR)) ||
        (STEP(q, ",\"case\":\"") && !take_text(q, TERM_CASE)) || (STEP(q, ",\"trace\":\"") && !skip_text(q)) ||
        (STEP(q, ",\"snapshot\":") && !number(q, NULL)) || (STEP(q, ",\"debit_rows\":") && !number(q, NULL)) ||
        (STEP(q, ",\"debit_bytes\":") && !number(q, NULL)) || (STEP(q, ",\"params\":{") && !take_params(q)))
        return false;
    if (!STEP(q, ",\"items\":["))
        return q->facts->kind == AUDIT_INTENT ? at_end(q) : take_end(q);
    return take_items(q, line) && (q->facts->kind == AUDIT_INTENT || take_end(q));
}

static void memo_begin(struct term_memo *m, const struct terms *t)
{
    *m = (struct term_memo){ .seed = t->seed };
    for (unsigned k = 0; k <= AUDIT_SEGMENT; k++)
        m->kind[k] = term_of(t, TERM_KIND, slice_of(audit_kind_name((enum audit_kind)k)));
}

bool terms_quick(struct terms *t, struct slice line, struct term_facts *ret)
{
    struct quick q = { .p = line.p + LOGLINE_KIND, .end = line.p + line.n, .t = t, .memo = t->memo, .facts = ret };
    if (line.n <= LOGLINE_MIN || line.n >= AUDIT_RECORD_MAX) /* so long, it has less than TERMS_MAX */
        return false;
    if (q.memo->seed != t->seed || q.memo->kind[0] == 0)
        memo_begin(q.memo, t);
    *ret = (struct term_facts){ 0 };
    t->n = t->runs_n = 0;
    return take_line(&q, line);
}
