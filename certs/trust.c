/* certs/trust: anchors with the authorities under them, each bound to what it may vouch for, and what is enrolled.
 * Invariants: once loaded nothing changes but the count, so any thread reads without a lock; every authority is a CA
 * with a key of today's size, and hangs from the one anchor of its file; a vouch names a valid domain. */
#include <openssl/err.h>
#include <stdlib.h>
#include "certs/internal.h"

enum { TRUST_MEM_MAX = 1 << 30 };

static enum err no_memory(struct diags *d)
{
    return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
}

const struct certs_authority *certs_authority_find(const struct certs_trust *t, const struct sha256 *digest)
{
    const struct certs_authority *a = t->authorities;

    while (a && memcmp(a->digest.b, digest->b, sizeof digest->b) != 0)
        a = a->next;
    return a;
}

static bool departments_have(struct slice list, struct slice id)
{
    while (list.n > 0)
        if (slice_eq(slice_cut(&list, ','), id))
            return true;
    return false;
}

const struct certs_vouch *certs_vouch_find(const struct certs_trust *t, const struct sha256 *root,
                                           const struct certs_name *name, bool enrolled)
{
    for (const struct certs_vouch *v = t->vouches; v; v = v->next) {
        if (v->enrolled != enrolled || memcmp(v->anchor->digest.b, root->b, sizeof root->b) != 0 ||
            !slice_eq(v->domain, name->domain))
            continue;
        /* A gateway belongs to no department: an anchor bound to some cannot name it. */
        if (v->departments.n == 0 || departments_have(v->departments, name->department))
            return v;
    }
    return NULL;
}

bool certs_root_enrols(const struct certs_trust *t, const struct sha256 *root)
{
    for (const struct certs_vouch *v = t->vouches; v; v = v->next)
        if (v->enrolled && memcmp(v->anchor->digest.b, root->b, sizeof root->b) == 0)
            return true;
    return false;
}

/* ---- what is enrolled ---- */

static int enrolled_cmp(const void *a, const void *b)
{
    const struct certs_enrolled *x = a, *y = b;

    return memcmp(x->digest.b, y->digest.b, sizeof x->digest.b);
}

const struct certs_enrolled *certs_trust_enrolled(const struct certs_trust *t, const struct sha256 *digest)
{
    const struct certs_enrolled key = { .digest = *digest };

    return t->n_enrolled == 0 ? NULL : bsearch(&key, t->enrolled, t->n_enrolled, sizeof key, enrolled_cmp);
}

enum err certs_trust_enrol(struct certs_trust *t, const struct certs_enrolled *all, size_t n)
{
    struct certs_enrolled *list = n > 0 ? arena_array(&t->arena, n, sizeof *list) : NULL;

    if (n == 0)
        return ERR_OK;
    if (list == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        list[i] = all[i];
        list[i].uri = arena_dup(&t->arena, all[i].uri);
        if (list[i].uri.p == NULL)
            return ERR_NOMEM;
    }
    qsort(list, n, sizeof *list, enrolled_cmp);
    for (size_t i = 1; i < n; i++)
        if (enrolled_cmp(&list[i - 1], &list[i]) == 0)
            return ERR_CONFLICT;
    t->enrolled = list;
    t->n_enrolled = n;
    return ERR_OK;
}

/* ---- loading ---- */

static enum err anchor_check(const struct certs_anchor *from, struct diags *d)
{
    struct slice departments = slice_of(from->departments);

    if (!certs_domain_valid(slice_of(from->domain)))
        return diag_add(d, ERR_INVALID, 0, 0, "'%s' is no trust domain", "“%s”不是合法信任域", from->domain);
    if (departments.n > 0 && departments.p[departments.n - 1] == ',')
        return diag_add(d, ERR_INVALID, 0, 0, "a department is missing behind the last comma",
                        "最后一个逗号后缺少部门");
    while (departments.n > 0) {
        struct slice one = slice_cut(&departments, ',');

        if (!ident_valid(one))
            return diag_add(d, ERR_INVALID, 0, 0, "'%.*s' is no department's id", "“%.*s”不是合法的部门代号",
                            SLICE_ARG(one));
    }
    if (from->no_crl == (from->crl_file && from->crl_file[0]))
        return diag_add(d, ERR_INVALID, 0, 0, "%s: name its revocation list, or say that it has none, and not both",
                        "%s：请指明其吊销列表，或声明没有吊销列表，二者只能取一", from->ca_file);
    return ERR_OK;
}

/* Is some member of `all` the issuer of `x`, by name and by signature? */
static bool issued_among(X509 *x, STACK_OF(X509) * all)
{
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *by = sk_X509_value(all, i);

        if (by != x && X509_check_issued(by, x) == X509_V_OK && X509_verify(x, X509_get0_pubkey(by)) == 1)
            return true;
    }
    return false;
}

/* *anchor gets the one member that signed itself. */
static enum err family_check(STACK_OF(X509) * all, const char *path, X509 **anchor, struct diags *d)
{
    struct certs_serial serial;
    int selves = 0;

    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *x = sk_X509_value(all, i);

