/* Applying manifests: every document of every file is read and checked, all problems are told at once, and all of them
 * are stored in one transaction or none is. */
#include "gateway/api_list.h"

#include <stdlib.h>

struct apply_body {
    const struct doc *files;
    bool dry_run;
};
static const struct doc_key body_keys[] = {
    { "files", DOC_K_LIST, offsetof(struct apply_body, files), .flags = DOC_REQUIRED,
      .help = { "the manifests: a list of {name, text}", "清单：{name, text} 列表" } },
    { "dry_run", DOC_K_BOOL, offsetof(struct apply_body, dry_run), .help = { "check only", "仅检查" } },
    { .name = NULL },
};
struct file_body {
    struct slice name, text;
};
static const struct doc_key file_keys[] = {
    { "name", DOC_K_STR, offsetof(struct file_body, name), 0, 1024, .help = { "file name", "文件名" } },
    { "text", DOC_K_STR, offsetof(struct file_body, text), .flags = DOC_REQUIRED, .help = { "its text", "文件内容" } },
    { .name = NULL },
};

struct piece {
    struct slice file;
    const struct doc *doc;
    struct catalog_manifest manifest;
    enum catalog_put result;
    uint64_t version;
    unsigned order; /* in the request */
    bool ill;       /* one with a check of its own whose shape is wrong: it tells so, with all else that is wrong */
};
struct apply {
    struct api_request *q;
    struct piece *at;
    size_t n;
    bool bad;     /* problems were found: nothing is stored */
    bool refused; /* by the store: the others are still put to it, and all of it is undone */
};

/* What must be there before what: CATALOG_* in the order of storing. */
static const uint8_t rank[CATALOG_KINDS_] = {
    [CATALOG_DEPARTMENT] = 0, [CATALOG_CODE_TABLE] = 1, [CATALOG_PERSON] = 2,
    [CATALOG_APP] = 3,        [CATALOG_RESOURCE] = 4,   [CATALOG_POLICY] = 5,
};

/* ---- checks of more than the shape ---- */
static enum err check_resource(struct api_request *q, struct act *a, const struct doc *doc)
{
    return service_check(doc, control_world(q->control), true, a->tx, &q->diags);
}

static enum err check_policy(struct api_request *q, struct act *a, const struct doc *doc)
{
    return catalog_policy_check(a->tx, doc, &q->arena, &q->diags);
}

/* Of the kinds that have one: all that is wrong, the shape included. */
static enum err (*const checks[CATALOG_KINDS_])(struct api_request *q, struct act *a, const struct doc *doc) = {
    [CATALOG_RESOURCE] = check_resource,
    [CATALOG_POLICY] = check_policy,
};

/* ---- reading ---- */
static void read_doc(struct apply *ap, struct slice file, const struct doc *doc)
{
    struct piece *p = &ap->at[ap->n];
    struct api_request *q = ap->q;
    enum catalog_kind kind;

    if (ap->n == APPLY_DOCUMENTS_MAX) {
        ap->bad = true;
        diag_add(&q->diags, ERR_TOO_LARGE, doc->line, doc->col, "at most %d documents at once", "一次至多 %d 份文档",
                 APPLY_DOCUMENTS_MAX);
        return;
    }
    *p = (struct piece){ .file = file, .doc = doc, .order = (unsigned)ap->n };
    if (catalog_kind_of(doc_text(doc, "kind"), &kind) && checks[kind] != NULL) {
        p->ill = catalog_read(doc, &q->arena, NULL, &p->manifest) != ERR_OK;
        p->manifest.kind = kind;
        ap->n++;
    } else if (catalog_read(doc, &q->arena, &q->diags, &p->manifest) == ERR_OK) {
        ap->n++;
    } else {
        ap->bad = true;
    }
}

static void read_file(struct apply *ap, const struct file_body *f)
{
    struct api_request *q = ap->q;
    const struct doc *tree = NULL;
    bool json = slice_ends(f->name, SLICE(".json"));
    enum err e;

    q->diags.file = f->name;
    e = json ? doc_read_json(f->text, &q->arena, &q->diags, &tree)
             : doc_read_yaml(f->text, &q->arena, &q->diags, &tree);
    if (e != ERR_OK) {
        ap->bad = true;
        return;
    }
    if (json && tree->type == DOC_MAP) {
        read_doc(ap, f->name, tree);
        return;
    }
    DOC_EACH(doc, tree)
    if (doc->type != DOC_NULL)
        read_doc(ap, f->name, doc);
}

static enum err read_files(struct apply *ap, const struct doc *files)
{
    struct api_request *q = ap->q;

