/* Names: what is never looked up; nobody waits for a name service that hangs, neither who asks, nor other names, nor
 * the end; what is known stays known, and what has moved is found. getaddrinfo is this file's own: it answers by the
 * host's name, and hangs as long as it is told to. */
#include "net_test.h"
#include "base/net/names_internal.h"

#include <arpa/inet.h>
#include <netdb.h>

enum { PATIENCE = 60, WITHIN_MS = 20000 };

/* Hosts of .late are answered for when nobody waits any more, each time. */
static struct service {
    _Atomic unsigned asked, inside, most, moved; /* moved: which of its places "moves.example" is at */
    _Atomic bool hangs;                          /* for hosts of .slow, and at the first lookup of one of .once */
    _Atomic bool fails;                          /* for all others */
} service;

static bool ends(const char *host, const char *with)
{
    return slice_ends(slice_of(host), slice_of(with));
}

static void append(struct addrinfo ***at, const char *number, const char *port)
{
    struct addrinfo *one = calloc(1, sizeof *one + sizeof(struct sockaddr_storage));

    if (one == NULL)
        return;
    one->ai_addr = (struct sockaddr *)(one + 1);
    if (!address_read(number, (unsigned)strtoul(port, NULL, 10), (struct sockaddr_storage *)(void *)one->ai_addr))
        abort();
    one->ai_family = one->ai_addr->sa_family;
    one->ai_addrlen = address_size((struct sockaddr_storage *)(void *)one->ai_addr);
    **at = one;
    *at = &one->ai_next;
}