        if (X509_check_ca(x) != 1 || !certs_key_ok(X509_get0_pubkey(x)) ||
            !certs_serial_read(X509_get0_serialNumber(x), &serial))
            return diag_add(d, ERR_INVALID, 0, 0,
                            "certificate %d in %s is no CA with a key of P-256, P-384, Ed25519 or RSA from 2048 bits",
                            "第 %d 张证书（%s）不是合规的 CA 证书（P-256、P-384、Ed25519 或 2048 位以上 RSA）", i + 1,
                            path);
        if (X509_self_signed(x, 1) == 1) {
            *anchor = x;
            selves++;
        } else if (!issued_among(x, all)) {
            return diag_add(d, ERR_INVALID, 0, 0, "certificate %d in %s is signed by none of its others",
                            "第 %d 张证书（%s）不是由该文件中的其他证书签发", i + 1, path);
        }
    }
    if (selves != 1)
        return diag_add(d, ERR_INVALID, 0, 0, "%s must hold exactly one anchor (a self-signed CA), and holds %d",
                        "%s 须恰好含一个信任锚（自签 CA），现有 %d 个", path, selves);
    return ERR_OK;
}

/* Adds it unless it is there; *ret gets the authority. */
static enum err authority_add(struct certs_trust *t, X509 *x, const char *file, const struct certs_authority **ret,
                              struct diags *d)
{
    struct sha256 digest;
    struct certs_authority *a;

    if (!certs_digest(x, &digest))
        return no_memory(d);
    *ret = certs_authority_find(t, &digest);
    if (*ret)
        return ERR_OK;
    a = arena_zalloc(&t->arena, sizeof *a);
    if (a == NULL || (a->file = arena_dup(&t->arena, slice_of(file))).p == NULL || !X509_STORE_add_cert(t->store, x))
        return no_memory(d);
    a->digest = digest;
    certs_serial_read(X509_get0_serialNumber(x), &a->serial); /* checked with the family */
    X509_up_ref(x);
    a->cert = x;
    a->next = t->authorities;
    t->authorities = a;
    *ret = a;
    return ERR_OK;
}

static enum err vouch_add(struct certs_trust *t, const struct certs_anchor *from, const struct certs_authority *anchor,
                          struct diags *d)
{
    struct certs_vouch *v = arena_zalloc(&t->arena, sizeof *v);
    struct slice departments = slice_of(from->departments);

    if (v == NULL)
        return no_memory(d);
    v->anchor = anchor;
    v->no_crl = from->no_crl;
    v->enrolled = from->enrolled;
    v->domain = arena_dup(&t->arena, slice_of(from->domain));
    v->departments = arena_dup(&t->arena, departments);
    v->file = arena_dup(&t->arena, slice_of(from->ca_file));
    if (v->domain.p == NULL || v->file.p == NULL || v->departments.n != departments.n)
        return no_memory(d);
    *t->vouches_tail = v;
    t->vouches_tail = &v->next;
    return ERR_OK;
}

static enum err anchor_load(struct certs_trust *t, const struct certs_anchor *from, struct diags *d)
{
    const struct certs_authority *anchor = NULL, *one = NULL;
    STACK_OF(X509) *all = NULL;
    X509 *self = NULL;
    enum err e = certs_pem_read(from->ca_file, &all, d);

    if (e == ERR_OK)
        e = family_check(all, from->ca_file, &self, d);
    for (int i = 0; e == ERR_OK && i < sk_X509_num(all); i++) {
        e = authority_add(t, sk_X509_value(all, i), from->ca_file, &one, d);
        if (sk_X509_value(all, i) == self)
            anchor = one;
    }
    if (e == ERR_OK)
        e = vouch_add(t, from, anchor, d);
    sk_X509_pop_free(all, X509_free);
    return e;
}

static struct certs_trust *trust_new(void)
{
    struct certs_trust *t = mem_zalloc(sizeof *t);

    if (t == NULL)
        return NULL;
    atomic_init(&t->refs, 1);
    arena_init(&t->arena, TRUST_MEM_MAX);
    t->vouches_tail = &t->vouches;
    t->store = X509_STORE_new();
    if (t->store && X509_STORE_set_flags(t->store, X509_V_FLAG_X509_STRICT) &&
        X509_STORE_set_purpose(t->store, X509_PURPOSE_SSL_CLIENT) &&
        X509_STORE_set_depth(t->store, CERTS_DEPTH_MAX - 1)) /* OpenSSL counts what is between leaf and anchor */
        return t;
    certs_trust_unref(t);
    return NULL;
}

static void updates_find(struct certs_trust *t)
{
    for (const struct certs_authority *a = t->authorities; a; a = a->next) {
        if (a->list && a->list->this_update > t->this_update)
            t->this_update = a->list->this_update;
    }
}

/* Every anchor is tried, so that a person sees all that is wrong at once; the first failure is the result. */
enum err certs_trust_load(const struct certs_anchor *anchors, size_t n, struct certs_trust **ret, struct diags *d)
{
    struct certs_trust *t = trust_new();
    enum err first = ERR_OK, e;

