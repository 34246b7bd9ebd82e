/* The auditor's questions. A search is an act of its own, on record before anything is shown. A person is looked up by
 * value, and only the pseudonym goes further than this file. Checking the index and building it anew are acts too. */
#include "gateway/api_audit.h"
#include "gateway/api_list.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CHECK_WAIT_MS = 4000 };

struct search_body {
    struct slice subject, who, department, resource, item, grant, reason, result, kind;
    struct slice operator_, case_, purpose, person, exchange, verb, object;
    int64_t from, to;
    bool newest_first, proofs;
    uint64_t limit, after;
};
#define AT(field) offsetof(struct search_body, field)
#define TEXT(name, field, en, zh)                                                                                      \
    {                                                                                                                  \
        name, DOC_K_STR, AT(field), 1, 300, .help = { en, zh }                                                         \
    }
static const struct doc_key search_keys[] = {
    TEXT("subject", subject, "who asked, or an act's author: URI of an application or person", "请求者或操作者 URI"),
    TEXT("who", who, "the same as department/name", "请求者或操作者：部门/名称"),
    TEXT("department", department, "department that asked, or whose resource it is", "请求方或提供方部门"),
    TEXT("resource", resource, "department/resource", "部门/数据资源"),
    TEXT("item", item, "item that was granted for an exchange; where its record had no room for all, the grant says",
         "交换获准的数据项；记录容不下全部数据项时以授权为准"),
    TEXT("grant", grant, "grant id", "授权编号"),
    TEXT("reason", reason, "reason code", "原因代码"),
    TEXT("result", result, "granted, refused, failed, cut, interrupted, running",
         "结果：granted、refused、failed、cut、interrupted、running"),
    TEXT("kind", kind, "refused, intent, progress, outcome, cut, act, count, gap, segment", "存证种类"),
    TEXT("operator", operator_, "account number at the consumer", "经办人账号"),
    TEXT("case", case_, "case number", "办件编号"),
    TEXT("purpose", purpose, "purpose code", "用途代码"),
    TEXT("person", person, "identity number or the like: becomes its pseudonym here", "个人标识：在此转为假名"),
    TEXT("exchange", exchange, "exchange id", "交换编号"),
    TEXT("verb", verb, "what was done: grant.revoke, request.approve, …", "治理行为：grant.revoke、request.approve 等"),
    TEXT("object", object, "what it was done to: id of a grant, request, resource", "治理行为的对象"),
    { "from", DOC_K_TIME, AT(from), .help = { "not before", "起始时间" } },
    { "to", DOC_K_TIME, AT(to), .help = { "before", "截止时间（不含）" } },
    { "newest_first", DOC_K_BOOL, AT(newest_first), .otherwise = "true", .help = { "newest first", "由新到旧" } },
    { "proofs", DOC_K_BOOL, AT(proofs),
      .help = { "with the proof of each record under one checkpoint", "附各条记录在同一检查点下的证明" } },
    { "limit", DOC_K_U64, AT(limit), 1, 1000, .otherwise = "100", .help = { "at most so many", "最多条数" } },
    { "after", DOC_K_U64, AT(after), 0, (int64_t)1 << 53,
      .help = { "begin behind this row's index", "从此序号之后开始" } },
    { .name = NULL },
};
#undef TEXT
#undef AT

/* ---- studies ---- */
static void *study_thread(void *arg)
{
    struct study *s = arg;

    s->run(s);
    loop_post(s->q->control->loop, &s->home);
    return NULL;
}

static void study_home(void *arg)
{
    struct study *s = arg;

    s->q->control->searches--;
    if (s->e == ERR_OK)
        api_ok(s->q);
    else
        api_error(s->q, s->e);
}

/* Its act is durable: begin. */
static void study_begin(struct api_request *q)
{
    struct study *s = q->state;
    struct audit_status log;
    pthread_attr_t detached;
    pthread_t thread;
    int failed;

    audit_status(control_log(q->control), &log);
    s->size = log.size;
    q->control->searches++;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &detached, study_thread, s);
    pthread_attr_destroy(&detached);
    if (failed) {
        q->control->searches--;
        api_error(q, ERR_AGAIN);
    }
}

