/* tls.anchors: further authorities of clients' certificates. Each vouches for the names of one trust domain, or, an
 * outside authority, for certificates that are enrolled here by their digest; and for its departments only. */
#include "gateway/settings.h"

struct anchor_row {
    struct slice ca, crl, domain;
    struct doc_strs departments;
    bool no_crl, enrolled;
};
static const struct doc_key anchor_keys[] = {
    { "ca", DOC_K_STR, offsetof(struct anchor_row, ca), 1, 1024, .flags = DOC_REQUIRED,
      .help = { "file of the authority", "签发机构文件" } },
    { "crl", DOC_K_STR, offsetof(struct anchor_row, crl), 0, 1024, .help = { "its revocation lists", "吊销列表" } },
    { "domain", DOC_K_STR, offsetof(struct anchor_row, domain), 1, 255,
      .help = { "trust domain it vouches for", "所担保的信任域" } },
    { "enrolled", DOC_K_BOOL, offsetof(struct anchor_row, enrolled),
      .help = { "an outside authority: only certificates that sluice cert enrol has named",
                "外部机构：仅限经 sluice cert enrol 备案的证书" } },
    { "departments", DOC_K_STRS, offsetof(struct anchor_row, departments),
      .help = { "ids; none: all", "部门编号；缺省为全部" } },
    { "no_crl", DOC_K_BOOL, offsetof(struct anchor_row, no_crl),
      .help = { "it has no revocation list", "无吊销列表" } },
    { .name = NULL },
};

static enum err row_check(const struct anchor_row *row, const struct doc *node, struct diags *d)
{
    if (row->crl.n == 0 && !row->no_crl)
        return diag_add(d, ERR_INVALID, node->line, node->col, "name a crl, or say no_crl: true",
                        "请给出 crl，或注明 no_crl: true");
    if (row->enrolled == (row->domain.n > 0))
        return diag_add(d, ERR_INVALID, node->line, node->col,
                        "name the 'domain' it vouches for, or say enrolled: true, and not both",
                        "请给出其所担保的“domain”，或注明 enrolled: true，二者只能取一");
    return ERR_OK;
}

static enum err read_anchor(struct settings *s, const struct doc *node, struct slice folder, struct settings_anchor *to,
                            struct diags *d)
{
    struct anchor_row row = { 0 };
    struct buf list = BUF_INIT(8192);
    enum err e = doc_bind(node, anchor_keys, &row, &s->arena, d);

    if (e == ERR_OK)
        e = row_check(&row, node, d);
    if (e == ERR_OK)
        e = settings_path(s, folder, &row.ca);
    if (e == ERR_OK)
        e = settings_path(s, folder, &row.crl);
    for (size_t i = 0; i < row.departments.n; i++)
        buf_printf(&list, "%s%.*s", i ? "," : "", SLICE_ARG(row.departments.at[i]));
    if (e == ERR_OK)
        e = list.failed;
    *to = (struct settings_anchor){ slice_of(arena_str(&s->arena, row.ca)),
                                    slice_of(arena_str(&s->arena, row.crl)),
                                    slice_of(arena_str(&s->arena, row.enrolled ? s->trust_domain : row.domain)),
                                    slice_of(arena_str(&s->arena, buf_slice(&list))),
                                    row.no_crl,
                                    row.enrolled };
    buf_done(&list);
    return e;
}

/* Whose certificates a client is asked for: our own authority's, then each anchor's. */
static enum err name_authorities(struct settings *s)
{
    const char **files = arena_array(&s->arena, s->tls.n_anchors + 2, sizeof *files);

    if (files == NULL)
        return ERR_NOMEM;
    files[0] = s->tls.ca.p;
    for (size_t i = 0; i < s->tls.n_anchors; i++)
        files[i + 1] = s->tls.anchor[i].ca.p;
    files[s->tls.n_anchors + 1] = NULL;
    s->tls.authorities = files;
    return ERR_OK;
}

enum err settings_anchors_read(struct settings *s, struct slice folder, struct diags *d)
{
    const struct doc *list = s->tls.anchors;
    struct settings_anchor *at;
    enum err e = ERR_OK;

    if (list == NULL || list->count == 0)
        return name_authorities(s);
    if (list->count > SETTINGS_ANCHORS)
        return diag_add(d, ERR_INVALID, list->line, list->col, "at most 64 anchors", "信任机构至多 64 个");
    at = arena_array(&s->arena, list->count, sizeof *at);
    if (at == NULL)
        return ERR_NOMEM;
    DOC_EACH(node, list)
    {
        enum err e2 = read_anchor(s, node, folder, &at[s->tls.n_anchors], d);
        s->tls.n_anchors++;
        e = e == ERR_OK ? e2 : e;
    }
    s->tls.anchor = at;
    return e == ERR_OK ? name_authorities(s) : e;
}
