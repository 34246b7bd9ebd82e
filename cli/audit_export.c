/* sluice audit export: every page of a question, oldest first, as the log's own bytes (NDJSON) or as a sheet (CSV).
 * Invariant: NDJSON holds each record's bytes as the log has them, so that they can be hashed again elsewhere. */
#include "audit/audit.h"
#include "cli/audit.h"
#include "cli/run.h"

/* The end of the JSON value that begins at `at`: behind its last byte; the text is known to be well-formed. */
static size_t value_end(struct slice s, size_t at)
{
    unsigned depth = 0;
    bool text = false;

    for (; at < s.n; at++) {
        char ch = s.p[at];
        if (text && ch == '\\')
            at++;
        else if (ch == '"' && text && depth == 0)
            return at + 1;
        else if (ch == '"')
            text = !text;
        else if (!text && (ch == '{' || ch == '['))
            depth++;
        else if (!text && depth == 0 && (ch == ',' || ch == '}' || ch == ']'))
            return at;
        else if (!text && (ch == '}' || ch == ']') && --depth == 0)
            return at + 1;
    }
    return s.n;
}

/* One record's object, on a line of its own. */
static void line_put(struct cli *c, struct slice record)
{
    fwrite(record.p, 1, record.n, c->out);
    fputc('\n', c->out);
}

static const char *const record_keys[] = { "record", "outcome", "cut" };

static bool is_record_key(struct slice key)
{
    for (size_t i = 0; i < sizeof record_keys / sizeof *record_keys; i++)
        if (slice_is(key, record_keys[i]))
            return true;
    return false;
}

/* The records of an answer in their order: members of its rows, and of nothing within them, for an act's joined content
 * has names of its own. `at` is 0 at the beginning. */
struct records {
    struct slice text;
    size_t at; /* of what ends the last member, or of the row's brace */
};

/* The next member of a row, in this row or in one behind it. */
static bool next_member(struct records *r, struct slice *key, struct slice *value)
{
    static const char head[] = "{\"rows\":[";
    const struct slice s = r->text;

    if (r->at == 0 && slice_starts(s, slice_of(head)))
        r->at = sizeof head - 1;
    while (r->at > 0 && r->at + 1 < s.n && s.p[r->at] != ']') {
        bool may = s.p[r->at] == '{' || s.p[r->at] == ','; /* in a row, or between two */
        size_t from = ++r->at, end, to;
        if (!may || s.p[from] != '"')
            continue;
        end = value_end(s, from);
        to = end < s.n ? value_end(s, end + 1) : s.n;
        if (end < from + 2 || to <= end + 1)
            break;
        *key = slice_sub(s, from + 1, end - from - 2);
        *value = slice_sub(s, end + 1, to - end - 1);
        r->at = to;
        return true;
    }
    r->at = s.n;
    return false;
}

static bool next_record(struct records *r, struct slice *ret)
{
    struct slice key;

    while (next_member(r, &key, ret))
        if (is_record_key(key) && ret->p[0] == '{')
            return true;
    return false;
}

/* The records of an answer, byte for byte as they came. */
static void records_put(struct cli *c, struct slice text)
{
    struct records r = { .text = text };
    struct slice record;

    while (next_record(&r, &record))
        line_put(c, record);
}

/* ---- with proofs: docs/EXPORT.md ---- */
static void proof_put(struct cli *c, struct slice record, const struct doc *hashes)
{
    fputs("{\"record\":", c->out);
    fwrite(record.p, 1, record.n, c->out);
    fputs(",\"proof\":[", c->out);
    DOC_EACH(h, hashes)
    {
        fprintf(c->out, "%s\"%.*s\"", h == hashes->first ? "" : ",", SLICE_ARG(h->text));
    }
    fputs("]}\n", c->out);
}

static void checkpoint_put(struct cli *c, const struct doc *reply)
{
    struct buf line = BUF_INIT(1 << 16);
    struct json j;

    json_init(&j, &line);
    json_open(&j, '{');
    json_pair(&j, "checkpoint", doc_text(reply, "checkpoint"));
    json_close(&j, '}');
    fprintf(c->out, "%.*s\n", SLICE_ARG(buf_slice(&line)));
    buf_done(&line);
}

/* A record without a proof is younger than the checkpoint: it is left out, and counted. */
static uint64_t proofs_put(struct cli *c, struct slice text, const struct doc *reply)
{
    struct records r = { .text = text };
    struct slice record;
    uint64_t left_out = 0;

    checkpoint_put(c, reply);
    DOC_EACH(row, doc_get(reply, "rows"))
    {
        for (size_t i = 0; i < sizeof record_keys / sizeof *record_keys; i++) {
            const struct doc *hashes = doc_get(doc_get(row, "proofs"), record_keys[i]),
                             *one = doc_get(row, record_keys[i]);
            if (one == NULL || one->type != DOC_MAP || !next_record(&r, &record))
                continue;
            if (hashes)
                proof_put(c, record, hashes);
            else
                left_out++;
        }
    }
    return left_out;
}

