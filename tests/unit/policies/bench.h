#pragma once
/* A state of its own for each test of the store: a database file in a fresh folder, the schema, one write transaction,
 * the people of the story. Thread rule: tests are one thread. */
#include "policies/policies.h"

struct bench {
    char dir[64], path[96];
    struct sql *sql;
    struct sql_tx *tx;
    struct arena a;
    struct diags d;
};
int bench_open(void **state);                    /* cmocka set-up; *state is a struct bench */
int bench_open_at(void **state, size_t version); /* the same with the schema as it was */
int bench_close(void **state);                   /* rolls back and removes the folder */

/* Wall ms of a minute of a day of November 2026, in the zone +08:00. */
int64_t bench_time(int day, int minute);

extern const struct policy_decision approves; /* whatever waits, without a note */
extern const struct policy_actor wang;        /* education, consumer officer: the author */
extern const struct policy_actor zhao;        /* education, consumer officer: another one */
extern const struct policy_actor zhang;       /* public-security, provider officer */
extern const struct policy_actor sun;         /* natural-resources, provider officer */
extern const struct policy_actor li;          /* data-bureau, bureau approver */
extern const struct policy_actor chen;        /* public-security, without the role */
extern const struct policy_actor qian;        /* public-security's provider officer and a bureau approver */
extern const struct policy_actor fa;          /* legal-affairs, provider officer */
extern const struct policy_actor hu;          /* legal-affairs, consumer officer */
extern const struct policy_actor ke;          /* education, both kinds of officer */

/* The story's request: household and residence (public-security), property (natural-resources). n_wishes 1..3. */
struct policy_request bench_request(size_t n_wishes);
/* Creates it as wang; fails the test when it is refused. */
struct slice bench_create(struct bench *b, const struct policy_request *q);
/* zhang, sun and li approve all; the grants are g1, g2, g3. */
void bench_grant_all(struct bench *b, struct slice request);