    if (files->count > APPLY_FILES_MAX)
        return diag_add(&q->diags, ERR_TOO_LARGE, 0, 0, "at most %d files at once", "一次至多 %d 个文件",
                        APPLY_FILES_MAX);
    ap->at = arena_array(&q->arena, APPLY_DOCUMENTS_MAX, sizeof *ap->at);
    if (ap->at == NULL)
        return ERR_NOMEM;
    DOC_EACH(node, files)
    {
        struct file_body f = { 0 };
        q->diags.file = (struct slice){ 0 };
        if (doc_bind(node, file_keys, &f, &q->arena, &q->diags) == ERR_OK)
            read_file(ap, &f);
        else
            ap->bad = true;
    }
    q->diags.file = (struct slice){ 0 };
    return ERR_OK;
}

static int by_rank(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int d = (int)rank[x->manifest.kind] - (int)rank[y->manifest.kind];

    return d ? d : (int)x->order - (int)y->order;
}

/* ---- who may ---- */
static bool may(struct api_request *q, const struct catalog_manifest *m)
{
    if (m->kind == CATALOG_RESOURCE)
        return api_role_of(q, ROLE_PROVIDER_OFFICER, m->department);
    return api_role(q, ROLE_SYSTEM_ADMIN);
}

/* ---- storing ---- */
static void put_record_text(struct buf *out, const struct piece *p)
{
    static const char *const results[] = { "unchanged", "created", "changed" };
    struct buf manifest = BUF_INIT(8 << 20);
    struct json j;

    json_init(&j, out);
    json_open(&j, '{');
    json_pair(&j, "result", slice_of(results[p->result]));
    json_pair_u64(&j, "version", p->version);
    if (p->manifest.kind != CATALOG_PERSON) { /* a digest of a name and a number could be guessed */
        struct sha256 h;
        struct json m;
        json_init(&m, &manifest);
        doc_put_json(p->doc, &m);
        h = sha256_of(buf_slice(&manifest));
        buf_puts(out, ",\"sha256\":\"");
        hex_put(out, slice_make(h.b, sizeof h.b));
        buf_puts(out, "\"");
        if (manifest.failed != ERR_OK) /* a digest of a part of it is none */
            out->failed = manifest.failed;
        buf_done(&manifest);
    }
    json_close(&j, '}');
}

struct uses {
    struct api_request *q;
    struct act *act;
    struct slice table;
    struct slice last; /* its versions come one after the other */
    enum err worst;
};

/* With the new codes it may be larger than a resource may be: then it would go on with the old ones, and be gone at the
 * next start. */
static enum err check_user(struct uses *u, const struct service *v)
{
    struct connector_world world = *control_world(u->q->control);
    struct catalog_entry entry;
    struct service *s = NULL;
    struct diags unsaid;
    struct arena a;
    enum err e;

    world.bears = true; /* what its provider is called with is no matter here */
    arena_init(&a, 16 << 20);
    diags_init(&unsaid, &a);
    e = catalog_find(u->act->tx, CATALOG_RESOURCE, v->resource->id, v->version, &a, &entry);
    if (e == ERR_OK)
        e = service_load(entry.json, entry.version, &world, u->act->tx, &s, &unsaid);
    counted_unref(s);
    arena_done(&a);
    if (e == ERR_TOO_LARGE)
        return diag_add(&u->q->diags, ERR_INVALID, 0, 0,
                        "with these codes %.*s, version %llu, would need more memory than a resource may have: split "
                        "the table",
                        "采用这些代码后，%.*s 第 %llu 版所需内存将超出上限：请拆分代码表", SLICE_ARG(v->resource->id),
                        (unsigned long long)v->version);
    return e == ERR_NOMEM ? e : ERR_OK;
}

static bool touch_user(void *arg, const struct service *v)
{
    struct uses *u = arg;

    if (!service_has_codes(v, u->table))
        return true;
    if (u->worst == ERR_OK)
        u->worst = check_user(u, v);
    if (!slice_eq(u->last, v->resource->id)) {
        u->last = v->resource->id;
        act_touch(u->act, SNAPSHOT_RESOURCE, u->last);
    }
    return true;
}

/* What the data path holds of it, or made of it: a department may have to be activated anew, and its applications are
 * active while it is; the codes of a table are those of every published version that uses it. */
static enum err touch(struct api_request *q, struct act *a, const struct piece *p)
{
    struct uses u = { .q = q, .act = a, .table = p->manifest.id };

    if (p->manifest.kind == CATALOG_DEPARTMENT)
        return act_touch_apps(a, p->manifest.id);
    if (p->manifest.kind == CATALOG_APP)
        act_touch(a, SNAPSHOT_APP, p->manifest.id);
    if (p->manifest.kind == CATALOG_CODE_TABLE) {
        a->recode = true;
        snapshot_services(control_snapshot(q->control), touch_user, &u);
    }
    return u.worst;
}

