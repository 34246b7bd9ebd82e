/* sluice init: what is there, who may read it, what the state says, and what is left when it fails. */
#include "bench.h"

#include <dirent.h>
#include <sys/stat.h>
#include "audit/audit.h"
#include "catalog/catalog.h"
#include "certs/certs.h"

#define INIT "init --dir %h/n --node gw1 --trust-domain data.city.example"

static void test_files(void **state)
{
    static const struct {
        const char *name;
        unsigned mode;
    } rows[] = {
        { "", 0700 },
        { "sluice.yaml", 0644 },
        { "state.db", 0600 },
        { "ca/ca.key", 0600 },
        { "ca/ca.pem", 0644 },
        { "ca/chain.pem", 0644 },
        { "ca/crl.pem", 0644 },
        { "root/root.key", 0600 },
        { "root/root.pem", 0644 },
        { "keys/gateway.key", 0600 },
        { "keys/gateway.pem", 0644 },
        { "keys/log.key", 0600 },
        { "keys/log.vkey", 0644 },
        { "keys/salt.key", 0600 },
        { "keys/name.key", 0600 },
        { "secrets", 0700 },
        { "providers", 0700 },
        { "log", 0700 },
        { "admins/system/key.pem", 0600 },
        { "admins/system/cert.pem", 0644 },
        { "admins/security/cert.pem", 0644 },
        { "admins/audit/cert.pem", 0644 },
    };
    struct bench *b = *state;

    if (run(b, INIT) != CLI_OK)
        fail_msg("%s", b->err);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[256];
        struct stat st;
        snprintf(path, sizeof path, "%s/n/%s", b->home, rows[i].name);
        if (stat(path, &st) != 0 || (st.st_mode & 0777) != rows[i].mode)
            fail_msg("%s: not there, or mode %o", rows[i].name, st.st_mode & 0777);
    }
    assert_non_null(strstr(b->out, "key.pem made here")); /* said plainly */
    assert_non_null(strstr(b->out, "placeholder"));
    assert_non_null(strstr(b->out, "root"));
}

static void test_settings(void **state)
{
    struct bench *b = *state;
    const char *text;
    struct arena a;
    const struct doc *doc;

    assert_int_equal(run(b, INIT " --listen ::1 --data-port 0 --control-port 19443 --operations-port 19464"), CLI_OK);
    text = file_text(b->home, "n/sluice.yaml");
    arena_init(&a, 1 << 20);
    assert_int_equal(doc_read_yaml(slice_of(text), &a, NULL, &doc), ERR_OK);
    assert_true(slice_is(doc_text(doc->first, "node"), "gw1"));
    assert_true(slice_is(doc_text(doc->first, "trust_domain"), "data.city.example"));
    doc = doc_get(doc->first, "listen");
    assert_true(slice_is(doc_text(doc, "data"), "[::1]:0"));
    assert_true(slice_is(doc_text(doc, "control"), "[::1]:19443"));
    assert_true(slice_is(doc_text(doc, "operations"), "127.0.0.1:19464"));
    arena_done(&a);
}

static void test_keys_differ(void **state)
{
    struct bench *b = *state;
    char salt[80], name[80];
    uint8_t bytes[KEY_LEN];

    run(b, INIT);
    snprintf(salt, sizeof salt, "%s", file_text(b->home, "n/keys/salt.key"));
    snprintf(name, sizeof name, "%s", file_text(b->home, "n/keys/name.key"));
    assert_string_not_equal(salt, name);
    assert_int_equal(strlen(salt), 2 * KEY_LEN + 1);
    assert_true(hex_read(slice_make(salt, 2 * KEY_LEN), bytes, sizeof bytes));
    assert_memory_equal(file_text(b->home, "n/keys/log.vkey"), "data.city.example/log/gw1+", 26);
}

/* ---- what the state says ---- */

struct state {
    struct sql *sql;
    struct sql_tx *tx;
    struct arena a;
    char path[128];
};

static void state_open(struct bench *b, struct state *s)
{
    struct diags d;

    arena_init(&s->a, 16 << 20);
    diags_init(&d, &s->a);
    snprintf(s->path, sizeof s->path, "%s/n/state.db", b->home);
    assert_int_equal(sql_open(s->path, &s->sql, &d), ERR_OK);
    assert_int_equal(sql_begin(s->sql, false, &s->tx, &d), ERR_OK);
}

static void state_close(struct state *s)
{
    sql_rollback(s->tx);
    sql_close(s->sql);
    arena_done(&s->a);
}

static void test_people(void **state)
{
    static const struct {
        const char *id;
        unsigned role;
    } rows[] = { { "bureau/li", ROLE_SYSTEM_ADMIN },
                 { "bureau/security-admin", ROLE_SECURITY_ADMIN },
                 { "bureau/audit-admin", ROLE_AUDIT_ADMIN } };
    struct bench *b = *state;
    struct catalog_entry entry;
    struct state s;
    unsigned roles;

    if (run(b, INIT " --admin system=bureau/li --bureau \"bureau=City data bureau\"") != CLI_OK)
        fail_msg("%s", b->err);
    state_open(b, &s);
    assert_int_equal(catalog_find(s.tx, CATALOG_DEPARTMENT, SLICE("bureau"), 0, &s.a, &entry), ERR_OK);
    assert_true(slice_is(entry.state, "active"));
    assert_true(slice_is(entry.title_en, "City data bureau"));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(catalog_find(s.tx, CATALOG_PERSON, slice_of(rows[i].id), 0, &s.a, &entry), ERR_OK);
        assert_true(slice_is(entry.state, "active"));
        assert_int_equal(catalog_roles(s.tx, slice_of(rows[i].id), &roles), ERR_OK);
        assert_int_equal(roles, rows[i].role);
    }
    state_close(&s);
}

