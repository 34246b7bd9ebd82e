/* The auditor's questions. A search is an act of its own, on record before anything is shown; it runs in a thread that
 * only reads files, so that a long one holds up no revocation. A person is looked up by value, and only the pseudonym
 * goes further than this file. */
#include "gateway/api_list.h"
#include "gateway/control_internal.h"

#include <pthread.h>

enum { SEARCHES_MAX = 4, ANSWER_FULL = 32 << 20 };

struct search_body {
    struct slice subject, resource, grant, reason, kind, operator_, case_, purpose, person, exchange;
    int64_t from, to;
    bool newest_first;
    uint64_t limit, after;
};
#define AT(field) offsetof(struct search_body, field)
#define TEXT(name, field, en, zh)                                                                                      \
    {                                                                                                                  \
        name, DOC_K_STR, AT(field), 1, 300, .help = { en, zh }                                                         \
    }
static const struct doc_key search_keys[] = {
    TEXT("subject", subject, "who asked: URI of an application or person", "请求者 URI"),
    TEXT("resource", resource, "department/resource", "部门/数据资源"),
    TEXT("grant", grant, "grant id", "授权编号"),
    TEXT("reason", reason, "reason code", "原因代码"),
    TEXT("kind", kind, "refused, intent, progress, outcome, cut, act, count, gap", "存证种类"),
    TEXT("operator", operator_, "account number at the consumer", "经办人账号"),
    TEXT("case", case_, "case number", "办件编号"),
    TEXT("purpose", purpose, "purpose code", "用途代码"),
    TEXT("person", person, "identity number or the like: becomes its pseudonym here", "个人标识：在此转为假名"),
    TEXT("exchange", exchange, "exchange id", "交换编号"),
    { "from", DOC_K_TIME, AT(from), .help = { "not before", "起始时间" } },
    { "to", DOC_K_TIME, AT(to), .help = { "before", "截止时间" } },
    { "newest_first", DOC_K_BOOL, AT(newest_first), .help = { "newest first", "由新到旧" } },
    { "limit", DOC_K_U64, AT(limit), 1, 1000, .otherwise = "100", .help = { "at most so many", "最多条数" } },
    { "after", DOC_K_U64, AT(after), 0, (int64_t)1 << 53, .help = { "begin behind this index", "从此序号之后开始" } },
    { .name = NULL },
};
#undef TEXT
#undef AT

struct search {
    struct loop_msg home;
    struct api_request *q;
    struct audit_filter filter;
    char pseudonym[33];
    const char *dir;
    uint64_t last;
    bool any, more;
    enum err e;
};

/* ---- in its own thread ---- */
static bool take(void *arg, uint64_t index, struct slice line)
{
    struct search *s = arg;

    if (s->q->out.n > ANSWER_FULL) {
        s->more = true;
        return false;
    }
    json_raw(&s->q->json, line);
    s->last = index;
    s->any = true;
    return true;
}

static void *search_thread(void *arg)
{
    struct search *s = arg;
    struct api_request *q = s->q;
    bool more = false;

    json_open(&q->json, '{');
    json_key(&q->json, "records");
    json_open(&q->json, '[');
    s->e = audit_search(s->dir, &s->filter, take, s, &more, &q->diags);
    json_close(&q->json, ']');
    json_pair_bool(&q->json, "more", s->more || more);
    if (s->any)
        json_pair_u64(&q->json, "next", s->last);
    json_close(&q->json, '}');
    loop_post(q->control->loop, &s->home);
    return NULL;
}

/* ---- back on the control thread ---- */
static void finished(void *arg)
{
    struct search *s = arg;

    s->q->control->searches--;
    if (s->e == ERR_OK)
        api_ok(s->q);
    else
        api_error(s->q, s->e);
}

static void begin(struct api_request *q)
{
    struct search *s = q->state;
    pthread_attr_t detached;
    pthread_t thread;
    int failed;

    q->control->searches++;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &detached, search_thread, s);
    pthread_attr_destroy(&detached);
    if (failed) {
        q->control->searches--;
        api_error(q, ERR_AGAIN);
    }
}

/* ---- the act ---- */
static void put_filter(struct json *j, const struct search *s)
{
    const struct audit_filter *f = &s->filter;

    json_open(j, '{');
    json_opt(j, "subject", f->subject);
    json_opt(j, "resource", f->resource);
    json_opt(j, "grant", f->grant);
    json_opt(j, "reason", f->reason);
    json_opt(j, "kind", f->kind);
    json_opt(j, "operator", f->operator_);
    json_opt(j, "case", f->case_);
    json_opt(j, "purpose", f->purpose);
    json_opt(j, "pseudonym", f->pseudonym);
    json_opt(j, "exchange", f->exchange);
    api_put_time(j, "from", f->from);
    api_put_time(j, "to", f->to);
    json_pair_u64(j, "limit", f->limit);
    json_close(j, '}');
}