/* Counted from here to its answer, not from its thread's beginning: between the two lies the act. NULL: it has been
 * answered. */
static struct study *study_new(struct api_request *q, void (*run)(struct study *s))
{
    struct study *s;

    if (q->control->studies >= CONTROL_STUDIES_MAX) {
        api_problem(q, REASON_OVERLOADED, "four searches are running", "已有四个检索在进行");
        return NULL;
    }
    s = arena_zalloc(&q->arena, sizeof *s);
    if (s == NULL) {
        api_error(q, ERR_NOMEM);
        return NULL;
    }
    *s = (struct study){ .q = q,
                         .index = q->control->index,
                         .log = control_log(q->control),
                         .stop = &q->control->retention.stop,
                         .run = run };
    s->home = (struct loop_msg){ .fn = study_home, .arg = s };
    q->state = s;
    q->study = true;
    q->control->studies++;
    return s;
}

/* ---- search ---- */
static void put_question(struct json *j, const struct study *s)
{
    const struct audit_question *f = &s->question;

    json_open(j, '{');
    json_opt(j, "subject", f->subject);
    json_opt(j, "who", f->who);
    json_opt(j, "department", f->department);
    json_opt(j, "resource", f->resource);
    json_opt(j, "item", f->item);
    json_opt(j, "grant", f->grant);
    json_opt(j, "reason", f->reason);
    json_opt(j, "result", slice_of(audit_result_name(f->result)));
    json_opt(j, "kind", f->kind);
    json_opt(j, "operator", f->operator_);
    json_opt(j, "case", f->case_);
    json_opt(j, "purpose", f->purpose);
    json_opt(j, "pseudonym", f->pseudonym);
    json_opt(j, "exchange", f->exchange);
    json_opt(j, "verb", f->verb);
    json_opt(j, "object", f->object);
    api_put_time(j, "from", f->from);
    api_put_time(j, "to", f->to);
    json_pair_u64(j, "limit", f->limit);
    if (f->oldest_first) /* which rows a page shows depends on it */
        json_pair_bool(j, "oldest_first", true);
    if (s->proofs)
        json_pair_bool(j, "proofs", true);
    if (f->after != UINT64_MAX)
        json_pair_u64(j, "after", f->after);
    json_close(j, '}');
}