/* ---- pages ---- */
enum form { FORM_RECORDS, FORM_PROOFS, FORM_CSV };
struct export
{
    enum form form;
    bool begun;
    uint64_t left_out, indexed, size;
};

static int page_put(struct cli *c, struct export *x, struct slice text, const struct doc *reply, struct arena *a)
{
    const struct doc *rows = NULL;
    int code = CLI_OK;

    if (x->form == FORM_RECORDS)
        records_put(c, text);
    else if (x->form == FORM_PROOFS)
        x->left_out += proofs_put(c, text, reply);
    else
        code = audit_rows(c, reply, a, &rows);
    if (rows)
        output_csv(c, rows, audit_columns(), !x->begun);
    x->begun = true;
    x->indexed = doc_u64(reply, "indexed", 0);
    x->size = doc_u64(reply, "size", 0);
    if (code == CLI_OK && ferror(c->out))
        code = cli_fail(c, CLI_FAILURE, "the output could not be written", "无法写出结果");
    return code;
}

static int page(struct cli *c, struct export *x, struct audit_query *q, bool *more)
{
    struct arena a;
    const struct doc *reply = NULL;
    struct buf text;
    int code = audit_ask(c, q, &text);

    arena_init(&a, CLI_MEMORY);
    if (code == CLI_OK)
        code = cli_error(c, doc_read_json(buf_slice(&text), &a, &c->diags, &reply));
    if (code == CLI_OK)
        code = page_put(c, x, buf_slice(&text), reply, &a);
    if (code == CLI_OK) {
        uint64_t next = doc_u64(reply, "next", q->after);
        *more = doc_flag(reply, "more") && (!q->has_after || next > q->after); /* it must go on, or it is over */
        q->after = next;
        q->has_after = true;
    }
    arena_done(&a);
    buf_done(&text);
    return code;
}

static int form_read(struct cli *c, struct export *x)
{
    if (cli_has(c, "proofs") && cli_has(c, "csv"))
        return cli_fail(c, CLI_USAGE, "--csv has no room for proofs: choose one", "--csv 与 --proofs 只能选一");
    x->form = cli_has(c, "proofs") ? FORM_PROOFS : cli_has(c, "csv") ? FORM_CSV : FORM_RECORDS;
    if (x->form == FORM_CSV && cli_has(c, "bom"))
        fputs("\xEF\xBB\xBF", c->out);
    return CLI_OK;
}

int run_audit_export(struct cli *c)
{
    struct audit_query q;
    struct export x = { 0 };
    bool more = true;
    int code = audit_query_read(c, &q);

    if (code == CLI_OK)
        code = form_read(c, &x);
    q.limit = AUDIT_PAGE_MOST;
    q.newest_first = false;
    q.proofs = x.form == FORM_PROOFS;
    while (code == CLI_OK && more)
        code = page(c, &x, &q, &more);
    if (code != CLI_OK)
        return code;
    if (x.left_out > 0)
        cli_say(c, "%llu records are younger than the checkpoint and were left out: export again in a moment.",
                "%llu 条记录晚于检查点，未导出；请稍后再次导出。", (unsigned long long)x.left_out);
    if (x.indexed < x.size)
        return cli_fail(c, CLI_FAILURE, "the index covers %llu of %llu records only: export again when it is built",
                        "索引仅覆盖 %llu 条（共 %llu 条）记录：请在索引建成后再次导出", (unsigned long long)x.indexed,
                        (unsigned long long)x.size);
    return CLI_OK;
}

/* ---- elsewhere, without a daemon ---- */
enum { LINE_MOST = 1 << 16, HASHES_MOST = AUDIT_PATH_MAX };

struct checking {
    struct audit_signed signed_;
    struct slice vkey, sm2;
    bool has_checkpoint, unsigned_;
    uint64_t line, records, first, last;
    const char *bad[2]; /* by language; NULL: none */
};

static bool hashes_read(const struct doc *list, struct sha256 *path, size_t *n)
{
    struct buf bytes = BUF_INIT(256);

    *n = 0;
    DOC_EACH(h, list)
    {
        buf_clear(&bytes);
        if (*n == HASHES_MOST || base64_read(h->text, &bytes) != ERR_OK || bytes.n != SHA256_LEN)
            break;
        memcpy(path[(*n)++].b, bytes.p, SHA256_LEN);
    }
    buf_done(&bytes);
    return list && *n == list->count;
}

static void check_bad(struct checking *k, const char *en, const char *zh)
{
    k->bad[LANG_EN] = en;
    k->bad[LANG_ZH] = zh;
}

