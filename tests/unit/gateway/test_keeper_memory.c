/* What the keeper holds after hundreds of revocation lists, each longer by one: its heap is given back, or it would
 * grow for as long as the node lives. The sanitizers' allocators give nothing back: judged in the builds without them.
 */
#include "keeper_world.h"

enum { LISTS = 600, ROOM_KIB = 512 };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

/* Anonymous memory of a process, KiB. */
static long held_kib(pid_t pid)
{
    char name[64], line[256];
    long kib = -1;
    FILE *f;

    snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
    f = fopen(name, "re");
    assert_non_null(f);
    while (kib < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtol(line + 8, NULL, 10);
    fclose(f);
    assert_true(kib > 0);
    return kib;
}

static void put_revoked(struct buf *body, uint32_t serial)
{
    buf_putc(body, 4);
    keeper_put(body, serial + 0x01000000, 4);
    for (int i = 4; i < 20; i++)
        buf_putc(body, 0);
    keeper_put(body, (uint64_t)clock_wall_ms(), 8);
}

/* A list of the first n, as the node writes it. */
static void list_of_first(uint32_t n)
{
    struct buf body = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

    keeper_put(&body, n + 1, 8);
    keeper_put(&body, 48, 4);
    for (uint32_t i = 0; i < n; i++)
        put_revoked(&body, i);
    assert_int_equal(raw(KEEPER_CONTROL, KEEPER_LIST, (uint32_t)body.n, buf_slice(&body), &out), ERR_OK);
    assert_int_equal(file_write(in_dir("ca/crl.pem"), buf_slice(&out), 0644, NULL), ERR_OK);
    buf_done(&body);
    buf_done(&out);
}

static void lists_leave_nothing(void **state)
{
    long first;

    (void)state;
    for (uint32_t n = 0; n < 8; n++)
        list_of_first(n);
    first = held_kib(w.k->pid);
    for (uint32_t n = 8; n < (sanitized ? 16 : LISTS); n++)
        list_of_first(n);
    print_message("%ld KiB, then %ld\n", first, held_kib(w.k->pid));
    if (!sanitized)
        assert_in_range(held_kib(w.k->pid), 0, first + ROOM_KIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = { KEEPER_TEST(lists_leave_nothing) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
