/* Where a provider is: an address that nobody waits for, one that refuses beside one that does not, and a provider that
 * moves. getaddrinfo is this file's own: it answers with the addresses that it is told. */
#include "provider.h"
#include "base/net/names_internal.h"
#include "tests/unit/folder.h"

#include <arpa/inet.h>
#include <netdb.h>

static struct service {
    _Atomic bool hangs, missing;
    _Atomic unsigned first, n; /* the last octets 127.0.0.<first>, and the next ones */
    _Atomic unsigned asked;
    const char *_Atomic rewrites; /* a file, before it answers; NULL: none */
} service;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
    const char *rewrites = service.rewrites;
    struct addrinfo **at = ret;

    (void)host, (void)hints;
    atomic_fetch_add(&service.asked, 1);
    while (service.hangs)
        usleep(1000);
    if (rewrites)
        assert_int_equal(file_write(rewrites, SLICE("new"), 0600, NULL), ERR_OK);
    *ret = NULL;
    for (unsigned i = 0; i < service.n && !service.missing; i++) {
        struct addrinfo *one = calloc(1, sizeof *one + sizeof(struct sockaddr_in));
        struct sockaddr_in *to = (struct sockaddr_in *)(one + 1);
        if (one == NULL)
            break;
        to->sin_family = AF_INET;
        to->sin_port = htons((uint16_t)strtoul(port, NULL, 10));
        to->sin_addr.s_addr = htonl(0x7f000000 + service.first + i);
        one->ai_family = AF_INET;
        one->ai_addr = (struct sockaddr *)to;
        one->ai_addrlen = sizeof *to;
        *at = one;
        at = &one->ai_next;
    }
    return *ret ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* ---- a provider with a name, and calls to it ---- */
struct told {
    struct loop *loop;
    int status;
    enum reason why;
    enum reached reached;
};

static void on_head(void *user, const struct connector_head *head)
{
    ((struct told *)user)->status = head->status;
}

static void on_body(void *user, struct slice bytes)
{
    (void)user, (void)bytes;
}

static void on_end(void *user)
{
    loop_stop(((struct told *)user)->loop);
}

static void on_fail(void *user, enum reason why, enum reached reached)
{
    struct told *h = user;

    h->why = why;
    h->reached = reached;
    loop_stop(h->loop);
}

static const struct connector_events events = { .head = on_head, .body = on_body, .end = on_end, .fail = on_fail };

struct city {
    struct provider provider; /* at 127.0.0.1 */
    struct names *names;
    struct connector_world world;
    struct loop *loop;
    struct connector_pool *pool;
    struct text_target t;
};

static const char *more = ""; /* of the connector */

static void named(struct city *c, struct text_target *t)
{
    char text[256];

    snprintf(text, sizeof text, "{kind: http, endpoint: 'http://people.example:%u', tls: {mode: none, reason: test}%s}",
             c->provider.port, more);
    compile_text(t, &c->world, false, text, NULL);
}

static void city_begin(struct city *c, unsigned first, unsigned n, bool hangs)
{
    memset(c, 0, sizeof *c);
    service.first = first;
    service.n = n;
    service.hangs = hangs;
    service.missing = false;
    service.asked = 0;
    provider_start(&c->provider);
    c->names = names_new(3600000); /* whatever is looked up again was not for its age */
    assert_non_null(c->names);
    pthread_mutex_lock(&c->names->lock);
    c->names->retry = c->names->soon = 10;
    pthread_mutex_unlock(&c->names->lock);
    c->world = (struct connector_world){ .workers = 1, .names = c->names };
    named(c, &c->t);
    assert_int_equal(c->t.err, ERR_OK);
    c->loop = loop_new();
    c->pool = connector_pool_new(c->loop, 0, 24);
    assert_true(c->loop != NULL && c->pool != NULL);
    if (!hangs)
        names_settle(c->names, 10000);
}

static void city_end(struct city *c)
{
    service.hangs = false;
    c->pool = connector_pool_free(c->pool);
    compile_done(&c->t);
    c->loop = loop_free(c->loop);
    c->names = names_stop(c->names);
    provider_stop(&c->provider);
}

static enum err ask(struct city *c, struct told *h)
{
    struct connector_request q = { .method = SLICE("GET"), .target = SLICE("/ok") };
    struct connector_call *call;
    enum err e;

    *h = (struct told){ .loop = c->loop };
    e = connector_start(c->pool, c->t.target, &q, &events, h, &call);
    if (e == ERR_OK)
        loop_run(c->loop);
    return e;
}