static bool holds_person(const struct audit_question *f)
{
    const struct slice texts[] = {
        f->subject, f->who,  f->department, f->resource, f->item,      f->grant, f->reason,
        f->kind,    f->verb, f->object,     f->purpose,  f->operator_, f->case_, f->exchange
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (text_names_person(texts[i]))
            return true;
    return false;
}

static enum err fill(struct study *s, const struct search_body *b)
{
    struct audit_question *f = &s->question;

    s->proofs = b->proofs;
    *f = (struct audit_question){ .subject = b->subject,
                                  .who = b->who,
                                  .department = b->department,
                                  .resource = b->resource,
                                  .item = b->item,
                                  .grant = b->grant,
                                  .reason = b->reason,
                                  .kind = b->kind,
                                  .operator_ = b->operator_,
                                  .case_ = b->case_,
                                  .purpose = b->purpose,
                                  .exchange = b->exchange,
                                  .verb = b->verb,
                                  .object = b->object,
                                  .from = b->from,
                                  .to = b->to,
                                  .oldest_first = !b->newest_first,
                                  .limit = (uint32_t)b->limit,
                                  .after = b->after };
    if (b->result.n > 0 && !audit_result_find(b->result, &f->result))
        return diag_add(&s->q->diags, ERR_INVALID, 0, 0,
                        "result is granted, refused, failed, cut, interrupted or running",
                        "result 应为 granted、refused、failed、cut、interrupted 或 running");
    if (holds_person(f))
        return diag_add(&s->q->diags, ERR_INVALID, 0, 0,
                        "give an identity number as `person` only: there it becomes a pseudonym",
                        "公民身份号码只能填在 person 中，在那里转为假名");
    if (b->person.n > 0) {
        unsigned n = audit_pseudonyms(control_log(s->q->control), b->person, s->pseudonyms);
        f->pseudonym = slice_of(s->pseudonyms[0]);
        for (; f->n_older + 1 < n; f->n_older++)
            f->older[f->n_older] = slice_of(s->pseudonyms[1 + f->n_older]);
    }
    return ERR_OK;
}

static void commit_search(struct api_request *q, struct study *s)
{
    struct buf content = BUF_INIT(1 << 16);
    struct json j;
    struct act a;
    enum err e;

    if (act_begin(q, &a, false) != ERR_OK)
        return;
    json_init(&j, &content);
    put_question(&j, s);
    e = content.failed == ERR_OK ? act_record(q, &a, "audit.search", SLICE("log"), buf_slice(&content))
                                 : content.failed;
    buf_done(&content);
    a.then = study_begin;
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

static void search(struct api_request *q)
{
    struct search_body b = { .after = UINT64_MAX };
    struct study *s;
    enum err e;

    if (api_body(q, search_keys, &b) != ERR_OK)
        return;
    s = study_new(q, study_search);
    if (s == NULL)
        return;
    e = fill(s, &b);
    if (e == ERR_OK)
        commit_search(q, s);
    else
        api_error(q, e);
}

/* ---- the index ---- */
static void put_index(struct json *j, struct audit_index *x)
{
    struct audit_index_status s;

    audit_index_status(x, &s);
    json_open(j, '{');
    json_pair_u64(j, "first", s.first);
    json_pair_u64(j, "indexed", s.indexed);
    json_pair_u64(j, "size", s.size);
    json_pair_bool(j, "complete", s.indexed >= s.size);
    json_pair_u64(j, "parts", s.parts);
    json_pair_u64(j, "bytes", s.bytes);
    json_pair_u64(j, "discarded", s.discarded);
    if (s.failed != UINT64_MAX)
        json_pair_u64(j, "unreadable", s.failed);
    json_close(j, '}');
}

static void index_status(struct api_request *q)
{
    put_index(&q->json, q->control->index);
    api_ok(q);
}

static void study_check(struct study *s)
{
    struct json *j = &s->q->json;
    uint64_t bad;

    (void)audit_index_wait(s->index, s->size, CHECK_WAIT_MS);
    bad = audit_index_check(s->index, s->stop);
    if (atomic_load(s->stop)) { /* it may have read half: nothing is said of the rest */
        s->e = ERR_AGAIN;
        return;
    }
    json_open(j, '{');
    json_pair_bool(j, "agrees", bad == UINT64_MAX);
    if (bad != UINT64_MAX)
        json_pair_u64(j, "differs_from", bad);
    json_key(j, "index");
    put_index(j, s->index);
    json_close(j, '}');
}

static void study_rebuild(struct study *s)
{
    audit_index_rebuild(s->index);
    put_index(&s->q->json, s->index);
}

static void index_act(struct api_request *q, const char *verb, void (*run)(struct study *s))
{
    struct act a;
    enum err e;

    if (study_new(q, run) == NULL || act_begin(q, &a, false) != ERR_OK)
        return;
    e = act_record(q, &a, verb, SLICE("log"), SLICE("{}"));
    a.then = study_begin;
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

static void index_check(struct api_request *q)
{
    index_act(q, "audit.index-check", study_check);
}

static void index_rebuild(struct api_request *q)
{
    index_act(q, "audit.index-rebuild", study_rebuild);
}

/* ---- the log's own state ---- */
static void checkpoint(struct api_request *q)
{
    enum err e = audit_checkpoint(control_log(q->control), &q->out);

    q->type = "text/plain; charset=utf-8";
    if (e == ERR_OK) {
        api_count(q->control, REASON_LOG_READ);
        api_ok(q);
    } else {
        api_error(q, e);
    }
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
    { "GET", "audit/index", index_status, READERS, false },
    { "POST", "audit/index/check", index_check, READERS, false },
    { "POST", "audit/index/rebuild", index_rebuild, READERS, false },
    { "GET", "audit/checkpoint", checkpoint, 0, true },
    { "GET", "audit/status", status, 0, false },
    { .method = NULL },
};
