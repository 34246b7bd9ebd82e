/* Acts and trust on their way into the snapshot while memory is short: what could not be made is made later, and what
 * came between is not undone. */
#include "tests/unit/gateway/control_world.h"
#include "tests/unit/until.h"
#include "gateway/act_job.h"

#include <stdio.h>

enum { MANY = 10000 };

/* *ret_all: the nth allocation was never made. */
static enum err reload_with(struct node *n, const struct snapshot_source *from, size_t nth, bool *ret_all)
{
    const struct slice id = SLICE("public-security/household");
    struct snapshot *s = snapshot_next(n->control->snapshot);
    struct diags d;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    assert_non_null(s);
    assert_int_equal(smap_put(&s->resources, id, NULL), ERR_OK);
    mem_fail_nth(nth);
    e = snapshot_reload(s, SNAPSHOT_RESOURCE, id, from, &d);
    *ret_all = mem_fail_nth(0) < nth;
    if (e == ERR_OK) {
        assert_non_null(snapshot_resource(s, id));
        assert_int_equal(snapshot_resource(s, id)->latest, 1);
    } else {
        assert_int_equal(e, ERR_NOMEM);
    }
    snapshot_unref(s);
    arena_done(&a);
    return e;
}

/* A version that cannot be loaded for want of memory makes the whole try fail, which is tried again; left out, it would
 * be away until the resource is touched the next time. */
static void a_version_that_memory_lacked_for_is_not_left_out(void **state)
{
    struct node *n = *state;
    struct snapshot_source from = { .world = &n->control->world, .now = control_now(n->control) };
    size_t nth = 0, failed = 0;
    bool all = false;

    node_story(n);
    assert_int_equal(sql_begin(n->control->sql, false, &from.tx, &n->d), ERR_OK);
    while (!all && nth < MANY)
        failed += reload_with(n, &from, ++nth, &all) != ERR_OK;
    sql_rollback(from.tx);
    assert_true(all && failed > 5);
}

/* The trust of a reload that waits for memory was loaded before a revocation that held meanwhile. */
static void a_later_try_undoes_no_revocation(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    struct act_job *waits;
    const char *serial;

    node_story(n);
    serial = node_certify_consumer(n);
    for (size_t nth = 1; c->jobs == NULL; nth++) {
        assert_true(nth < MANY);
        mem_fail_nth(nth);
        act_publish_trust(c, certs_trust_ref(c->trust.trust));
        mem_fail_nth(0);
    }
    waits = c->jobs; /* as if each try until the revocation failed, too */
    c->jobs = NULL;
    c->jobs_tail = &c->jobs;
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 200);
    assert_int_equal(
        ask(n, WHO_SECURITY, "POST", arena_printf(&n->a, "certs/%s/revoke", serial), "{\"reason\":\"lost\"}"), 200);
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
    job_start(waits);
    assert_null(c->jobs);
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
}

/* Not even that much memory: the next minute finds it. */
static void trust_that_memory_lacked_for_comes_within_a_minute(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    uint64_t before = c->snapshot->trust_generation;

    mem_fail_nth(1);
    act_publish_trust(c, certs_trust_ref(c->trust.trust));
    mem_fail_nth(0);
    assert_null(c->jobs);
    assert_int_equal(c->snapshot->trust_generation, before);
    control_minute(c);
    assert_int_equal(c->snapshot->trust_generation, before + 1);
}

/* ---- others that wait ---- */
/* An act whose record the log has taken and not answered for. */
static struct act_job *undurable(struct node *n)
{
    struct act_job *j = job_new(n->control);

    assert_non_null(j);
    assert_int_equal(job_add_line(j, 0, 0), ERR_OK);
    j->line[0].state = LINE_PUT;
    return j;
}

static void make_durable(struct node *n, struct act_job *j)
{
    j->line[0].state = LINE_DURABLE;
    job_pump(n->control);
    assert_null(n->control->jobs);
}

/* While an older act waits for its record, the list of a revocation that holds is tried again all the same. */
static void a_list_is_written_while_others_wait(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    struct act_job *waits, *revokes;

    node_story(n);
    waits = undurable(n);
    revokes = job_new(c);
    assert_non_null(revokes);
    job_start(waits);
    revokes->narrows = revokes->published = revokes->write_crl = true; /* as if its first try had found no room */
    c->crl_written = 0;
    job_start(revokes);
    assert_int_equal(act_pending(c), 1);
    assert_true(c->crl_written > 0);
    make_durable(n, waits);
}

