/* What a request becomes: from flags and from a file. */
#include "bench.h"

#include "cli/command.h"
#include "cli/request.c"

#define FLAGS                                                                                                          \
    "request create --app education/admission --resource a/b:x,y --purpose p --basis law --scenario s --to 2027-08-31"

static void test_flags(void **state)
{
    static const struct {
        const char *line, *want; /* want NULL: refused */
    } rows[] = {
        { FLAGS, "{\"app\":\"education/admission\",\"resources\":[{\"resource\":\"a/b\",\"items\":[\"x\",\"y\"]}],"
                 "\"purposes\":[\"p\"],\"basis\":\"law\",\"scenario\":\"s\",\"window\":{\"to\":\"2027-08-31\"}}" },
        { FLAGS " --clear a/b:x --clear c/d@3:z --clear a/b:y --resource c/d@3:z --purpose q --from 2027-01-01 --hours "
                "08:00-18:00 "
                "--weekdays 1,5 --max-rows 10 --expires 2027-08-01T00:00:00+08:00",
          "{\"app\":\"education/admission\",\"resources\":[{\"resource\":\"a/b\",\"items\":[\"x\",\"y\"],\"clear\":"
          "[\"x\",\"y\"]},{\"resource\":\"c/"
          "d\",\"items\":[\"z\"],\"clear\":[\"z\"],\"version\":3}],\"purposes\":[\"p\",\"q\"],\"basis\":"
          "\"law\",\"scenario\":\"s\",\"window\":{\"from\":\"2027-01-01\",\"to\":\"2027-08-31\",\"hours\":"
          "\"08:00-18:00\",\"weekdays\":[1,5]},\"expires\":\"2027-08-01T00:00:00+08:00\",\"max_rows\":10}" },
        { FLAGS " --resource c/d", NULL },
        { FLAGS " --clear a/c:x", NULL },
        { FLAGS " --clear a/b:x --clear c/d:x", NULL },
        { FLAGS " --clear a/b", NULL },
        { FLAGS " --clear a/b:", NULL },
        { FLAGS " --resource c/d:", NULL },
        { FLAGS " --resource c:x", NULL },
        { FLAGS " --resource c/d@:x", NULL },
        { FLAGS " --resource c/d@0:x", NULL },
        { FLAGS " --resource C/d:x", NULL },
        { FLAGS " --max-rows many", NULL },
        { "request create --app education/admission", NULL },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf body = BUF_INIT(1 << 20);
        struct cli c;
        FILE *err = tmpfile();

        assert_non_null(err);
        assert_int_equal(parse(b, &c, rows[i].line), CLI_OK);
        c.err = err;
        if (rows[i].want == NULL) {
            assert_int_equal(from_flags(&c, &body), CLI_USAGE);
        } else {
            assert_int_equal(from_flags(&c, &body), CLI_OK);
            buf_putc(&body, '\0');
            assert_string_equal(body.p, rows[i].want);
        }
        fclose(err);
        buf_done(&body);
        cli_done(&c);
    }
}

static void test_file(void **state)
{
    static const char good[] = "app: a/b\nresources: [{resource: c/d, items: [x], clear: x}]\npurposes: p\nbasis: l\n"
                               "scenario: s\nwindow: {to: 2027-01-01, weekdays: [1]}\nmax_rows: 5\n";
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "app: a/b\n", "'resources'" },
        { "app: a\nresources: []\npurposes: p\nbasis: l\nscenario: s\nwindow: {to: 2027-01-01}\n", "r.yaml:1:6" },
        { "app: a/b\nresources: [{resource: c/d, item: [x]}]\npurposes: p\nbasis: l\nscenario: s\nwindow: {to: "
          "2027-01-01}\n",
          "r.yaml:2:29: unknown key 'item'" },
        { "app: a/b\nresources: [{resource: c/d, items: [x]}]\npurposes: p\nbasis: l\nscenario: s\nwindow: {}\n",
          "'to'" },
        { "app: [\n", "r.yaml:" },
        { "a: 1\n---\nb: 2\n", "one request a file" },
    };
    struct bench *b = *state;
    struct buf body = BUF_INIT(1 << 20);
    struct cli c;
    FILE *err = tmpfile();
    char path[128];

    snprintf(path, sizeof path, "%s/r.yaml", b->home);
    file_put(b->home, "r.yaml", good, 0644);
    assert_non_null(err);
    assert_int_equal(parse(b, &c, "me"), CLI_OK);
    c.err = err;
    assert_int_equal(from_file(&c, path, &body), CLI_OK);
    buf_putc(&body, '\0');
    assert_string_equal(body.p, "{\"app\":\"a/b\",\"resources\":[{\"resource\":\"c/d\",\"items\":[\"x\"],\"clear\":"
                                "\"x\"}],\"purposes\":\"p\",\"basis\":\"l\",\"scenario\":\"s\",\"window\":{\"to\":"
                                "\"2027-01-01\",\"weekdays\":[1]},\"max_rows\":5}");
    buf_done(&body);
    cli_done(&c);
    fclose(err);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file_put(b->home, "r.yaml", bad[i].text, 0644);
        /* told before anything is sent: no server is named */
        if (run(b, "request create -f %h/r.yaml") != CLI_FAILURE || strstr(b->err, bad[i].says) == NULL)
            fail_msg("row %zu: exit %d, %s", i, b->code, b->err);
    }
}

/* What stands beside the file would go unheard. */
static void test_file_alone(void **state)
{
    static const char *const lines[] = { "--max-rows 5", "--hours 08:00-09:00", "--clear c/d:x", "--app a/b" };
    struct bench *b = *state;
    char line[256];

    file_put(b->home, "r.yaml", "app: a/b\n", 0644);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(line, sizeof line, "request create -f %%h/r.yaml %s", lines[i]);
        if (run(b, line) != CLI_USAGE || strstr(b->err, "with -f, everything is in the file") == NULL)
            fail_msg("%s: exit %d, %s", line, b->code, b->err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_flags), CASE(test_file), CASE(test_file_alone) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