static bool lacks(const struct city *c, const char *en, const char *zh)
{
    const char *is[2] = { connector_lacks(c->t.target, LANG_EN), connector_lacks(c->t.target, LANG_ZH) };

    return is[0] && is[1] && strstr(is[0], en) && strstr(is[1], zh);
}

/* ---- cases ---- */

/* A name service that works says so in the moment that it is given; a machine that is busy may let it pass. */
static void a_host_that_does_not_exist_is_a_fault(void **state)
{
    struct text_target t = { .err = ERR_OK };
    struct city c;

    (void)state;
    city_begin(&c, 1, 1, false);
    compile_done(&c.t); /* nobody has the name any more, but for the lookup that is about to end */
    service.missing = true;
    for (unsigned tries = 0; tries < 500 && t.err == ERR_OK; tries++) {
        usleep(1000);
        named(&c, &t);
        compile_done(&t);
    }
    assert_int_equal(t.err, ERR_INVALID);
    city_end(&c);
}

static void nobody_waits_for_an_address(void **state)
{
    struct text_target other;
    struct city c;
    struct told h;

    (void)state;
    city_begin(&c, 1, 1, true);
    assert_int_equal(ask(&c, &h), ERR_NOT_FOUND);
    assert_true(lacks(&c, "has not answered for the host people.example:", "域名服务尚未答复主机 people.example:"));
    named(&c, &other); /* what is not told yet is no fault */
    assert_int_equal(other.err, ERR_OK);
    compile_done(&other);
    service.missing = true;
    service.hangs = false;
    names_settle(c.names, 10000);
    assert_int_equal(ask(&c, &h), ERR_NOT_FOUND);
    assert_true(lacks(&c, "cannot be resolved", "无法解析主机 people.example:"));
    named(&c, &other); /* what is told is */
    assert_int_equal(other.err, ERR_INVALID);
    assert_non_null(strstr(other.d.first->what[LANG_EN], "cannot be resolved"));
    assert_true(other.d.first->line > 0);
    compile_done(&other);
    c.world.bears = true; /* but not of what was published */
    named(&c, &other);
    assert_int_equal(other.err, ERR_OK);
    compile_done(&other);
    service.missing = false; /* by itself, and the same target */
    while (connector_lacks(c.t.target, LANG_EN) != NULL)
        usleep(1000);
    assert_int_equal(ask(&c, &h), ERR_OK);
    assert_int_equal(h.status, 200);
    city_end(&c);
}

static void the_next_address_is_tried(void **state)
{
    struct sockaddr_storage at;
    struct city c;
    struct told h;

    (void)state;
    city_begin(&c, 1, 3, false);
    assert_int_equal(name_address(c.t.target->where, &at), 3);
    assert_int_equal(name_unreachable(c.t.target->where, &at), 3); /* so 127.0.0.2 and .3 come first, where nobody is */
    assert_int_equal(ask(&c, &h), ERR_OK);
    assert_int_equal(h.status, 200);
    assert_int_equal(atomic_load(&c.t.target->reach.failures), 0);
    assert_int_equal(c.provider.connections, 1);
    city_end(&c);
}

static void none_answers(void **state)
{
    struct city c;
    struct told h;

    (void)state;
    city_begin(&c, 2, 3, false);
    assert_int_equal(ask(&c, &h), ERR_OK);
    assert_true(h.status == 0 && h.why == REASON_PROVIDER_UNREACHABLE && h.reached == REACHED_NO);
    assert_int_equal(atomic_load(&c.t.target->reach.failures), 1); /* one call, whatever it tried */
    while (service.asked < 2)                                      /* and it is looked for */
        usleep(1000);
    city_end(&c);
}

/* A place that says nothing to who connects: its line is full. */
static int mute(unsigned port, unsigned octet, int full[4])
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(0x7f000000 + octet) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(full[i], (struct sockaddr *)&at, sizeof at);
    }
    return fd;
}

static void mute_done(int fd, int full[4])
{
    close(fd);
    for (unsigned k = 0; k < 4; k++)
        close(full[k]);
}

/* Each of them would take five seconds. */
static void no_address_has_more_time_than_the_call(void **state)
{
    struct city c;
    struct told h;
    int fd[2], full[2][4];
    int64_t began;

    (void)state;
    more = ", timeout: 5500ms";
    city_begin(&c, 2, 2, false);
    more = "";
    for (unsigned i = 0; i < 2; i++)
        fd[i] = mute(c.provider.port, 2 + i, full[i]);
    began = clock_mono_ms();
    assert_int_equal(ask(&c, &h), ERR_OK);
    assert_true(h.status == 0 && h.why == REASON_PROVIDER_UNREACHABLE && h.reached == REACHED_NO);
    assert_in_range(clock_mono_ms() - began, 5000, 9900);
    for (unsigned i = 0; i < 2; i++)
        mute_done(fd[i], full[i]);
    city_end(&c);
}