/* Nobody is narrowed by a resource that is made anew: tried again, it shows nothing whose record is not durable. */
static void a_renewal_shows_nothing_before_its_record(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    struct act_job *renewal, *later;

    node_story(n);
    renewal = job_new(c);
    later = undurable(n);
    assert_non_null(renewal);
    renewal->narrows = renewal->renew = true;
    assert_int_equal(job_add_touch(renewal, SNAPSHOT_RESOURCE, SLICE("public-security/household")), ERR_OK);
    assert_int_equal(job_add_touch(later, SNAPSHOT_RESOURCE, SLICE("public-security/household")), ERR_OK);
    c->jobs = renewal; /* as if its first try had found no memory, and the act came then */
    renewal->next = later;
    c->jobs_tail = &later->next;
    job_pump(c);
    assert_ptr_equal(c->jobs, renewal);
    assert_false(renewal->published);
    make_durable(n, later);
}

/* ---- what an act's record says ---- */
static enum err keep_line(void *arg, const struct sql_row *row)
{
    *(char **)arg = mem_dup(sql_text(row, 0));
    return ERR_OK;
}

/* The newest act's record has the digest of the table as it is stored. */
static void check_digest(struct node *n)
{
    struct catalog_entry e;
    struct buf hex = BUF_INIT(128);
    struct sql_tx *tx;
    char *line = NULL;

    assert_int_equal(sql_begin(n->control->sql, false, &tx, &n->d), ERR_OK);
    assert_int_equal(catalog_find(tx, CATALOG_CODE_TABLE, SLICE("t0"), 0, &n->a, &e), ERR_OK);
    assert_int_equal(sql_one(tx, "SELECT line FROM audit_outbox ORDER BY act DESC LIMIT 1", NULL, 0, keep_line, &line),
                     ERR_OK);
    sql_rollback(tx);
    struct sha256 h = sha256_of(e.json);
    hex_put(&hex, slice_make(h.b, sizeof h.b));
    buf_putc(&hex, '\0');
    bool there = line != NULL && hex.failed == ERR_OK && strstr(line, hex.p) != NULL;
    mem_free(line);
    buf_done(&hex);
    assert_true(there);
}

/* The log's threads allocate too: where one found no memory, the log is away for a moment and no act is taken. */
static bool log_is_there(const struct node *n)
{
    struct audit_status s;

    audit_status(n->log, &s);
    return s.available;
}

static void a_record_never_has_the_digest_of_a_part(void **state)
{
    static const char form[] =
        "{\"files\":[{\"name\":\"t.yaml\",\"text\":\"{kind: CodeTable, id: t0, title: %zu, codes: "
        "[{code: '1', title: one}]}\"}]}";
    struct node *n = *state;
    bool all = false;
    size_t done = 0;

    for (size_t nth = 1; !all; nth++) {
        const char *body = arena_printf(&n->a, form, nth);
        assert_true(nth < MANY && body != NULL);
        UNTIL(log_is_there(n));
        mem_fail_nth(nth);
        int status = ask(n, WHO_SYSTEM, "POST", "apply", body);
        all = mem_fail_nth(0) < nth && status == 200;
        done += status == 200;
        if (status == 200)
            check_digest(n);
    }
    assert_true(done > 1); /* some with short memory, too */
}

/* ---- code tables that grow ---- */
enum { CODED_ITEMS = 8, CODES = 20000 };

static void put_item(struct buf *yaml, const char *name, const char *more)
{
    buf_printf(yaml, "  - {name: %s, title: %s, type: C%s}\n", name, name, more);
}

