#pragma once
/* The compiled grant: what the data path holds, at most 400 bytes with its entries in the maps. One block, made by
 * policy_grant_compile, immutable, counted; any thread reads it. */
#include "base/core/core.h"

enum policy_state { POLICY_REVOKED /* zero refuses */, POLICY_ACTIVE, POLICY_SUSPENDED, POLICY_RETURNED };
enum { POLICY_ITEM_WORDS = 4, POLICY_PURPOSES_MAX = 16 };
struct policy_items {
    uint64_t bit[POLICY_ITEM_WORDS]; /* by position in the resource version's manifest */
};
/* One line of memory, and what the decision reads next behind it: items, application, resource, purposes; then the id.
 * So of a grant that no cache holds two or three lines are fetched. Read it through policy_grant_…() below. */
struct policy_grant {
    struct counted counted;
    uint32_t version, resource_version;
    int32_t day_from, day_to; /* whole days in the zone, both inclusive; after day_to the grant has expired */
    int64_t expires;          /* wall ms; the first moment it is no longer valid; 0: never (only day_to counts) */
    uint64_t max_rows;        /* 0: no limit */
    /* Of the day, [from, to); 0 to 0 or 1440: the whole day. from > to wraps midnight, and the part after midnight
     * counts to the weekday before it (dates stay calendar days). */
    int16_t minute_from, minute_to;
    uint8_t state; /* enum policy_state */
    uint8_t n_purposes;
    uint8_t weekdays;                                 /* bit 0 Monday … 6 Sunday; 0: every day */
    uint8_t words;                                    /* of items, and as many of clear: up to the last item's */
    uint16_t app_at, resource_at, purposes_at, id_at; /* bytes from the start of the struct; each ends with a NUL */
    uint64_t bit[];                                   /* words of items, words of clear, then the strings */
};
const char *policy_grant_id(const struct policy_grant *g); /* all bor: as long as g */
const char *policy_grant_app(const struct policy_grant *g);
const char *policy_grant_resource(const struct policy_grant *g);
const char *policy_grant_purpose(const struct policy_grant *g, unsigned i); /* i < n_purposes */
struct policy_items policy_grant_items(const struct policy_grant *g);
struct policy_items policy_grant_clear(const struct policy_grant *g); /* within items */