static bool holds_person(const struct audit_filter *f)
{
    const struct slice texts[] = { f->subject,   f->resource, f->grant,   f->reason,  f->kind,
                                   f->operator_, f->case_,    f->purpose, f->exchange };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (text_holds_id_card(texts[i]))
            return true;
    return false;
}

static void fill(struct search *s, const struct search_body *b, bool after_given)
{
    s->filter = (struct audit_filter){ .subject = b->subject,
                                       .resource = b->resource,
                                       .grant = b->grant,
                                       .reason = b->reason,
                                       .kind = b->kind,
                                       .operator_ = b->operator_,
                                       .case_ = b->case_,
                                       .purpose = b->purpose,
                                       .exchange = b->exchange,
                                       .from = b->from,
                                       .to = b->to,
                                       .newest_first = b->newest_first,
                                       .limit = (uint32_t)b->limit,
                                       .after = after_given ? b->after : UINT64_MAX };
    if (b->person.n > 0) {
        audit_pseudonym(control_log(s->q->control), b->person, s->pseudonym);
        s->filter.pseudonym = slice_of(s->pseudonym);
    }
}

static void commit_search(struct api_request *q, struct search *s)
{
    struct buf content = BUF_INIT(1 << 16);
    struct json j;
    struct act a;
    enum err e;

    if (act_begin(q, &a, false) != ERR_OK)
        return;
    json_init(&j, &content);
    put_filter(&j, s);
    e = content.failed == ERR_OK ? act_record(q, &a, "audit.search", SLICE("log"), buf_slice(&content))
                                 : content.failed;
    buf_done(&content);
    a.then = begin;
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

static void search(struct api_request *q)
{
    struct search_body b = { 0 };
    struct search *s = arena_zalloc(&q->arena, sizeof *s);

    if (s == NULL) {
        api_error(q, ERR_NOMEM);
        return;
    }
    b.after = UINT64_MAX;
    if (api_body(q, search_keys, &b) != ERR_OK)
        return;
    if (q->control->searches >= SEARCHES_MAX) {
        api_problem(q, REASON_OVERLOADED, "four searches are running", "已有四个检索在进行");
        return;
    }
    s->q = q;
    s->dir = audit_dir(control_log(q->control));
    s->home = (struct loop_msg){ .fn = finished, .arg = s };
    fill(s, &b, b.after != UINT64_MAX);
    if (holds_person(&s->filter)) {
        diag_add(&q->diags, ERR_INVALID, 0, 0, "give an identity number as `person` only: there it becomes a pseudonym",
                 "公民身份号码只能填在 person 中，在那里转为假名");
        api_error(q, ERR_INVALID);
        return;
    }
    q->state = s;
    commit_search(q, s);
}

/* ---- the log's own state ---- */
static void checkpoint(struct api_request *q)
{
    enum err e = audit_checkpoint(control_log(q->control), &q->out);

    q->type = "text/plain; charset=utf-8";
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

static void status(struct api_request *q)
{
    struct audit_status s;
    struct json *j = &q->json;

    audit_status(control_log(q->control), &s);
    json_open(j, '{');
    json_pair_bool(j, "available", s.available);
    if (!s.available)
        json_pair(j, "why", slice_of(err_name(s.why)));
    json_pair_u64(j, "size", s.size);
    json_pair_u64(j, "last_act", s.last_act);
    json_pair_u64(j, "checkpoint_size", s.checkpoint_size);
    api_put_time(j, "checkpoint_at", s.checkpoint_at);
    json_pair_u64(j, "interrupted", s.interrupted);
    json_pair_u64(j, "torn_bytes", s.torn_bytes);
    json_pair_u64(j, "commits", s.commits);
    json_pair_u64(j, "bytes", s.bytes);
    json_close(j, '}');
    api_ok(q);
}

enum { READERS = ROLE_AUDITOR | ROLE_AUDIT_ADMIN };
const struct api_route api_audit_routes[] = {
    { "POST", "audit/search", search, READERS, false },
    { "GET", "audit/checkpoint", checkpoint, 0, true },
    { "GET", "audit/status", status, 0, false },
    { .method = NULL },
};