/* A resource that is called, all of whose items but one have codes, each of another table when `apart`. */
static const char *coded_resource(struct node *n, bool apart)
{
    struct buf yaml = BUF_INIT(1 << 16);
    char name[16], codes[32];

    buf_puts(&yaml, "kind: Resource\nid: public-security/coded\ncode: 101002/1\ntitle: 代码\nabstract: 代码\n"
                    "class: base/population\nformat: {class: interface, type: json}\n"
                    "share: {type: conditional, condition: 法定事项核查, mode: interface}\nopen: none\n"
                    "update: daily\ncontact: {person: public-security/zhang, phone: 0543-0000000}\nitems:\n");
    for (int i = 0; i < CODED_ITEMS; i++) {
        snprintf(name, sizeof name, "c%d", i);
        snprintf(codes, sizeof codes, ", codes: t%d", apart ? i : 0);
        put_item(&yaml, name, codes);
    }
    buf_puts(&yaml, "connector: {kind: http, endpoint: 'http://127.0.0.1:1/', tls: {mode: none, reason: test}}\n"
                    "request: {safe: true}\nresponse:\n  records: /rows\n  map: {");
    for (int i = 0; i < CODED_ITEMS; i++)
        buf_printf(&yaml, "%sc%d: c%d", i > 0 ? ", " : "", i, i);
    buf_puts(&yaml, "}\n");
    buf_putc(&yaml, '\0');
    const char *text = arena_str(&n->a, slice_of(yaml.p));
    buf_done(&yaml);
    assert_non_null(text);
    return text;
}

static const char *code_table(struct node *n, int i, int codes)
{
    struct buf json = BUF_INIT(4 << 20);

    buf_printf(&json, "{\"kind\":\"CodeTable\",\"id\":\"t%d\",\"title\":\"t\",\"codes\":[", i);
    for (int k = 0; k < codes; k++)
        buf_printf(&json, "%s{\"code\":\"%064d\",\"title\":\"t\"}", k > 0 ? "," : "", k);
    buf_puts(&json, "]}");
    buf_putc(&json, '\0');
    const char *text = arena_str(&n->a, slice_of(json.p));
    buf_done(&json);
    assert_non_null(text);
    return text;
}

static void put_table(struct node *n, struct sql_tx *tx, const char *json)
{
    const struct doc *doc;
    struct catalog_manifest m;
    enum catalog_put result;
    uint64_t version;

    assert_int_equal(doc_read_json(slice_of(json), &n->a, &n->d, &doc), ERR_OK);
    assert_int_equal(catalog_read(doc, &n->a, &n->d, &m), ERR_OK);
    assert_int_equal(catalog_put(tx, &m, SLICE(""), clock_wall_ms(), &result, &version, &n->d), ERR_OK);
}

static const struct service *coded(const struct node *n)
{
    const struct resource_head *h = snapshot_resource(n->control->snapshot, SLICE("public-security/coded"));

    return h != NULL ? resource_version(h, 1) : NULL;
}

static void publish_coded(struct node *n, bool apart)
{
    node_story(n);
    for (int i = 0; i < (apart ? CODED_ITEMS : 1); i++)
        assert_int_equal(node_apply(n, WHO_SYSTEM, "t.json", code_table(n, i, 1)), 200);
    assert_int_equal(node_apply(n, WHO_PROVIDER, "r.yaml", coded_resource(n, apart)), 200);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "resources/public-security/coded/submit", NULL), 200);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "resources/public-security/coded/publish", "{\"version\":1}"), 200);
    assert_non_null(coded(n));
}

/* What it comes to is the same for one item and for many. */
static void a_table_that_grows_is_taken_by_all_its_items(void **state)
{
    struct node *n = *state;

    publish_coded(n, false);
    const struct service *before = coded(n);
    assert_int_equal(node_apply(n, WHO_SYSTEM, "t.json", code_table(n, 0, CODES)), 200);
    assert_null(n->control->jobs);
    assert_true(coded(n) != before);
    node_restart(n);
    assert_non_null(coded(n));
}

/* More than a resource may hold is refused with the table that would make it so. */
static void a_table_may_not_grow_too_large_for_its_resources(void **state)
{
    struct node *n = *state;
    int i = 0;

    publish_coded(n, true);
    while (i < CODED_ITEMS && node_apply(n, WHO_SYSTEM, "t.json", code_table(n, i, CODES)) == 200)
        i++;
    assert_true(i > 0 && i < CODED_ITEMS);
    assert_true(slice_is(problem_code(n), "invalid"));
    assert_non_null(strstr(n->text, "public-security/coded, version 1, would need more memory"));
    assert_null(n->control->jobs);
    node_restart(n);
    assert_non_null(coded(n));
}

