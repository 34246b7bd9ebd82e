/* A start on a full disk: what the log needs before anybody can be let in takes the room of its reserve. */
#include "tests/unit/audit/world.h"
#include "tests/unit/until.h"
#include <errno.h>
#include <unistd.h>

static struct world w;
static _Atomic bool full;

/* The disk has no room for one file more while the reserve takes it. */
static enum err file_write_here(const char *path, struct slice data, unsigned mode, struct diags *d)
{
    if (full && access(world_path(&w, "reserve"), F_OK) == 0)
        return diag_sys(d, ENOSPC, "cannot write %s", "无法写入 %s", path);
    return file_write(path, data, mode, d);
}
#define file_write file_write_here
#include "audit/checkpoint.c"
#undef file_write

static void nobody_is_open(void **state)
{
    struct audit_record r = world_intent(1000);
    struct audit_status s;
    uint64_t size;

    (void)state;
    world_init(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 20);
    world_close(&w);
    full = true;
    assert_int_equal(world_open(&w), ERR_OK);
    audit_status(w.log, &s);
    assert_int_equal(s.checkpoint_size, s.size);
    full = false;
    UNTIL((audit_status(w.log, &s), s.available));
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    r = world_outcome(1000);
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_is_open) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