static enum err record(struct api_request *q, struct act *a, const struct piece *p)
{
    static const char *const verbs[CATALOG_KINDS_] = { "department.apply", "app.apply",        "person.apply",
                                                       "resource.apply",   "code-table.apply", "policy.apply" };
    struct buf content = BUF_INIT(4096);
    enum err e;

    if (p->result == CATALOG_UNCHANGED)
        return ERR_OK;
    put_record_text(&content, p);
    e = content.failed == ERR_OK ? act_record(q, a, verbs[p->manifest.kind], p->manifest.id, buf_slice(&content))
                                 : content.failed;
    buf_done(&content);
    return e == ERR_OK ? touch(q, a, p) : e;
}

static bool is_ours(enum err e)
{
    return e == ERR_NOMEM || e == ERR_FULL || e == ERR_SYS || e == ERR_CORRUPT;
}

/* Errors of the manifest are noted and the next one is looked at; others end it. */
static enum err store_one(struct apply *ap, struct act *a, struct piece *p)
{
    struct api_request *q = ap->q;
    enum err e = ERR_OK;

    q->diags.file = p->file;
    if (checks[p->manifest.kind] != NULL)
        e = checks[p->manifest.kind](q, a, p->doc);
    ap->bad = ap->bad || e != ERR_OK || p->ill;
    if (e == ERR_OK && !ap->bad) {
        e = catalog_put(a->tx, &p->manifest, q->actor.id, control_now(q->control), &p->result, &p->version, &q->diags);
        ap->refused = ap->refused || e != ERR_OK;
    }
    if (!is_ours(e))
        e = ap->bad || ap->refused ? ERR_OK : record(q, a, p);
    q->diags.file = (struct slice){ 0 };
    ap->bad = ap->bad || e == ERR_INVALID;
    return e == ERR_INVALID ? ERR_OK : e;
}

static int by_order(const void *a, const void *b)
{
    return (int)((const struct piece *)a)->order - (int)((const struct piece *)b)->order;
}

static void put_answer(struct apply *ap, bool dry_run)
{
    static const char *const results[] = { "unchanged", "created", "changed" };
    struct json *j = &ap->q->json;

    qsort(ap->at, ap->n, sizeof *ap->at, by_order);
    json_open(j, '{');
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < ap->n; i++) {
        const struct piece *p = &ap->at[i];
        json_open(j, '{');
        json_pair(j, "file", p->file);
        json_pair(j, "kind", slice_of(catalog_kind_name(p->manifest.kind)));
        json_pair(j, "id", p->manifest.id);
        json_pair(j, "result", slice_of(results[p->result]));
        json_pair_u64(j, "version", p->version);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_pair_bool(j, "more", false);
    json_pair_bool(j, "dry_run", dry_run);
    json_close(j, '}');
}

static void store(struct apply *ap, bool dry_run)
{
    struct api_request *q = ap->q;
    struct act a;
    enum err e = ERR_OK;

    if (act_begin(q, &a, false) != ERR_OK)
        return;
    for (size_t i = 0; e == ERR_OK && i < ap->n; i++)
        e = store_one(ap, &a, &ap->at[i]);
    if (e != ERR_OK || ap->bad || ap->refused) {
        act_fail(q, &a, e != ERR_OK ? e : ERR_INVALID);
        return;
    }
    put_answer(ap, dry_run);
    if (dry_run) {
        act_cancel(&a);
        api_ok(q);
    } else {
        act_commit(q, &a);
    }
}

static void apply(struct api_request *q)
{
    struct apply_body body = { 0 };
    struct apply ap = { .q = q };
    enum err e;

    if (api_body(q, body_keys, &body) != ERR_OK)
        return;
    e = read_files(&ap, body.files);
    if (e == ERR_OK && ap.n == 0 && !ap.bad)
        e = diag_add(&q->diags, ERR_INVALID, 0, 0, "there is no document in these files", "这些文件中没有文档");
    if (e != ERR_OK) {
        api_error(q, e);
        return;
    }
    for (size_t i = 0; i < ap.n; i++)
        if (!(ap.at[i].ill && ap.at[i].manifest.kind == CATALOG_RESOURCE) && !may(q, &ap.at[i].manifest))
            return;
    qsort(ap.at, ap.n, sizeof *ap.at, by_rank);
    store(&ap, body.dry_run);
}

const struct api_route api_apply_routes[] = {
    { "POST", "apply", apply, ROLE_SYSTEM_ADMIN | ROLE_PROVIDER_OFFICER, false },
    { .method = NULL },
};