/* As calls that fail do, again and again: a lookup that runs may be from before. */
static void looks_until(struct city *c, uint32_t generation)
{
    struct sockaddr_storage nowhere = { 0 };

    while (name_generation(c->t.target->where) < generation) {
        (void)name_unreachable(c->t.target->where, &nowhere);
        usleep(1000);
    }
}

static void a_provider_moves(void **state)
{
    struct city c;
    struct told h;

    (void)state;
    city_begin(&c, 2, 1, false);
    assert_int_equal(ask(&c, &h), ERR_OK);
    assert_true(h.status == 0 && h.why == REASON_PROVIDER_UNREACHABLE);
    service.first = 1;
    looks_until(&c, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(&c, &h), ERR_OK);
        assert_int_equal(h.status, 200);
    }
    assert_int_equal(c.provider.connections, 1); /* kept */
    service.first = 2;
    looks_until(&c, 3);
    assert_int_equal(ask(&c, &h), ERR_OK); /* though its old place would answer still */
    assert_true(h.status == 0 && h.why == REASON_PROVIDER_UNREACHABLE);
    assert_int_equal(c.provider.requests, 2);
    city_end(&c);
}

/* A kept connection that the provider closes late leaves its call little time for another: that none came about in it
 * says nothing of the provider, which is everybody's. */
static void the_end_of_a_call_is_no_failure_to_connect(void **state)
{
    struct connector_request q = { .method = SLICE("GET"), .target = SLICE("/stale"), .safe = true };
    struct connector_call *call;
    struct city c;
    struct told h;
    int fd, full[4];

    (void)state;
    city_begin(&c, 1, 1, false);
    fd = mute(c.provider.port, 2, full);
    h = (struct told){ .loop = c.loop };
    assert_int_equal(connector_start(c.pool, c.t.target, &q, &events, &h, &call), ERR_OK);
    loop_run(c.loop);
    assert_int_equal(h.status, 200);
    h = (struct told){ .loop = c.loop };
    assert_int_equal(connector_start(c.pool, c.t.target, &q, &events, &h, &call), ERR_OK); /* on the same connection */
    service.first = 2;
    looks_until(&c, 2);
    call->due = loop_now(c.loop) + 100; /* as when it was closed after all but this */
    loop_run(c.loop);
    assert_true(h.status == 0 && h.why == REASON_PROVIDER_CUT && h.reached == REACHED_UNKNOWN);
    assert_int_equal(c.provider.connections, 1);
    assert_int_equal(atomic_load(&c.t.target->reach.failures), 0);
    mute_done(fd, full);
    city_end(&c);
}

/* A secret that is replaced while a target is made of the old one: it is seen at the next look. */
static void what_changes_meanwhile_is_stale(void **state)
{
    unsigned rewritten = 0;
    char dir[64], path[96];
    struct text_target t;
    struct city c;

    (void)state;
    folder_make(dir, sizeof dir, "where");
    snprintf(path, sizeof path, "%s/permit", dir);
    city_begin(&c, 1, 1, false);
    names_settle(c.names, 10000); /* no lookup from before rewrites anything */
    compile_done(&c.t);
    c.world.secrets_dir = dir;
    more = ", auth: {bearer: {secret: permit}}";
    for (unsigned tries = 0; tries < 50; tries++) { /* a machine that is busy may let the moment pass */
        unsigned asked = atomic_load(&service.asked);
        assert_int_equal(file_write(path, SLICE("old"), 0600, NULL), ERR_OK);
        service.rewrites = path;
        named(&c, &t);
        assert_int_equal(t.err, ERR_OK);
        names_settle(c.names, 10000);
        service.rewrites = NULL;
        assert_string_equal(t.target->auth, "Bearer old");
        if (atomic_load(&service.asked) != asked) { /* else the host was still known, and nothing was rewritten */
            assert_true(connector_stale(t.target));
            rewritten++;
        }
        compile_done(&t);
    }
    assert_true(rewritten > 0);
    more = "";
    unlink(path);
    rmdir(dir);
    city_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_does_not_exist_is_a_fault),
        cmocka_unit_test(nobody_waits_for_an_address),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(none_answers),
        cmocka_unit_test(no_address_has_more_time_than_the_call),
        cmocka_unit_test(a_provider_moves),
        cmocka_unit_test(what_changes_meanwhile_is_stale),
        cmocka_unit_test(the_end_of_a_call_is_no_failure_to_connect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