    if (t == NULL)
        return no_memory(d);
    for (size_t i = 0; i < n; i++) {
        e = anchor_check(&anchors[i], d);
        if (e == ERR_OK)
            e = anchor_load(t, &anchors[i], d);
        first = first == ERR_OK ? e : first;
    }
    for (size_t i = 0; i < n && first == ERR_OK; i++)
        if (!anchors[i].no_crl)
            first = certs_lists_load(t, anchors[i].crl_file, d);
    ERR_clear_error();
    if (first != ERR_OK) {
        certs_trust_unref(t);
        return first;
    }
    updates_find(t);
    *ret = t;
    return ERR_OK;
}

/* The anchor as `before` had it from this file, with all that hangs from it; ERR_OK without one. */
static enum err anchor_keep(struct certs_trust *t, const struct certs_anchor *from, const struct certs_trust *before,
                            struct diags *d)
{
    const struct certs_authority *anchor = NULL, *one = NULL;
    const struct certs_vouch *v = before ? before->vouches : NULL;
    enum err e = ERR_OK;

    while (v && !slice_is(v->file, from->ca_file))
        v = v->next;
    if (v == NULL)
        return ERR_OK;
    for (const struct certs_authority *a = before->authorities; e == ERR_OK && a; a = a->next)
        if (slice_is(a->file, from->ca_file) || a == v->anchor) {
            e = authority_add(t, a->cert, from->ca_file, &one, d);
            anchor = a == v->anchor ? one : anchor;
        }
    return e == ERR_OK ? vouch_add(t, from, anchor, d) : e;
}

static enum err lists_keep(struct certs_trust *t, const char *file, const struct certs_trust *before, struct diags *d)
{
    for (struct certs_authority *a = t->authorities; a; a = a->next) {
        const struct certs_authority *was =
            before && a->list == NULL && slice_is(a->file, file) ? certs_authority_find(before, &a->digest) : NULL;
        struct certs_list *list = was && was->list ? arena_zalloc(&t->arena, sizeof *list) : NULL;
        if (was == NULL || was->list == NULL)
            continue;
        if (list == NULL)
            return no_memory(d);
        *list = *was->list;
        list->serials = list->n > 0 ? arena_array(&t->arena, list->n, sizeof *list->serials) : NULL;
        if (list->n > 0 && list->serials == NULL)
            return no_memory(d);
        if (list->n > 0)
            memcpy(list->serials, was->list->serials, list->n * sizeof *list->serials);
        a->list = list;
    }
    return ERR_OK;
}

/* What is wrong with what is said of an anchor is no file's fault: it refuses the whole. */
static enum err reload_all(struct certs_trust *t, const struct certs_anchor *anchors, size_t n,
                           const struct certs_trust *before, bool own_list_too, struct diags *d)
{
    enum err e = ERR_OK;

    for (size_t i = 0; i < n && e == ERR_OK; i++) {
        e = anchor_check(&anchors[i], d);
        if (e != ERR_OK)
            break;
        e = anchor_load(t, &anchors[i], d);
        if (i > 0 && e != ERR_OK && e != ERR_NOMEM)
            e = anchor_keep(t, &anchors[i], before, d);
    }
    for (size_t i = 0; i < n && e == ERR_OK; i++) {
        if (anchors[i].no_crl)
            continue;
        e = certs_lists_load(t, anchors[i].crl_file, d);
        if ((i > 0 || own_list_too) && e != ERR_OK && e != ERR_NOMEM)
            e = lists_keep(t, anchors[i].ca_file, before, d);
    }
    return e;
}

enum err certs_trust_reload(const struct certs_anchor *anchors, size_t n, const struct certs_trust *before,
                            bool own_list_too, struct certs_trust **ret, struct diags *d)
{
    struct certs_trust *t = trust_new();
    enum err e = t ? reload_all(t, anchors, n, before, own_list_too, d) : no_memory(d);

    ERR_clear_error();
    if (e != ERR_OK) {
        certs_trust_unref(t);
        return e;
    }
    updates_find(t);
    *ret = t;
    return ERR_OK;
}

/* ---- life ---- */

struct certs_trust *certs_trust_ref(struct certs_trust *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void certs_trust_unref(struct certs_trust *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (struct certs_authority *a = t->authorities; a; a = a->next)
        X509_free(a->cert);
    X509_STORE_free(t->store);
    arena_done(&t->arena);
    mem_free(t);
}

/* Of the lists of the first anchor's file, which is our own authority's, or of all others; *file (if wanted) is the
 * file of the authority whose list it is. */
int64_t certs_crl_next_update(const struct certs_trust *t, bool ours, struct slice *file)
{
    int64_t next = 0;

    for (const struct certs_authority *a = t->authorities; a && t->vouches; a = a->next) {
        if (a->list == NULL || slice_eq(a->file, t->vouches->file) != ours ||
            (next != 0 && a->list->next_update >= next))
            continue;
        next = a->list->next_update;
        if (file)
            *file = a->file;
    }
    return next;
}

bool certs_crl_ahead(const struct certs_trust *t, int64_t now)
{
    return now < t->this_update - CERTS_LEEWAY_MS;
}
