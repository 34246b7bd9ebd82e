/* The set-up that the tests of the store share; see bench.h. */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

const struct policy_decision approves = { .act = POLICY_APPROVE };
const struct policy_actor wang = { .id = SLICE("education/wang"),
                                   .department = SLICE("education"),
                                   .consumer_officer = true };
const struct policy_actor zhao = { .id = SLICE("education/zhao"),
                                   .department = SLICE("education"),
                                   .consumer_officer = true };
const struct policy_actor zhang = { .id = SLICE("public-security/zhang"),
                                    .department = SLICE("public-security"),
                                    .provider_officer = true };
const struct policy_actor sun = { .id = SLICE("natural-resources/sun"),
                                  .department = SLICE("natural-resources"),
                                  .provider_officer = true };
const struct policy_actor li = { .id = SLICE("data-bureau/li"),
                                 .department = SLICE("data-bureau"),
                                 .bureau_approver = true };
const struct policy_actor chen = { .id = SLICE("public-security/chen"),
                                   .department = SLICE("public-security"),
                                   .consumer_officer = true };
const struct policy_actor qian = { .id = SLICE("public-security/qian"),
                                   .department = SLICE("public-security"),
                                   .provider_officer = true,
                                   .bureau_approver = true };
const struct policy_actor fa = { .id = SLICE("legal-affairs/fa"),
                                 .department = SLICE("legal-affairs"),
                                 .provider_officer = true };
const struct policy_actor hu = { .id = SLICE("legal-affairs/hu"),
                                 .department = SLICE("legal-affairs"),
                                 .consumer_officer = true };
const struct policy_actor ke = {
    .id = SLICE("education/ke"), .department = SLICE("education"), .provider_officer = true, .consumer_officer = true
};

int64_t bench_time(int day, int minute)
{
    int32_t days = 0;

    assert_true(clock_days(2026, 11, day, &days));
    return ((int64_t)days * 1440 + minute - 480) * 60000;
}

int bench_open_at(void **state, size_t version)
{
    struct bench *b = mem_zalloc(sizeof *b);

    if (b == NULL)
        return -1;
    snprintf(b->dir, sizeof b->dir, "/tmp/sluice-policies-XXXXXX");
    if (mkdtemp(b->dir) == NULL)
        return -1;
    snprintf(b->path, sizeof b->path, "%s/state.db", b->dir);
    clock_set_zone(480);
    arena_init(&b->a, (size_t)64 << 20);
    diags_init(&b->d, &b->a);
    if (sql_open(b->path, &b->sql, &b->d) != ERR_OK ||
        sql_migrate(b->sql, "policy", policy_migrations, version, &b->d) != ERR_OK ||
        sql_begin(b->sql, true, &b->tx, &b->d) != ERR_OK) {
        struct buf text = BUF_INIT(65536);
        diags_print(&b->d, LANG_EN, &text);
        print_error("%.*s", SLICE_ARG(buf_slice(&text)));
        buf_done(&text);
        return -1;
    }
    *state = b;
    return 0;
}

int bench_open(void **state)
{
    return bench_open_at(state, policy_migrations_n);
}

int bench_close(void **state)
{
    static const char *const tails[] = { "", "-wal", "-shm", "-journal", ".lock", ".before-policy-1" };
    struct bench *b = *state;
    char path[128];

    sql_rollback(b->tx);
    sql_close(b->sql);
    arena_done(&b->a);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(path, sizeof path, "%s%s", b->path, tails[i]);
        unlink(path);
    }
    rmdir(b->dir);
    mem_free(b);
    return 0;
}

struct policy_request bench_request(size_t n_wishes)
{
    static const struct policy_wish wishes[] = {
        { .resource = SLICE("public-security/household"),
          .provider = SLICE("public-security"),
          .resource_version = 1,
          .items = SLICE("id_no,name,relation"),
          .clear = SLICE("relation") },
        { .resource = SLICE("natural-resources/property"),
          .provider = SLICE("natural-resources"),
          .resource_version = 2,
          .items = SLICE("owner,status"),
          .clear = SLICE("") },
        { .resource = SLICE("public-security/residence"),
          .provider = SLICE("public-security"),
          .resource_version = 3,
          .items = SLICE("since"),
          .clear = SLICE("since") },
    };
    struct policy_request q = { .app = SLICE("education/admission"),
                                .department = SLICE("education"),
                                .purposes = SLICE("admission,transfer"),
                                .basis = SLICE("义务教育法第十二条"),
                                .scenario = SLICE("新生入学资格核查"),
                                .minute_from = 480,
                                .minute_to = 1080,
                                .weekdays = 0x1f,
                                .max_rows = 20,
                                .wishes = wishes,
                                .n_wishes = n_wishes };

    q.day_from = clock_day_of(bench_time(22, 0));
    q.day_to = q.day_from + 30;
    q.expires = bench_time(28, 0);
    return q;
}

struct slice bench_create(struct bench *b, const struct policy_request *q)
{
    struct slice id = { 0 };

    assert_int_equal(policy_request_create(b->tx, q, &wang, bench_time(22, 600), &b->a, &id, &b->d), ERR_OK);
    return id;
}

void bench_grant_all(struct bench *b, struct slice request)
{
    const struct policy_actor *const who[] = { &zhang, &sun, &li };

    for (size_t i = 0; i < 3; i++) {
        struct policy_decided done;
        enum reason why;
        enum err e =
            policy_decide_request(b->tx, request, &approves, who[i], bench_time(23, (int)i), &b->a, &done, &why, &b->d);
        assert_true(e == ERR_OK || (who[i] == &sun && e == ERR_DENIED));
    }
}
