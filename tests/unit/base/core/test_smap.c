/* Versions: an old one still reads the old values; counts return to zero; failures change nothing; readers of many
 * versions run beside the writer (also under the thread sanitizer). */
#include "unit.h"
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct thing {
    struct counted counted;
    unsigned value, key;
};

static atomic_int alive;

static void thing_free(struct counted *c)
{
    atomic_fetch_sub(&alive, 1);
    mem_free(c);
}

static struct thing *thing_new(unsigned value)
{
    struct thing *t = mem_alloc(sizeof *t);

    if (t == NULL)
        return NULL;
    counted_init(&t->counted, thing_free);
    t->value = value;
    atomic_fetch_add(&alive, 1);
    return t;
}

static struct slice key_of(unsigned i, char out[32])
{
    return (struct slice){ out, (size_t)snprintf(out, 32, "key-%u", i) };
}

static bool thing_is(const void *object, struct slice key)
{
    char text[32];

    return slice_eq(key, key_of(((const struct thing *)object)->key, text));
}

/* Both kinds of map do the same. */
static struct smap *keys_stored(unsigned shards)
{
    return smap_new(shards);
}

static struct smap *keys_told(unsigned shards)
{
    return smap_new_by(shards, thing_is);
}

static struct smap *(*const kinds[])(unsigned) = { keys_stored, keys_told };

/* Puts value (0: removes) and gives our reference away. */
static enum err put(struct smap **m, unsigned key, unsigned value,
                    enum err (*how)(struct smap **, struct slice, void *))
{
    struct thing *t = value ? thing_new(value) : NULL;
    char text[32];
    enum err e;

    if (value && t == NULL)
        return ERR_NOMEM;
    if (t != NULL)
        t->key = key;
    e = how(m, key_of(key, text), t);
    counted_unref(t);
    return e;
}

static enum err load(struct smap **m, struct slice key, void *object)
{
    return smap_load(*m, key, object);
}

/* 0: not there. */
static unsigned get(const struct smap *m, unsigned key)
{
    char text[32];
    const struct thing *t = smap_find(m, key_of(key, text));

    return t ? t->value : 0;
}

static void old_versions_stay(void **state)
{
    static const unsigned shards[] = { 1, 2, 64, 256 };

    (void)state;
    for (size_t s = 0; s < COUNT(shards) * COUNT(kinds); s++) {
        struct smap *m = kinds[s % COUNT(kinds)](shards[s / COUNT(kinds)]), *first, *second, *third;

        assert_non_null(m);
        assert_null(smap_find(m, SLICE("key-1")));
        for (unsigned i = 1; i <= 500; i++)
            assert_int_equal(put(&m, i, i, load), ERR_OK);
        first = smap_ref(m);
        assert_int_equal(put(&m, 7, 1007, smap_put), ERR_OK);
        assert_ptr_not_equal(m, first);
        second = smap_ref(m);
        assert_int_equal(put(&m, 7, 0, smap_put), ERR_OK);
        assert_int_equal(put(&m, 501, 501, smap_put), ERR_OK);
        assert_int_equal(put(&m, 9999, 0, smap_put), ERR_OK); /* not there: nothing to do */
        third = smap_ref(m);
        assert_int_equal(get(first, 7), 7);
        assert_int_equal(get(second, 7), 1007);
        assert_int_equal(get(third, 7), 0);
        assert_int_equal(get(second, 501), 0);
        assert_int_equal(get(third, 501), 501);
        assert_int_equal(smap_count(first), 500);
        assert_int_equal(smap_count(second), 500);
        assert_int_equal(smap_count(third), 500);
        for (unsigned i = 8; i <= 500; i++)
            assert_true(get(first, i) == i && get(second, i) == i && get(third, i) == i);
        smap_unref(second);
        smap_unref(m);
        assert_int_equal(get(first, 7), 7);
        smap_unref(first);
        assert_int_equal(get(third, 8), 8);
        assert_int_equal(atomic_load(&alive), 500);
        smap_unref(third);
        assert_int_equal(atomic_load(&alive), 0);
    }
    smap_unref(NULL);
    counted_unref(NULL);
}

