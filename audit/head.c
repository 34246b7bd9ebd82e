/* Segment heads. Columns of the head proper, in order: origin, epoch, root, edge (largest subtree first), act,
 * open_total, open; of a continuation: continues (number of the part), open. An open intent is
 * "<exchange>/<part>/<bytes>". */
#include "audit/head.h"

enum { ORIGIN_CAP = 512, OPEN_ONE = 96, TAIL_ROOM = 16 };

static void put_edge(struct pen *w, const struct merkle *m)
{
    char mark = '[';
    for (int k = MERKLE_LEVELS - 1; k >= 0; k--) {
        if (!((m->size >> k) & 1))
            continue;
        pen_raw(w, slice_make(&mark, 1));
        mark = ',';
        pen_hex(w, &m->edge[k]);
    }
    if (mark == '[')
        pen_raw(w, SLICE("["));
    pen_raw(w, SLICE("]"));
}

static void put_one(struct pen *w, const struct openset_entry *e)
{
    char text[UUID_TEXT];
    uuid_text(e->exchange, text);
    pen_raw(w, SLICE("\""));
    pen_raw(w, slice_make(text, UUID_TEXT - 1));
    pen_raw(w, SLICE("/"));
    pen_u64(w, e->part);
    pen_raw(w, SLICE("/"));
    pen_u64(w, e->bytes);
    pen_raw(w, SLICE("\""));
}

static void put_open(struct pen *w, const struct openset *open, size_t *slot)
{
    pen_raw(w, SLICE(",\"open\":["));
    bool comma = false;
    while (w->end - w->p > OPEN_ONE + TAIL_ROOM) {
        const struct openset_entry *e = openset_each(open, slot);
        if (e == NULL)
            break;
        if (comma)
            pen_raw(w, SLICE(","));
        comma = true;
        put_one(w, e);
    }
    pen_raw(w, SLICE("]}\n"));
}

size_t head_render(const struct head *h, const struct openset *open, unsigned *part, size_t *slot, char *out)
{
    size_t look = *slot;
    if (*part > 0 && openset_each(open, &look) == NULL)
        return 0;
    struct pen w = { out, out + AUDIT_RECORD_MAX };
    pen_begin(&w, AUDIT_SEGMENT, h->at);
    if (*part == 0) {
        pen_raw(&w, SLICE(",\"origin\":"));
        pen_text(&w, h->origin, ORIGIN_CAP);
        pen_raw(&w, SLICE(",\"epoch\":"));
        pen_u64(&w, h->epoch);
        pen_raw(&w, SLICE(",\"root\":"));
        pen_hex(&w, &h->root);
        pen_raw(&w, SLICE(",\"edge\":"));
        put_edge(&w, &h->tree);
        pen_raw(&w, SLICE(",\"act\":"));
        pen_u64(&w, h->act);
        pen_raw(&w, SLICE(",\"open_total\":"));
        pen_u64(&w, open->count);
    } else {
        pen_raw(&w, SLICE(",\"continues\":"));
        pen_u64(&w, *part);
    }
    put_open(&w, open, slot);
    ++*part;
    return (size_t)(w.p - out);
}

static bool read_hash(struct slice value, struct sha256 *ret)
{
    struct slice hex;
    return logline_plain(value, &hex) && hex_read(hex, ret->b, sizeof ret->b);
}

static bool read_edge(struct slice value, struct merkle *m)
{
    struct logline_iter it = { .object = value };
    struct slice one;
    for (int k = MERKLE_LEVELS - 1; k >= 0; k--) {
        if (((m->size >> k) & 1) && (!logline_element(&it, &one) || !read_hash(one, &m->edge[k])))
            return false;
    }
    return !logline_element(&it, &one);
}

bool head_is_first(struct slice line)
{
    struct slice v;
    return logline_field(line, "open_total", &v);
}

enum err head_read(struct slice line, uint64_t index, struct head *ret)
{
    enum audit_kind k;
    struct slice origin, root, edge;
    uint64_t epoch;
    *ret = (struct head){ .tree.size = index };
    if (!logline_kind(line, &k) || k != AUDIT_SEGMENT || !logline_field(line, "origin", &origin) ||
        !logline_plain(origin, &ret->origin) || !logline_u64(line, "epoch", &epoch) || epoch > UINT32_MAX ||
        !logline_field(line, "root", &root) || !read_hash(root, &ret->root) || !logline_field(line, "edge", &edge) ||
        !read_edge(edge, &ret->tree) || !logline_u64(line, "act", &ret->act) ||
        !logline_u64(line, "open_total", &ret->open_total))
        return ERR_CORRUPT;
    ret->epoch = (uint32_t)epoch;
    return ERR_OK;
}

enum err head_open(struct slice line, struct openset *open, uint64_t *count)
{
    struct slice list, one;
    if (!logline_field(line, "open", &list))
        return ERR_CORRUPT;
    struct logline_iter it = { .object = list };
    while (logline_element(&it, &one)) {
        struct uuid x;
        uint64_t part, bytes;
        if (!logline_plain(one, &one))
            return ERR_CORRUPT;
        struct slice id = slice_cut(&one, '/'), mid = slice_cut(&one, '/');
        if (!uuid_read(id, &x) || !slice_u64(mid, 0, UINT32_MAX, &part) || !slice_u64(one, 0, UINT64_MAX, &bytes))
            return ERR_CORRUPT;
        enum err e = openset_reserve(open, 1);
        if (e != ERR_OK)
            return e;
        openset_add(open, x, (uint32_t)part, bytes);
        ++*count;
    }
    return ERR_OK;
}