static int answer(const char *host, const char *port, unsigned moved, struct addrinfo **ret)
{
    static const char *const places[][2] = {
        { "127.0.0.1", "127.0.0.2" }, { "127.0.0.2", "127.0.0.1" }, { "127.0.0.3", NULL }, { "127.0.0.1", "127.0.0.1" }
    };
    struct addrinfo **at = ret;

    *ret = NULL;
    if (service.fails)
        return EAI_AGAIN;
    if (ends(host, ".missing"))
        return EAI_NONAME;
    for (size_t i = 0; i < 2; i++)
        if (places[moved][i])
            append(&at, places[moved][i], port);
    return *ret ? 0 : EAI_MEMORY;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
    unsigned now = atomic_fetch_add(&service.inside, 1) + 1, most = service.most, moved = service.moved;
    bool slow;
    int r;

    (void)hints;
    while (now > most && !atomic_compare_exchange_weak(&service.most, &most, now))
        continue;
    slow = (atomic_fetch_add(&service.asked, 1) == 0 && ends(host, ".once")) || ends(host, ".slow");
    while (slow && service.hangs)
        usleep(1000);
    if (ends(host, ".late"))
        usleep(3 * PATIENCE * 1000);
    r = answer(host, port, moved, ret);
    atomic_fetch_sub(&service.inside, 1);
    return r;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* ---- a process with names ---- */
static struct names *begin(int64_t every)
{
    struct names *r;

    memset(&service, 0, sizeof service);
    r = names_new(every);
    assert_non_null(r);
    pthread_mutex_lock(&r->lock);
    r->patience = PATIENCE;
    r->retry = r->soon = 10;
    pthread_mutex_unlock(&r->lock);
    return r;
}

/* All who hang are let go, so that nothing of this test is seen by the next. */
static void end(struct names *r)
{
    names_stop(r);
    service.hangs = false;
    while (service.inside > 0)
        usleep(1000);
}

static struct name *get(struct names *r, const char *text)
{
    struct name *n = NULL;

    assert_int_equal(name_get(r, slice_of(text), 80, &n, NULL), ERR_OK);
    return n;
}

static void becomes(const struct name *n, enum name_state wanted)
{
    int64_t until = clock_mono_ms() + WITHIN_MS;

    while (name_state(n) != wanted && clock_mono_ms() < until)
        usleep(1000);
    assert_int_equal(name_state(n), wanted);
}

static bool is_at(struct name *n, const char *number, unsigned port)
{
    struct sockaddr_storage at = { 0 }, wanted;

    return name_address(n, &at) > 0 && address_read(number, port, &wanted) &&
           memcmp(&at, &wanted, address_size(&wanted)) == 0;
}

static void comes_to(struct name *n, const char *number)
{
    int64_t until = clock_mono_ms() + WITHIN_MS;

    while (!is_at(n, number, 80) && clock_mono_ms() < until)
        usleep(1000);
    assert_true(is_at(n, number, 80));
}

/* ---- cases ---- */
static void numbers_are_not_looked_up(void **state)
{
    static const struct {
        const char *text, *number;
        unsigned port;
    } good[] = { { "127.0.0.1", "127.0.0.1", 80 },
                 { "127.0.0.1:9", "127.0.0.1", 9 },
                 { "[::1]", "::1", 80 },
                 { "[::1]:65535", "::1", 65535 } };
    static const char *const bad[] = { "", ":80", "h:0", "h:65536", "h:x", "[::1", "[::1]x", "[]:1" };
    struct names *r = begin(1000);
    struct name *n = NULL;

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(good); i++) {
        n = get(i % 2 ? r : NULL, good[i / 2].text);
        assert_int_equal(name_state(n), NAME_KNOWN);
        assert_true(is_at(n, good[i / 2].number, good[i / 2].port));
        assert_int_equal(name_unreachable(n, &n->a.at[0]), 1);
        assert_true(is_at(n, good[i / 2].number, good[i / 2].port));
        name_unref(n);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_not_equal(name_get(r, slice_of(bad[i]), 80, &n, NULL), ERR_OK);
    n = get(NULL, "a.example"); /* nobody to ask */
    assert_int_equal(name_state(n), NAME_MISSING);
    assert_int_equal(name_address(n, &n->a.at[0]), 0);
    name_unref(n);
    assert_int_equal(service.asked, 0);
    end(r);
}

static void one_lookup_for_all_who_ask(void **state)
{
    struct names *r = begin(60000);
    struct name *a = get(r, "a.example"), *same = get(r, "A.Example:80"), *other = get(r, "a.example:81"),
                *none = get(r, "b.missing");

    (void)state;
    assert_ptr_equal(a, same);
    assert_ptr_not_equal(a, other);
    names_settle(r, WITHIN_MS);
    assert_int_equal(name_state(a), NAME_KNOWN);
    assert_int_equal(name_state(other), NAME_KNOWN);
    assert_int_equal(name_state(none), NAME_MISSING);
    assert_int_equal(name_generation(none), 0);
    assert_true(is_at(a, "127.0.0.1", 80) && is_at(other, "127.0.0.1", 81));
    assert_true(name_address(a, &(struct sockaddr_storage){ 0 }) == 2);
    name_unref(same);
    name_unref(none);
    assert_true(is_at(a, "127.0.0.1", 80));
    name_unref(a);
    name_unref(other);
    end(r);
}

struct heard {
    struct loop *loop;
    struct name *name;
    unsigned times;
    pthread_t in;
};

static void on_change(void *arg)
{
    struct heard *h = arg;

    h->times++;
    h->in = pthread_self();
    if (name_state(h->name) == NAME_KNOWN)
        loop_stop(h->loop);
}

static void a_loop_is_told(void **state)
{
    struct names *r = begin(60000);
    struct heard h = { .loop = loop_new() };

    (void)state;
    assert_non_null(h.loop);
    service.hangs = true;
    h.name = get(r, "a.slow");
    names_tell(r, h.loop, on_change, &h);
    becomes(h.name, NAME_SILENT);
    service.hangs = false;
    loop_run(h.loop); /* ends when it has heard of the address */
    assert_in_range(h.times, 1, 2);
    assert_true(pthread_equal(h.in, pthread_self()));
    names_tell(r, NULL, NULL, NULL);
    name_unref(h.name);
    h.loop = loop_free(h.loop);
    end(r);
}

static void ask_for(struct names *r, struct name **slow, size_t from, size_t to)
{
    char text[32];

    for (size_t i = from; i < to; i++) {
        snprintf(text, sizeof text, "h%zu.slow", i);
        slow[i] = get(r, text);
    }
}

static void who_hangs_holds_nobody(void **state)
{
    enum { FEW = NAMES_LOOKERS - 4, MANY = 40 };
    struct names *r = begin(60000);
    struct name *slow[MANY], *good;
    int64_t began = clock_mono_ms();

    (void)state;
    service.hangs = true;
    ask_for(r, slow, 0, FEW);
    assert_true(clock_mono_ms() - began < 1000); /* nothing was waited for */
    for (size_t i = 0; i < FEW; i++)
        becomes(slow[i], NAME_SILENT);
    usleep(4 * PATIENCE * 1000); /* they are asked for again, but not by all threads */
    good = get(r, "good.example");
    becomes(good, NAME_KNOWN);
    ask_for(r, slow, FEW, MANY);
    while (service.inside < NAMES_LOOKERS) /* more are begun while there is room */
        usleep(1000);
    usleep(4 * PATIENCE * 1000);
    assert_int_equal(service.most, NAMES_LOOKERS);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(name_address(slow[i], &(struct sockaddr_storage){ 0 }), 0);
    service.hangs = false;
    for (size_t i = 0; i < MANY; i++) {
        becomes(slow[i], NAME_KNOWN);
        name_unref(slow[i]);
    }
    name_unref(good);
    end(r);
}

static void the_end_waits_for_no_lookup(void **state)
{
    struct names *r = begin(60000);
    struct name *n = get(r, "a.slow");
    int64_t began;

    (void)state;
    service.hangs = true;
    while (service.inside == 0 && name_state(n) == NAME_ASKED)
        usleep(1000);
    began = clock_mono_ms();
    names_settle(r, 50);
    assert_in_range(clock_mono_ms() - began, name_state(n) == NAME_ASKED ? 50 : 0, 2000);
    began = clock_mono_ms();
    names_stop(r);
    assert_true(clock_mono_ms() - began < 2000);
    assert_int_equal(name_address(n, &(struct sockaddr_storage){ 0 }), n->a.n);
    name_unref(n); /* the lookup holds the last reference */
    end(NULL);
}

static void a_late_answer_is_an_answer(void **state)
{
    struct names *r = begin(60000);
    struct name *n;

    (void)state;
    service.hangs = true;
    n = get(r, "a.slow");
    becomes(n, NAME_SILENT);
    while (service.inside < NAME_OUT_MAX) /* it is asked for again meanwhile, though not for ever */
        usleep(1000);
    usleep(4 * PATIENCE * 1000);
    assert_int_equal(service.inside, NAME_OUT_MAX);
    service.hangs = false;
    becomes(n, NAME_KNOWN);
    name_unref(n);
    n = get(r, "a.late");
    becomes(n, NAME_SILENT);
    becomes(n, NAME_KNOWN);
    name_unref(n);
    end(r);
}

static void an_older_answer_is_none(void **state)
{
    struct names *r = begin(60000);
    struct name *n;

    (void)state;
    service.hangs = true;
    n = get(r, "a.once"); /* and it hangs with where that was then */
    becomes(n, NAME_SILENT);
    service.moved = 2;
    comes_to(n, "127.0.0.3");
    service.hangs = false;
    while (service.inside > 0)
        usleep(1000);
    usleep(20000);
    assert_true(is_at(n, "127.0.0.3", 80));
    name_unref(n);
    end(r);
}

static void what_moves_is_found(void **state)
{
    struct names *r = begin(20);
    struct name *n = get(r, "moves.example");
    struct sockaddr_storage at = { 0 };
    uint32_t generation;
    unsigned asked;

    (void)state;
    becomes(n, NAME_KNOWN);
    generation = name_generation(n);
    assert_true(generation > 0);
    service.moved = 1; /* the same in another order */
    asked = service.asked;
    while (service.asked < asked + 3)
        usleep(1000);
    assert_true(is_at(n, "127.0.0.1", 80));
    assert_int_equal(name_generation(n), generation);
    service.fails = true; /* a name service that fails takes nothing away */
    asked = service.asked;
    while (service.asked < asked + 3)
        usleep(1000);
    assert_int_equal(name_state(n), NAME_KNOWN);
    assert_int_equal(name_address(n, &at), 2);
    service.fails = false;
    service.moved = 2;
    comes_to(n, "127.0.0.3");
    assert_true(name_generation(n) > generation);
    assert_false(name_has(n, &at));
    name_unref(n);
    end(r);
}

/* Two lines of a hosts file may say the same: that is one place, and whoever left the other has left it. */
static void an_address_told_twice_is_one(void **state)
{
    struct names *r = begin(20);
    struct name *n = get(r, "moves.example");
    struct sockaddr_storage other = { 0 };
    int64_t until = clock_mono_ms() + WITHIN_MS;

    (void)state;
    becomes(n, NAME_KNOWN);
    assert_true(address_read("127.0.0.2", 80, &other));
    assert_true(name_has(n, &other));
    service.moved = 3;
    while (name_has(n, &other) && clock_mono_ms() < until)
        usleep(1000);
    assert_false(name_has(n, &other));
    assert_int_equal(name_address(n, &other), 1);
    name_unref(n);
    end(r);
}

static void the_next_address_is_tried(void **state)
{
    struct names *r = begin(3600000);
    struct name *n = get(r, "moves.example");
    struct sockaddr_storage at = { 0 }, first;

    (void)state;
    becomes(n, NAME_KNOWN);
    assert_int_equal(name_address(n, &at), 2);
    first = at;
    assert_true(address_read("127.0.0.1", 80, &first) && is_at(n, "127.0.0.1", 80));
    assert_int_equal(name_unreachable(n, &first), 2);
    assert_true(is_at(n, "127.0.0.2", 80));
    assert_int_equal(name_unreachable(n, &first), 2); /* told by another worker: not that one */
    assert_true(is_at(n, "127.0.0.2", 80));
    while (service.asked < 2) /* within the hour: for nobody could be reached */
        usleep(1000);
    service.moved = 2;
    while (!is_at(n, "127.0.0.3", 80)) { /* again and again: a lookup that runs may be from before */
        name_unreachable(n, &first);
        usleep(1000);
    }
    name_unref(n);
    end(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_not_looked_up),
        cmocka_unit_test(one_lookup_for_all_who_ask),
        cmocka_unit_test(a_loop_is_told),
        cmocka_unit_test(who_hangs_holds_nobody),
        cmocka_unit_test(the_end_waits_for_no_lookup),
        cmocka_unit_test(a_late_answer_is_an_answer),
        cmocka_unit_test(an_older_answer_is_none),
        cmocka_unit_test(what_moves_is_found),
        cmocka_unit_test(an_address_told_twice_is_one),
        cmocka_unit_test(the_next_address_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
