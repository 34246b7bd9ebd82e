/* Acts whose content is longer than a record may be. The act's own record then holds the short members of the content,
 * and says by "parts" how many records follow it and by "sha256" what they must add up to; these have the verb
 * "<verb>-part", the same object, and in "text" piece by piece the whole content as JSON text. Invariant: no record of
 * an act holds less than was done: what cannot be split either is no act (audit_outbox_add). */
#include "gateway/act_job.h"

enum {
    SHORT = 512,                       /* a member of this length stays in the act's own record … */
    SHORT_ALL = AUDIT_CONTENT_MAX / 2, /* … as long as there is room */
    PIECE = AUDIT_CONTENT_MAX - 64     /* of text as JSON writes it, beside the other members */
};

/* The end of the piece that begins at `at`: whole characters, not longer than PIECE when escaped. */
static size_t piece_end(struct slice text, size_t at)
{
    for (size_t n = 0; at < text.n;) {
        size_t next = utf8_next(text, at);

        n += text.p[at] == '"' || text.p[at] == '\\' ? 2 : next - at;
        if (n > PIECE)
            return at;
        at = next;
    }
    return at;
}

static uint64_t pieces(struct slice text)
{
    uint64_t n = 0;

    for (size_t at = 0; at < text.n; n++)
        at = piece_end(text, at);
    return n;
}

static enum err put_head(struct api_request *q, struct slice content, struct json *j)
{
    const struct doc *doc = NULL;
    struct sha256 h = sha256_of(content);
    struct buf hex = BUF_INIT(2 * sizeof h.b);
    enum err e = doc_read_json(content, &q->arena, NULL, &doc);

    json_open(j, '{');
    DOC_EACH(member, doc)
    {
        struct buf text = BUF_INIT(AUDIT_CONTENT_MAX);
        struct json one;

        json_init(&one, &text);
        doc_put_json(member, &one);
        if (text.failed == ERR_OK && text.n <= SHORT && j->out->n + text.n <= SHORT_ALL) {
            char *key = arena_str(&q->arena, member->key);
            json_key(j, key ? key : "");
            json_raw(j, buf_slice(&text));
            e = key ? e : ERR_NOMEM;
        }
        buf_done(&text);
    }
    hex_put(&hex, slice_make(h.b, sizeof h.b));
    json_pair_u64(j, "parts", pieces(content));
    json_pair(j, "sha256", buf_slice(&hex));
    json_close(j, '}');
    buf_done(&hex);
    return e;
}

static void put_piece(struct json *j, uint64_t number, struct slice text)
{
    json_open(j, '{');
    json_pair_u64(j, "part", number);
    json_pair(j, "text", text);
    json_close(j, '}');
}

static enum err record_pieces(struct api_request *q, struct act *a, const char *verb, struct slice object,
                              struct slice content)
{
    const char *name = arena_printf(&q->arena, "%s-part", verb);
    enum err e = name ? ERR_OK : ERR_NOMEM;
    uint64_t number = 0;

    for (size_t at = 0, end; e == ERR_OK && at < content.n; at = end) {
        struct buf b = BUF_INIT(2 * AUDIT_CONTENT_MAX);
        struct json j;

        end = piece_end(content, at);
        json_init(&j, &b);
        put_piece(&j, ++number, slice_sub(content, at, end - at));
        e = b.failed == ERR_OK ? act_record_one(q, a, name, object, buf_slice(&b)) : b.failed;
        buf_done(&b);
    }
    return e;
}

enum err act_record(struct api_request *q, struct act *a, const char *verb, struct slice object, struct slice content)
{
    struct buf b = BUF_INIT(2 * AUDIT_CONTENT_MAX);
    struct json j;
    enum err e;

    if (content.n <= AUDIT_CONTENT_MAX)
        return act_record_one(q, a, verb, object, content);
    json_init(&j, &b);
    e = put_head(q, content, &j);
    if (e == ERR_OK)
        e = b.failed == ERR_OK ? act_record_one(q, a, verb, object, buf_slice(&b)) : b.failed;
    buf_done(&b);
    return e == ERR_OK ? record_pieces(q, a, verb, object, content) : e;
}
