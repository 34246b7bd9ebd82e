/* Trust as the settings say: anchors and revocation lists, loaded again when their files change, and our own list
 * renewed long before it runs out. */
#include "gateway/control_internal.h"
#include "gateway/retention.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
    ANCHORS_MAX = SETTINGS_ANCHORS + 1,
    CRL_HOURS = 48,
    RENEW_BEFORE_MS = 12 * 3600 * 1000,
    RENEW_PAUSE_MS = 3600 * 1000,
    ENROLLED_CAP = 1 << 30
};

/* A number that changes when any of the files does. */
static uint64_t stamp_of(const char *path)
{
    struct stat st;

    if (path == NULL || path[0] == '\0' || stat(path, &st) != 0)
        return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000000007 + (uint64_t)st.st_mtim.tv_nsec + st.st_ino * 31 +
           (uint64_t)st.st_size;
}

static size_t anchors_of(const struct settings *s, const char *domain, struct certs_anchor out[ANCHORS_MAX],
                         uint64_t *stamp)
{
    size_t n = 0;

    out[n++] = (struct certs_anchor){ s->tls.ca.p, s->tls.crl.p, domain, "", false, false };
    for (size_t i = 0; i < s->tls.n_anchors && n < ANCHORS_MAX; i++) {
        const struct settings_anchor *a = &s->tls.anchor[i];
        out[n++] = (struct certs_anchor){ a->ca.p,     a->crl.p ? a->crl.p : "",
                                          a->domain.p, a->departments.p ? a->departments.p : "",
                                          a->no_crl,   a->enrolled };
    }
    *stamp = 0;
    for (size_t i = 0; i < n; i++)
        *stamp = *stamp * 31 + stamp_of(out[i].ca_file) + 7 * stamp_of(out[i].crl_file);
    return n;
}

/* An act that widens holds when its record is durable: until then what was enrolled before, if anything was. False: it
 * is left out. */
static bool enrolled_now(struct control *c, struct certs_enrolled *one)
{
    const struct certs_enrolled *before;

    if (one->revoked || !act_enrols(c, &one->digest))
        return true;
    before = c->trust.trust ? certs_trust_enrolled(c->trust.trust, &one->digest) : NULL;
    if (before)
        *one = *before;
    return before != NULL;
}

static enum err enrolled_load(struct control *c, struct certs_trust *t, struct diags *d)
{
    struct certs_enrolled *all = NULL;
    struct sql_tx *tx = NULL;
    size_t n = 0, kept = 0;
    struct arena a;
    enum err e = sql_begin(c->sql, false, &tx, d);

    arena_init(&a, ENROLLED_CAP);
    if (e == ERR_OK)
        e = certs_enrolled_read(tx, &a, &all, &n);
    sql_rollback(tx);
    for (size_t i = 0; i < n; i++)
        if (enrolled_now(c, &all[i]))
            all[kept++] = all[i];
    if (e == ERR_OK)
        e = certs_trust_enrol(t, all, kept);
    if (e != ERR_OK)
        diag_add(d, e, 0, 0, "the enrolled certificates cannot be read", "无法读取已备案的证书");
    arena_done(&a);
    return e;
}

enum err control_trust_load(struct control *c, bool by_act, struct certs_trust **ret, struct diags *d)
{
    struct certs_anchor list[ANCHORS_MAX];
    unsigned faults = d->count;
    char domain[256];
    uint64_t stamp;
    size_t n;
    enum err e;

    snprintf(domain, sizeof domain, "%.*s", SLICE_ARG(c->settings->trust_domain));
    n = anchors_of(c->settings, domain, list, &stamp);
    if (*ret) {
        certs_trust_unref(*ret);
        *ret = NULL;
    }
    e = certs_trust_reload(list, n, c->trust.trust, by_act, ret, d);
    if (e != ERR_OK)
        return e;
    e = enrolled_load(c, *ret, d);
    if (e == ERR_OK) {
        c->trust_stamp = stamp;
        c->trust_lacks = d->count - faults;
        return ERR_OK;
    }
    certs_trust_unref(*ret);
    *ret = NULL;
    return e;
}

enum err control_crl_write(struct control *c, struct diags *d)
{
    struct sql_tx *tx = NULL;
    int64_t now = control_now(c);
    enum err e;

    if (c->ca == NULL)
        return diag_add(d, ERR_UNSUPPORTED, 0, 0, "the authority's key is not on this node", "本节点没有签发机构私钥");
    e = sql_begin(c->sql, true, &tx, d);
    if (e != ERR_OK)
        return e;
    e = certs_crl_write(c->ca, tx, CRL_HOURS, now, d);
    if (e == ERR_OK)
        e = sql_commit(tx, d);
    else
        sql_rollback(tx);
    if (e == ERR_OK)
        c->crl_written = now;
    return e;
}

/* One that was signed while the clock was ahead is of no use until then, and keeps out those who could mend it, too. */
static bool wants_renewal(const struct certs_trust *t, int64_t now)
{
    int64_t next = t ? certs_crl_next_update(t, true, NULL) : 0;

    return next == 0 || next - now <= RENEW_BEFORE_MS || certs_crl_ahead(t, now);
}

static void renew_list(struct control *c)
{
    int64_t now = control_now(c);
    enum err e;

    if (c->ca == NULL || !wants_renewal(c->trust.trust, now))
        return;
    if (c->crl_written != 0 && now >= c->crl_written && now - c->crl_written < RENEW_PAUSE_MS)
        return; /* the list that runs out is not ours */
    e = control_crl_write(c, NULL);
    log_event(e == ERR_OK ? LOG_INFO : LOG_ERROR, "crl-renewal", "result", err_name(e), NULL);
}

/* A file that could not be used is looked at each minute: a mode that is mended changes none of what stamp_of sees. */
static void reload_changed(struct control *c)
{
    struct certs_anchor list[ANCHORS_MAX];
    struct certs_trust *t = NULL;
    struct diags d;
    struct arena a;
    unsigned lacked = c->trust_lacks;
    uint64_t stamp;
    bool same;
    enum err e;

    anchors_of(c->settings, "", list, &stamp);
    same = stamp == c->trust_stamp;
    if (same && lacked == 0 && c->fault_of_trust == 0)
        return;
    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    e = control_trust_load(c, false, &t, &d);
    if (same && e == ERR_OK && d.count == lacked && d.count == c->fault_of_trust) { /* as it was published, and told */
        certs_trust_unref(t);
        arena_done(&a);
        return;
    }
    log_event(e == ERR_OK && d.count == 0 ? LOG_INFO : LOG_ERROR, "trust-reload", "result", err_name(e), "what",
              d.first ? d.first->what[LANG_EN] : "", NULL);
    if (d.count > 0 || c->fault_of_trust > 0)
        control_reload_found(c, &d);
    c->fault_of_trust = d.count;
    arena_done(&a);
    if (e == ERR_OK)
        act_publish_trust(c, t);
}

void control_minute(struct control *c)
{
    renew_list(c);
    reload_changed(c);
    act_flush_done(c);
    reserve_keep(c);
    providers_look(c, false);
    retention_look(c, false);
}