static void check_record(struct checking *k, struct slice line, const struct doc *doc)
{
    static const char key[] = "{\"record\":", tail[] = ",\"proof\":[";
    struct sha256 path[HASHES_MOST];
    const char *at = NULL;
    size_t n, from = sizeof key - 1;
    uint64_t index = 0;

    for (size_t i = line.n; at == NULL && i-- > from;) /* the last one: a proof holds base64 only */
        if (line.n - i >= sizeof tail - 1 && memcmp(line.p + i, tail, sizeof tail - 1) == 0)
            at = line.p + i;
    if (!k->has_checkpoint)
        check_bad(k, "a record before any checkpoint", "记录之前没有检查点");
    else if (at == NULL || !slice_starts(line, slice_of(key)) || doc->count != 2 ||
             !hashes_read(doc_get(doc, "proof"), path, &n))
        check_bad(k, "not a record with its proof", "不是带证明的记录");
    else if (!audit_signed_holds(&k->signed_, slice_make(line.p + from, (size_t)(at - line.p) - from), path, n, &index))
        check_bad(k, "the record is not the one that the checkpoint covers", "该记录与检查点所覆盖的不符");
    if (k->bad[LANG_EN])
        return;
    if (k->records++ == 0)
        k->first = index;
    k->last = index;
}

/* Nothing before the object, behind it or between its first bytes: EXPORT.md says which, and others read it so. */
static bool line_is_strict(struct slice line)
{
    return (slice_starts(line, SLICE("{\"checkpoint\":\"")) && slice_ends(line, SLICE("\"}"))) ||
           (slice_starts(line, SLICE("{\"record\":{")) && slice_ends(line, SLICE("]}")));
}

static void check_line(struct checking *k, struct slice line)
{
    struct arena a;
    const struct doc *doc = NULL;

    arena_init(&a, 1 << 20);
    if (!line_is_strict(line) || doc_read_json(line, &a, NULL, &doc) != ERR_OK) {
        check_bad(k, "not a line of an export", "不是导出文件的行");
    } else if (doc_get(doc, "checkpoint") && doc->count == 1) { /* beside it nothing would be checked */
        enum err e = audit_signed_read(doc_text(doc, "checkpoint"), k->vkey, &k->signed_);
        k->has_checkpoint = e == ERR_OK;
        if (e != ERR_OK)
            check_bad(k, "the checkpoint or the key cannot be read", "检查点或公钥无法读取");
        else if (k->vkey.n > 0 && !k->signed_.signature_ok)
            check_bad(k, "the checkpoint's signature does not hold under the key given",
                      "检查点签名在所给公钥下不成立");
        else if (k->sm2.n > 0 && !audit_sm2_holds(doc_text(doc, "checkpoint"), k->sm2))
            check_bad(k, "the checkpoint has no SM2 signature that holds under the SM2 key given",
                      "检查点没有在所给 SM2 公钥下成立的签名");
        k->unsigned_ |= k->vkey.n == 0;
    } else {
        check_record(k, line, doc);
    }
    arena_done(&a);
}

static int check_file(struct cli *c, struct checking *k, FILE *f)
{
    char *line = arena_alloc(&c->arena, LINE_MOST);

    if (line == NULL)
        return cli_error(c, ERR_NOMEM);
    while (k->bad[LANG_EN] == NULL && fgets(line, LINE_MOST, f)) {
        size_t n = strlen(line);
        k->line++;
        if (n == 0 || line[n - 1] != '\n')
            check_bad(k, "the line is too long or not whole", "行过长或不完整");
        else
            check_line(k, slice_make(line, n - 1));
    }
    if (k->bad[LANG_EN] == NULL && k->records == 0)
        check_bad(k, "it holds no record", "文件不含记录");
    if (k->bad[LANG_EN] == NULL)
        return CLI_OK;
    fprintf(c->out, c->lang == LANG_ZH ? "核验不通过：第 %llu 行：%s\n" : "does NOT verify: line %llu: %s\n",
            (unsigned long long)k->line, k->bad[c->lang]);
    return CLI_UNPROVEN;
}

int run_audit_verify_export(struct cli *c)
{
    struct checking k = { 0 };
    int code = vkey_read(c, &k.vkey);
    FILE *f;

    if (code == CLI_OK)
        code = sm2_vkey_read(c, &k.sm2);
    f = code == CLI_OK ? fopen(c->args[0], "re") : NULL;
    if (code != CLI_OK)
        return code;
    if (f == NULL)
        return cli_error(c, diag_add(&c->diags, ERR_NOT_FOUND, 0, 0, "cannot read %s", "无法读取 %s", c->args[0]));
    code = check_file(c, &k, f);
    fclose(f);
    if (code != CLI_OK)
        return code;
    fprintf(c->out,
            c->lang == LANG_ZH ? "核验通过：%llu 条记录（首条序号 %llu，末条 %llu），均在日志 %llu 条记录的检查点之下\n"
                               : "verifies: %llu records, the first %llu, the last %llu, under a checkpoint of %llu\n",
            (unsigned long long)k.records, (unsigned long long)k.first, (unsigned long long)k.last,
            (unsigned long long)k.signed_.size);
    if (k.unsigned_)
        cli_say(c, "Only that they hang together is proved; whose log it is takes its key: --vkey",
                "仅证明其相互一致；要证明出自哪一日志，请用 --vkey 给出公钥");
    return CLI_OK;
}