/* Random changes beside a plain array, with versions kept and dropped at random. */
static void beside_a_model(struct smap *m)
{
    enum { KEYS = 300, KEPT = 5 };
    unsigned model[KEPT + 1][KEYS] = { { 0 } };
    struct smap *kept[KEPT] = { NULL };
    uint64_t r = 88172645463325252u;

    assert_non_null(m);
    for (unsigned step = 1; step < 20000; step++) {
        unsigned key, slot;
        r ^= r << 13, r ^= r >> 7, r ^= r << 17;
        key = (unsigned)(r >> 20) % KEYS;
        model[KEPT][key] = r % 3 ? step : 0;
        assert_int_equal(put(&m, key, model[KEPT][key], smap_put), ERR_OK);
        if (step % 97)
            continue;
        slot = (unsigned)(r >> 40) % KEPT;
        smap_unref(kept[slot]);
        kept[slot] = smap_ref(m);
        memcpy(model[slot], model[KEPT], sizeof model[0]);
        for (unsigned v = 0; v <= KEPT; v++) {
            const struct smap *version = v == KEPT ? m : kept[v];
            size_t count = 0;
            for (unsigned k = 0; version && k < KEYS; k++) {
                assert_int_equal(get(version, k), model[v][k]);
                count += model[v][k] != 0;
            }
            assert_true(version == NULL || smap_count(version) == count);
        }
    }
    for (unsigned v = 0; v < KEPT; v++)
        smap_unref(kept[v]);
    smap_unref(m);
    assert_int_equal(atomic_load(&alive), 0);
}

static void against_a_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        beside_a_model(kinds[i](4));
}

static bool add_up(void *arg, struct slice key, void *object)
{
    size_t *sum = arg;

    assert_true(slice_starts(key, SLICE("key-")));
    sum[0]++;
    sum[1] += ((struct thing *)object)->value;
    return sum[0] < sum[2];
}

static void each(void **state)
{
    struct smap *m = smap_new(128);
    size_t sum[3] = { 0, 0, 1000 };

    (void)state;
    assert_non_null(m);
    for (unsigned i = 1; i <= 100; i++)
        assert_int_equal(put(&m, i, i, load), ERR_OK);
    smap_each(m, add_up, sum);
    assert_int_equal(sum[0], 100);
    assert_int_equal(sum[1], 5050);
    sum[0] = 0;
    sum[2] = 10;
    smap_each(m, add_up, sum);
    assert_int_equal(sum[0], 10);
    smap_unref(m);
}

static void odd_keys(void **state)
{
    struct smap *m = smap_new(1);
    struct thing *a = thing_new(1), *b = thing_new(2), *c = thing_new(3);
    char big[70000];

    (void)state;
    assert_non_null(m);
    assert_true(a != NULL && b != NULL && c != NULL);
    memset(big, 'k', sizeof big);
    assert_int_equal(smap_put(&m, slice_of(NULL), a), ERR_OK);
    assert_int_equal(smap_put(&m, SLICE("x\0y"), b), ERR_OK);
    assert_int_equal(smap_put(&m, (struct slice){ big, sizeof big }, c), ERR_OK);
    assert_ptr_equal(smap_find(m, SLICE("")), a);
    assert_ptr_equal(smap_find(m, SLICE("x\0y")), b);
    assert_null(smap_find(m, SLICE("x")));
    assert_ptr_equal(smap_find(m, (struct slice){ big, sizeof big }), c);
    assert_null(smap_find(m, (struct slice){ big, sizeof big - 1 }));
    assert_int_equal(smap_put(&m, SLICE(""), NULL), ERR_OK);
    assert_null(smap_find(m, SLICE("")));
    assert_ptr_equal(smap_find(m, SLICE("x\0y")), b);
    counted_unref(a);
    counted_unref(b);
    counted_unref(c);
    smap_unref(m);
    assert_int_equal(atomic_load(&alive), 0);
}