/* So is the publishing of one that would be. */
static void a_resource_may_not_be_too_large(void **state)
{
    struct node *n = *state;

    node_story(n);
    for (int i = 0; i < CODED_ITEMS; i++)
        assert_int_equal(node_apply(n, WHO_SYSTEM, "t.json", code_table(n, i, i < 2 ? CODES : 1)), 200);
    assert_int_equal(node_apply(n, WHO_PROVIDER, "r.yaml", coded_resource(n, true)), 200);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "resources/public-security/coded/submit", NULL), 200);
    for (int i = 2; i < CODED_ITEMS; i++)
        assert_int_equal(node_apply(n, WHO_SYSTEM, "t.json", code_table(n, i, CODES)), 200);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "resources/public-security/coded/publish", "{\"version\":1}"), 400);
    assert_non_null(strstr(n->text, "more memory than it may have"));
    assert_int_equal(node_apply(n, WHO_PROVIDER, "r.yaml", coded_resource(n, true)), 400);
    assert_null(coded(n));
}

/* Of tables that are too much together only so many are read as there is room for. */
static void tables_too_many_are_not_all_read(void **state)
{
    struct node *n = *state;
    const char *resource = coded_resource(n, true);
    size_t few, all;

    node_story(n);
    for (int i = 0; i < CODED_ITEMS; i++)
        assert_int_equal(node_apply(n, WHO_SYSTEM, "t.json", code_table(n, i, i < 4 ? CODES : 1)), 200);
    (void)mem_fail_nth(0);
    assert_int_equal(node_apply(n, WHO_PROVIDER, "r.yaml", resource), 400);
    few = mem_fail_nth(0);
    for (int i = 4; i < CODED_ITEMS; i++)
        assert_int_equal(node_apply(n, WHO_SYSTEM, "t.json", code_table(n, i, CODES)), 200);
    (void)mem_fail_nth(0);
    assert_int_equal(node_apply(n, WHO_PROVIDER, "r.yaml", resource), 400);
    all = mem_fail_nth(0);
    if (all > few + few / 4)
        fail_msg("%zu allocations, %zu with small tables", all, few);
}

/* A state that has such a table all the same (of an older program): acts hold, and a start leaves the resource out. */
static void a_resource_that_is_too_large_holds_up_nothing(void **state)
{
    struct node *n = *state;
    struct sql_tx *tx;

    publish_coded(n, true);
    assert_int_equal(sql_begin(n->control->sql, true, &tx, &n->d), ERR_OK);
    for (int i = 0; i < CODED_ITEMS; i++)
        put_table(n, tx, code_table(n, i, CODES));
    assert_int_equal(sql_commit(tx, &n->d), ERR_OK);
    node_restart(n);
    assert_non_null(snapshot_resource(n->control->snapshot, SLICE("public-security/household")));
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "resources/public-security/coded/suspend", NULL), 200);
    assert_null(n->control->jobs);
    assert_true(snapshot_resource(n->control->snapshot, SLICE("public-security/coded"))->suspended);
}

/* Nobody is put on record as one who may not, because it could not be read that they may. */
static void who_cannot_be_read_is_not_refused(void **state)
{
    struct node *n = *state;
    bool all = false;

    node_story(n);
    for (size_t nth = 1; !all; nth++) {
        assert_true(nth < MANY);
        mem_fail_nth(nth);
        int status = ask(n, WHO_BUREAU, "GET", "me", NULL);
        all = mem_fail_nth(0) < nth;
        if (status != 200 && status < 500)
            fail_msg("allocation %zu: %d", nth, status);
    }
}

#define PUBLISH_TEST(name) cmocka_unit_test_setup_teardown(name, node_open, node_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        PUBLISH_TEST(a_version_that_memory_lacked_for_is_not_left_out),
        PUBLISH_TEST(a_later_try_undoes_no_revocation),
        PUBLISH_TEST(trust_that_memory_lacked_for_comes_within_a_minute),
        PUBLISH_TEST(a_list_is_written_while_others_wait),
        PUBLISH_TEST(a_renewal_shows_nothing_before_its_record),
        PUBLISH_TEST(a_record_never_has_the_digest_of_a_part),
        PUBLISH_TEST(who_cannot_be_read_is_not_refused),
        PUBLISH_TEST(a_table_that_grows_is_taken_by_all_its_items),
        PUBLISH_TEST(a_table_may_not_grow_too_large_for_its_resources),
        PUBLISH_TEST(a_resource_may_not_be_too_large),
        PUBLISH_TEST(tables_too_many_are_not_all_read),
        PUBLISH_TEST(a_resource_that_is_too_large_holds_up_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
