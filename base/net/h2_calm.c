/* How much noise a peer may make: frames that carry nothing of a message are paid from a budget that refills with time
 * and with content (CVE-2019-9511 and its kin, CVE-2023-44487). Invariant: 0 <= left <= limit, but for the one that
 * went below. */
#include "base/net/h2.h"

enum {
    CONTENT_PAYS = 256, /* bytes of content pay for one frame */
    DATA_FREE = 64,     /* a DATA frame of so much costs nothing */
    FRAME_HEAD = 9
};

static void cap(struct h2_budget *b, uint32_t limit)
{
    if (b->left > (int32_t)limit)
        b->left = (int32_t)limit;
}

bool h2_spend(struct h2_budget *b, uint32_t limit, int32_t cost, int64_t now)
{
    int64_t earned = b->at ? (now - b->at) * (int64_t)limit / H2_INTERVAL_MS : (int64_t)limit;

    /* A rest of time too short for one frame is kept for the next look. */
    if (earned > 0) {
        b->left = earned > (int64_t)limit ? (int32_t)limit : b->left + (int32_t)earned;
        b->at = now;
        cap(b, limit);
    }
    b->left -= cost;
    return b->left >= 0;
}

void h2_earn(struct h2_budget *b, uint32_t limit, size_t content)
{
    b->left += (int32_t)(content / CONTENT_PAYS > limit ? limit : content / CONTENT_PAYS);
    cap(b, limit);
}

/* A frame begins (RFC 9113 section 4.1). nghttp2 does not show those of unknown types, so it is not asked. */
static void frame_begins(struct h2 *h)
{
    const uint8_t *p = h->frame.head;
    uint8_t type = p[3];

    h->frame.left = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    h->frame.have = 0;
    h->frame.continuations = type == NGHTTP2_CONTINUATION ? h->frame.continuations + 1 : 0;
    if (h->frame.continuations > H2_CONTINUATIONS)
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_REQUEST_TOO_LARGE, "a header list in too many frames");
    else if ((type != NGHTTP2_DATA || h->frame.left < DATA_FREE || p[4] & NGHTTP2_FLAG_PADDED) &&
             !h2_spend(&h->frames, h->conn->limits.frames, 1, loop_now(h->conn->loop)))
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_RATE_LIMITED, "too many HTTP/2 frames that carry nothing");
}

bool h2_weigh(struct h2 *h, struct slice in)
{
    while (in.n > 0 && !h->over) {
        size_t n = h->frame.left;
        if (n == 0) {
            h->frame.head[h->frame.have++] = (uint8_t)*in.p;
            n = 1;
            if (h->frame.have == FRAME_HEAD)
                frame_begins(h);
        } else {
            n = n < in.n ? n : in.n;
            h->frame.left -= (uint32_t)n;
        }
        in = slice_sub(in, n, in.n);
    }
    return !h->over;
}
