/* The table of reasons from reason.def. Invariant: REASON_INTERNAL is 0, so that a forgotten reason is a failure of
 * ours, never a permission. Constant data; any thread. */
#include "base/core/reason.h"

static const struct reason_info infos[REASON_COUNT_] = {
#define X(sym, code_, status_, hop_, reached_, title_en, title_zh, remedy_en, remedy_zh)                               \
    { code_, status_, HOP_##hop_, REACHED_##reached_, { title_en, title_zh }, { remedy_en, remedy_zh } },
#include "base/core/reason.def"
#undef X
};
_Static_assert(REASON_INTERNAL == 0, "zero must be a failure");

const struct reason_info *reason_info(enum reason r)
{
    return &infos[(unsigned)r < REASON_COUNT_ ? r : REASON_INTERNAL];
}

const char *hop_name(enum hop h)
{
    static const char *const names[] = { "consumer", "gateway", "provider" };

    return (unsigned)h < 3 ? names[h] : names[HOP_GATEWAY];
}

const char *reached_name(enum reached r)
{
    static const char *const names[] = { "no", "yes", "unknown" };

    return (unsigned)r < 3 ? names[r] : names[REACHED_UNKNOWN];
}

bool reason_by_code(struct slice code, enum reason *ret)
{
    for (unsigned i = 0; i < REASON_COUNT_; i++)
        if (slice_is(code, infos[i].code)) {
            *ret = (enum reason)i;
            return true;
        }
    return false;
}