/* Each failing allocation leaves the map as it was, in a fresh version as in place. */
static bool work(void)
{
    struct smap *m = smap_new(128), *old;
    bool ok = m != NULL;

    if (m == NULL)
        return false;
    for (unsigned i = 1; ok && i <= 40; i++) {
        ok = put(&m, i, i, load) == ERR_OK;
        assert_int_equal(get(m, i), ok ? i : 0);
        assert_int_equal(smap_count(m), ok ? i : i - 1);
    }
    old = smap_ref(m);
    for (unsigned i = 1; ok && i <= 10; i++) {
        struct smap *before = m;
        unsigned value = i % 3 ? 100 + i : 0;
        ok = put(&m, 4 * i, value, smap_put) == ERR_OK;
        assert_int_equal(get(m, 4 * i), ok ? value : 4 * i);
        assert_true(ok || m == before);
    }
    for (unsigned i = 1; i <= 40; i++)
        assert_true(get(old, i) == i || smap_count(old) < 40);
    smap_unref(m);
    smap_unref(old);
    assert_int_equal(atomic_load(&alive), 0);
    return ok;
}

static void failing(void **state)
{
    (void)state;
    each_allocation_fails(work);
}

/* The writer publishes versions; readers take one each, read all of it, and drop it. In version v every key holds v or
 * v - 1, because the writer changes them in order. */
enum { READERS = 3, VERSIONS = 300, KEYS = 64 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct smap *published;
static atomic_bool done;

static void *reader(void *arg)
{
    unsigned long *rounds = arg;

    do {
        struct smap *mine;
        unsigned first;

        pthread_mutex_lock(&lock);
        mine = smap_ref(published);
        pthread_mutex_unlock(&lock);
        first = get(mine, 0);
        for (unsigned k = 1; k < KEYS; k++) {
            unsigned v = get(mine, k);
            if (v != first && v + 1 != first)
                abort();
        }
        smap_unref(mine);
        ++*rounds;
    } while (!atomic_load(&done));
    return NULL;
}

static void publish(struct smap *m)
{
    struct smap *old;

    pthread_mutex_lock(&lock);
    old = published;
    published = smap_ref(m);
    pthread_mutex_unlock(&lock);
    smap_unref(old);
}

static void readers(void **state)
{
    struct smap *m = smap_new(256);
    static unsigned long rounds[READERS]; /* the threads write there even if this test ends before them */
    pthread_t t[READERS];

    (void)state;
    assert_non_null(m);
    for (unsigned k = 0; k < KEYS; k++)
        assert_int_equal(put(&m, k, 1, load), ERR_OK);
    publish(m);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, reader, &rounds[i]), 0);
    for (unsigned v = 2; v < VERSIONS; v++)
        for (unsigned k = 0; k < KEYS; k++) {
            assert_int_equal(put(&m, k, v, smap_put), ERR_OK);
            if (k % 8 == 0)
                publish(m);
        }
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(t[i], NULL);
        assert_true(rounds[i] > 0);
    }
    smap_unref(published);
    smap_unref(m);
    assert_int_equal(atomic_load(&alive), 0);
}

/* Bytes an entry costs beside its object, at the density of a million grants in 4096 shards. */
static void memory(void **state)
{
    enum { N = 60000 };
    struct smap *m = smap_new(256);
    struct thing *t = thing_new(1);
    char text[32];
    size_t keys = 0, before = mallinfo2().uordblks, after;

    (void)state;
    assert_non_null(m);
    for (unsigned i = 0; i < N; i++) {
        struct slice key = key_of(i, text);
        keys += key.n;
        assert_int_equal(smap_load(m, key, t), ERR_OK);
    }
    mem_trim(); /* what the thread keeps of freed blocks is not the map's */
    after = mallinfo2().uordblks;
    if (after > before) /* a sanitizer's allocator does not count here */
        assert_true(after - before < keys * 9 / 8 + (size_t)N * 40);
    smap_unref(m);
    counted_unref(t);
    assert_int_equal(atomic_load(&alive), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_versions_stay),
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(each),
        cmocka_unit_test(odd_keys),
        cmocka_unit_test(failing),
        cmocka_unit_test(readers),
        cmocka_unit_test(memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
