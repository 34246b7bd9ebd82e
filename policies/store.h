#pragma once
/* policies, inside: what the files of the store share. Not for other folders. */
#include "policies/policies.h"

enum {
    POLICY_ITEMS_MAX = POLICY_ITEM_WORDS * 64,
    POLICY_TEXT_MAX = 1000, /* code points of basis, scenario and notes */
};

/* ---- names joined by ',' ---- */
/* The next of *rest, which moves on; false at the end. Empty names are given out as they stand. */
bool policy_name_next(struct slice *rest, struct slice *ret);
bool policy_names_have(struct slice names, struct slice name);
/* `more` behind `names` with a comma, in `a`; {NULL,0} when there is no memory. */
struct slice policy_names_join(struct arena *a, struct slice names, struct slice more);

/* ---- rows ---- */
/* Reads the columns of a row from left to right. With an arena texts are copied into it, without they are borrowed. */
struct policy_reader {
    const struct sql_row *row;
    struct arena *a;
    unsigned col;
    bool failed; /* no memory */
};
struct slice policy_read_text(struct policy_reader *r);
int64_t policy_read_int(struct policy_reader *r);

/* ---- ids and texts ---- */
/* The next id of a kind, a letter and a number: "r1", "r2", … and the number alone. *ret lives in `a`. */
enum err policy_id_next(struct sql_tx *tx, char letter, struct arena *a, int64_t *ret_number,
                        struct slice *ret) MUST_CHECK;
/* A note, basis or scenario: not blank unless `optional`, UTF-8, at most POLICY_TEXT_MAX code points, no identity
 * number (it goes on the record). `field` names it in the message. */
enum err policy_text_check(struct slice text, bool optional, const char *field, struct diags *d) MUST_CHECK;
/* All that is wrong with a request before it is stored. */
enum err policy_request_check(const struct policy_request *q, int64_t now, struct diags *d) MUST_CHECK;

/* ---- steps ---- */
/* Has the actor the role that this step is for? False for what is no step. */
bool policy_step_fits(const struct policy_approval *ap, const struct policy_actor *by);
/* "provider officer of finance", in the arena; "" when there is no memory. */
const char *policy_step_who(struct arena *a, const struct policy_approval *ap, enum lang lang);
/* The approvals of one part of a new request: the first waits, the others follow. */
enum err policy_approvals_make(struct sql_tx *tx, const struct policy_request *q, const struct policy_wish *w,
                               struct slice steps) MUST_CHECK;

/* ---- grants ---- */
/* One grant for one wish of a request that every step approved; approvers joined by ','. *ret_id lives in `a`. */
enum err policy_grant_born(struct sql_tx *tx, const struct policy_request *q, const struct policy_wish *w,
                           struct slice approvers, struct slice by, int64_t now, struct arena *a,
                           struct slice *ret_id) MUST_CHECK;