static enum err count_cert(void *arg, const struct certs_row *row)
{
    int *n = arg;

    assert_true(slice_is(row->state, "valid"));
    (*n)++;
    return ERR_OK;
}

static void test_certificates(void **state)
{
    struct bench *b = *state;
    struct state s;
    int n = 0;

    run(b, INIT);
    state_open(b, &s);
    assert_int_equal(
        certs_each(s.tx, SLICE("spiffe://data.city.example/gateway/gw1"), clock_wall_ms(), &s.a, count_cert, &n),
        ERR_OK);
    assert_int_equal(n, 1);
    n = 0;
    assert_int_equal(certs_each(s.tx, (struct slice){ 0 }, clock_wall_ms(), &s.a, count_cert, &n), ERR_OK);
    assert_int_equal(n, 4);
    state_close(&s);
}

static enum err take_line(void *arg, const struct sql_row *row)
{
    struct buf *all = arg;

    buf_put(all, sql_text(row, 0));
    return ERR_OK;
}

/* Everything that was made is on record, in one run of act numbers. */
static void test_acts(void **state)
{
    static const char *const verbs[] = { "node.init",    "cert.sign",       "department.apply", "department.activate",
                                         "person.apply", "person.activate", "person.grant-role" };
    struct bench *b = *state;
    struct buf all = BUF_INIT(1 << 20);
    struct state s;
    int64_t n = 0;

    run(b, INIT);
    state_open(b, &s);
    assert_int_equal(sql_each(s.tx, "SELECT line FROM audit_outbox ORDER BY act", NULL, 0, take_line, &all), ERR_OK);
    buf_putc(&all, '\0');
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        char member[64];
        snprintf(member, sizeof member, "\"verb\":\"%s\"", verbs[i]);
        if (strstr(all.p, member) == NULL)
            fail_msg("no record of %s in %s", verbs[i], all.p);
    }
    for (size_t i = 0; i < all.n; i++)
        n += all.p[i] == '\n';
    assert_int_equal(n, 1 + 1 + 2 + 3 * 4); /* node, gateway's certificate, bureau, three people */
    state_close(&s);
    buf_done(&all);
}

/* ---- refusals ---- */

static size_t entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void test_refused(void **state)
{
    static const struct {
        const char *line;
        int code;
    } rows[] = {
        { "init --dir %h/n --node Gw --trust-domain a.example", CLI_USAGE },
        { "init --dir %h/n --node gw --trust-domain A.example", CLI_USAGE },
        { "init --dir %h/n --node gw", CLI_USAGE },
        { INIT " --data-port 70000", CLI_USAGE },
        { INIT " --listen gateway", CLI_USAGE },
        { INIT " --bureau Big", CLI_USAGE },
        { INIT " --bureau-code 11990000MB00000001", CLI_USAGE },
        { INIT " --admin root=bureau/li", CLI_USAGE },
        { INIT " --admin system=li", CLI_USAGE },
        { INIT " --admin system=police/li", CLI_USAGE },
        { INIT " --admin system=bureau/li --admin system=bureau/wang", CLI_USAGE },
        { INIT " --admin system=bureau/li --admin audit=bureau/li", CLI_USAGE },
        { INIT " --admin system=bureau/li:%h/absent.csr", CLI_NOT_FOUND },
        { INIT " --names bad_name", CLI_FAILURE },
        { "init --dir %h/absent/n --node gw --trust-domain a.example", CLI_NOT_FOUND },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (run(b, rows[i].line) != rows[i].code)
            fail_msg("\"%s\": exit %d, %s", rows[i].line, b->code, b->err);
        if (entries(b->home) != 0)
            fail_msg("\"%s\" left something behind", rows[i].line);
    }
}

static void test_existing(void **state)
{
    struct bench *b = *state;
    char dir[80];

    snprintf(dir, sizeof dir, "%s/n", b->home);
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(run(b, INIT), CLI_OK); /* an empty one is taken */
    assert_int_equal(run(b, INIT), CLI_CONFLICT);
    assert_non_null(strstr(b->err, "not empty"));
    assert_int_equal(entries(b->home), 1);
}

static void test_own_requests(void **state)
{
    struct bench *b = *state;
    char path[128];
    struct stat st;

    assert_int_equal(run(b, "cert request --key-out %h/li.key --csr %h/li.csr --name 李四"), CLI_OK);
    assert_int_equal(run(b, "cert request --key-out %h/li.key --csr %h/li.csr"), CLI_CONFLICT); /* never overwritten */
    if (run(b, INIT " --admin system=bureau/li:%h/li.csr") != CLI_OK)
        fail_msg("%s", b->err);
    snprintf(path, sizeof path, "%s/n/admins/system/key.pem", b->home);
    assert_int_not_equal(stat(path, &st), 0); /* no key of theirs is made */
    snprintf(path, sizeof path, "%s/n/admins/system/cert.pem", b->home);
    assert_int_equal(stat(path, &st), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_files),   CASE(test_settings),     CASE(test_keys_differ),
                                        CASE(test_people),  CASE(test_certificates), CASE(test_acts),
                                        CASE(test_refused), CASE(test_existing),     CASE(test_own_requests) };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
