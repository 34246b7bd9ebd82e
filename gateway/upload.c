/* Uploads: from the consumer's call to the provider's, unread. Nothing is kept here: what was read is handed on at
 * once, and when the provider's socket takes no more the consumer is not read. */
#include "gateway/upload.h"

/* ---- the head ---- */
static void deny(struct exchange *x, enum reason r, const char *en, const char *zh)
{
    x->param_fault = (struct translate_refusal){ .reason = r, .detail = { [LANG_EN] = en, [LANG_ZH] = zh } };
}

/* What the head said that a body of parameters may not. */
static void fault_of_others(struct exchange *x)
{
    if (x->ask.late == REASON_UNSUPPORTED_TYPE)
        deny(x, x->ask.late, "send application/json", "请发送 application/json");
    else
        deny(x, x->ask.late, "the body exceeds limits.body", "正文超过 limits.body");
}

static void fault_of_type(struct exchange *x)
{
    struct slice all = translate_upload_types(x->service->plan);

    deny(x, REASON_UNSUPPORTED_TYPE,
         arena_printf(&x->arena, "the body is a file, with one Content-Type of: %.*s", SLICE_ARG(all)),
         arena_printf(&x->arena, "正文为文件，其唯一的 Content-Type 须为：%.*s", SLICE_ARG(all)));
}

static void judge_head(struct exchange *x)
{
    struct slice type = x->ask.type.n > 0 ? x->ask.type : SLICE("application/json");

    if (x->ask.get)
        deny(x, REASON_METHOD_NOT_ALLOWED, "this resource takes a file: POST it", "该数据资源接收文件：请使用 POST");
    else if (x->ask.types != 1 || !translate_upload_type(x->service->plan, type, &x->up->type))
        fault_of_type(x);
    else if (x->body_told > x->w->cfg.settings->limits.upload)
        deny(x, REASON_REQUEST_TOO_LARGE, "the file exceeds limits.upload", "文件超过 limits.upload");
    else if (x->body_told == 0 && !x->ask.chunked)
        deny(x, REASON_REQUEST_MALFORMED, "the body is the file, and it is empty", "正文即文件，而正文为空");
}

enum step upload_resolve(struct exchange *x)
{
    if (!translate_upload(x->service->plan)) {
        fault_of_others(x);
        return STEP_NEXT;
    }
    x->up = arena_zalloc(&x->arena, sizeof *x->up);
    if (x->up == NULL)
        return exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    if (x->body.n > 0) /* the version was another when the body was begun: nobody's parameters are a file */
        deny(x, REASON_CONFLICT, "the resource takes a file since this request began: look it up again",
             "本请求开始后，该数据资源改为接收文件：请重新查阅");
    else
        judge_head(x);
    if (x->call != NULL)
        x->ops->read(x->call, false);
    return STEP_NEXT;
}

bool upload_granted(struct exchange *x)
{
    size_t i = translate_upload_item(x->service->plan);

    if (x->verdict.items.bit[i / 64] >> (i % 64) & 1)
        return true;
    exchange_fail(x, REASON_ITEM_NOT_GRANTED, "the file that the resource takes is an item of its own",
                  "该资源所接收的文件是一个单独授权的数据项");
    return false;
}

/* ---- the body ---- */
bool upload_open(struct exchange *x, struct connector_request *q)
{
    q->streams = true;
    q->content_type = x->up->type;
    q->length = x->body_told;
    x->up->digest = worker_digest(x->w);
    if (x->up->digest)
        record_digest(x, x->up->digest, 'u');
    return x->up->digest != NULL;
}

static void fail_empty(struct exchange *x)
{
    exchange_fail(x, REASON_REQUEST_MALFORMED, "the body is the file, and it is empty", "正文即文件，而正文为空");
}

/* The end needs no room: over HTTP/2 it can be there before the body was wanted. */
void upload_steer(struct exchange *x)
{
    bool room = x->provider != NULL && connector_room(x->provider);

    if (x->body_done && x->up->bytes == 0)
        fail_empty(x);
    if (x->call == NULL || x->body_done || room == x->up->reading)
        return;
    x->up->reading = room;
    x->ops->read(x->call, room);
}

static void hand_on(struct exchange *x, struct slice bytes)
{
    if (x->up->bytes + bytes.n > x->w->cfg.settings->limits.upload) {
        exchange_fail(x, REASON_REQUEST_TOO_LARGE, "the file exceeds limits.upload", "文件超过 limits.upload");
        return;
    }
    digest_add(x->up->digest, bytes);
    x->up->bytes += bytes.n;
    if (connector_put(x->provider, bytes) != ERR_OK)
        exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
}

/* Nothing comes before RELAY, for the consumer is not read; what comes afterwards is dropped. */
void upload_body(struct exchange *x, struct slice bytes)
{
    if (x->state >= EX_OUTCOME)
        return;
    if (x->state == EX_RELAY && x->provider != NULL)
        hand_on(x, bytes);
    else
        exchange_fail(x, REASON_INTERNAL, NULL, NULL);
    exchange_resume(x);
}

void upload_end(struct exchange *x)
{
    if (x->state != EX_RELAY || x->provider == NULL)
        return;
    if (x->answered_at == 0) /* HTTP/2 may tell the end of a body whose length is known long after its last byte */
        x->asked_at = loop_now(x->w->loop);
    if (x->up->bytes == 0)
        fail_empty(x);
    else if (connector_put_end(x->provider) != ERR_OK)
        exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
}

/* ---- the record ---- */

/* What was handed to the provider's connection: all of it, when the exchange was granted. */
void upload_record(struct exchange *x, struct audit_record *r)
{
    struct upload *up = x->up;

    r->bytes_upload = up->bytes;
    if (up->bytes == 0 || r->kind != AUDIT_OUTCOME)
        return;
    if (!up->summed)
        up->sum = digest_end(up->digest);
    up->summed = true;
    r->digest_upload = &up->sum;
}
