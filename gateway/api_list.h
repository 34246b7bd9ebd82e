#pragma once
/* Lists of the administration API: {"items":[…],"more":bool}, cut by ?limit= (1..1000, default 1000) and ?offset=. */
#include "gateway/control.h"

struct api_list {
    struct api_request *q;
    struct json *j;
    uint64_t limit, offset, seen;
    bool more;
};
/* False: a parameter is malformed; it has been answered. */
bool api_list_begin(struct api_request *q, struct api_list *l) MUST_CHECK;
/* False: ?state= is none of the names, whose list ends with NULL; it has been answered. */
bool api_list_state(struct api_request *q, const char *const names[]) MUST_CHECK;
/* Is the next one shown? ERR_OK: write it. ERR_AGAIN: leave it out. ERR_CLOSED: the list is full, stop. */
enum err api_list_next(struct api_list *l) MUST_CHECK;
/* What a callback returns after api_list_next said `e` and nothing is to be written. */
static inline enum err api_list_skip(enum err e)
{
    return e == ERR_AGAIN ? ERR_OK : e;
}
/* Close the list and answer; `e` is what the reading returned. */
void api_list_end(struct api_list *l, enum err e);

/* Times as RFC 3339 text; 0 writes nothing. Dates of days. */
void api_put_time(struct json *j, const char *key, int64_t wall_ms);
void api_put_date(struct json *j, const char *key, int32_t days);
/* "a,b" as a list of strings; empty: an empty list. */
void api_put_names(struct json *j, const char *key, struct slice joined);
struct api_window { /* as requests and grants have it */
    int32_t day_from, day_to;
    int16_t minute_from, minute_to;
    uint8_t weekdays;
};
/* "window":{"from":…,"to":…,"hours":"08:00-18:00","weekdays":[1,2]}; whole days and every day are left out. */
void api_put_window(struct json *j, const struct api_window *w);
/* A grant as people and records see it: everything that says what, why, until when and by whom. */
void api_put_grant(struct json *j, const struct policy_grant_row *g, int64_t now);
void api_put_grant_members(struct json *j, const struct policy_grant_row *g, int64_t now);
struct policy_actor api_policy_actor(const struct api_request *q);
/* A list of strings joined by ','. */
struct slice api_join(struct arena *a, const struct doc_strs *s);
