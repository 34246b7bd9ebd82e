/* Forms of results: alignment with wide characters, quoting, what a terminal must not be told. */
#include "bench.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/output.h"

static const struct column columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "title", { "TITLE", "名称" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "at", { "TIME", "时间" }, COLUMN_TIME },
    { "resources.resource", { "RESOURCES", "资源" }, COLUMN_WIDE },
    { .path = NULL },
};
static const char reply[] =
    "{\"items\":["
    "{\"id\":\"a/b\",\"title\":{\"zh\":\"户籍信息\",\"en\":\"Household\"},\"state\":\"draft\","
    "\"at\":\"2026-11-22T09:30:00.000+08:00\",\"resources\":[{\"resource\":\"x/y\"},{\"resource\":\"z/w\"}]},"
    "{\"id\":\"c\",\"title\":\"say \\\"hi\\\", now\",\"state\":null}],\"more\":false}";

/* The list in a form; the text is in b->out. */
static void show(struct bench *b, const char *form, enum lang lang, bool tty, const char *json)
{
    static const struct option output = { .name = "output", .value = "FORM" };
    const struct doc *doc;
    struct cli c;
    size_t out_n, err_n;

    mem_libc_free(b->out);
    mem_libc_free(b->err);
    b->out = b->err = NULL;
    FILE *out = open_memstream(&b->out, &out_n), *err = open_memstream(&b->err, &err_n);
    assert_true(out != NULL && err != NULL);
    cli_init(&c, out, err);
    c.lang = lang;
    c.out_tty = tty;
    if (form != NULL)
        c.given[c.n_given++] = (struct given){ &output, form };
    assert_int_equal(doc_read_json(slice_of(json), &c.arena, NULL, &doc), ERR_OK);
    if (doc_get(doc, "items") != NULL)
        b->code = output_list(&c, doc, "items", columns);
    else
        b->code = output_one(&c, doc, columns);
    cli_done(&c);
    fclose(out);
    fclose(err);
}

static void test_forms(void **state)
{
    static const struct {
        const char *form;
        enum lang lang;
        bool tty;
        const char *want;
    } rows[] = {
        { NULL, LANG_ZH, true,
          "标识  名称           状态   时间\n"
          "a/b   户籍信息       draft  2026-11-22 09:30:00\n"
          "c     say \"hi\", now\n" },
        { "table", LANG_EN, false,
          "ID   TITLE          STATE  TIME\n"
          "a/b  Household      draft  2026-11-22 09:30:00\n"
          "c    say \"hi\", now\n" },
        { NULL, LANG_EN, false,
          "a/b\tHousehold\tdraft\t2026-11-22T09:30:00.000+08:00\tx/y,z/w\n"
          "c\tsay \"hi\", now\t\t\t\n" },
        { "csv", LANG_EN, false,
          "id,title,state,at,resources.resource\r\n"
          "a/b,Household,draft,2026-11-22T09:30:00.000+08:00,\"x/y,z/w\"\r\n"
          "c,\"say \"\"hi\"\", now\",,,\r\n" },
        { "name", LANG_EN, true, "a/b\nc\n" },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        show(b, rows[i].form, rows[i].lang, rows[i].tty, reply);
        assert_int_equal(b->code, CLI_OK);
        assert_string_equal(b->out, rows[i].want);
    }
}

static void test_json_and_yaml_are_the_answer(void **state)
{
    struct bench *b = *state;
    struct arena a;
    const struct doc *doc;

    show(b, "json", LANG_EN, true, reply);
    arena_init(&a, 1 << 20);
    assert_int_equal(doc_read_json(slice_of(b->out), &a, NULL, &doc), ERR_OK);
    assert_int_equal(doc_get(doc, "items")->count, 2);
    show(b, "yaml", LANG_EN, true, reply);
    assert_int_equal(doc_read_yaml(slice_of(b->out), &a, NULL, &doc), ERR_OK);
    assert_int_equal(doc_get(doc->first, "items")->count, 2);
    arena_done(&a);
}

static void test_one(void **state)
{
    static const char one[] = "{\"id\":\"g1\",\"purposes\":[\"a\",\"b\"],\"window\":{\"from\":\"2026-01-01\"},"
                              "\"approvals\":[{\"by\":\"x/y\",\"step\":\"bureau\"}]}";
    struct bench *b = *state;

    show(b, NULL, LANG_ZH, true, one);
    assert_string_equal(b->out,
                        "标识  g1\n用途  a,b\n时间窗口\n  起  2026-01-01\n审批\n  - 办理人  x/y\n    步骤    bureau\n");
    show(b, NULL, LANG_ZH, false, one);
    assert_string_equal(
        b->out, "id: g1\npurposes:\n  - a\n  - b\nwindow:\n  from: \"2026-01-01\"\napprovals:\n  - by: x/y\n    "
                "step: bureau\n");
}

/* What a server sends cannot move the cursor, nor reorder the line it stands in. */
static void test_no_control_characters(void **state)
{
    static const char evil[] = "{\"items\":[{\"id\":\"a\\u001b[31mb\\u202e\\u0085\\u0007\",\"title\":\"x\\ny\\tz\"}],"
                               "\"more\":true}";
    static const char *const forms[] = { "table", "wide", "name", NULL };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        show(b, forms[i], LANG_EN, false, evil);
        assert_null(strchr(b->out, '\033'));
        assert_null(strchr(b->out, '\007'));
        assert_null(strstr(b->out, "\xe2\x80\xae"));
        assert_null(strstr(b->out, "\xc2\x85"));
        assert_non_null(strstr(b->out, "a?[31mb???"));
        assert_non_null(strstr(b->err, "more"));
    }
    show(b, "json", LANG_EN, false, evil);
    assert_null(strchr(b->out, '\033'));
    show(b, "yaml", LANG_EN, false, evil);
    assert_null(strchr(b->out, '\033'));
}

static void test_long_cells_are_cut(void **state)
{
    static const char text[] =
        "{\"items\":[{\"id\":\"一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十\"}]}";
    struct bench *b = *state;

    show(b, "table", LANG_EN, false, text);
    assert_non_null(strstr(b->out, "…"));
    assert_true(utf8_valid(slice_of(b->out)));
    show(b, "wide", LANG_EN, false, text);
    assert_null(strstr(b->out, "…"));
}

static void test_problem(void **state)
{
    static const char text[] =
        "{\"title\":\"Bad\",\"detail\":\"the \\u001bdetail\",\"code\":\"parameter-invalid\",\"remedy\":\"Mend it.\","
        "\"problems\":[{\"file\":\"a.yaml\",\"line\":3,\"column\":5,\"message\":\"wrong\"},{\"line\":1,\"column\":43,"
        "\"message\":\"in what was made here\"},{\"message\":\"the \\u001bdetail\"}],"
        "\"grants\":[\"g1\",\"g2\"],\"exchange\":\"0190\"}";
    struct bench *b = *state;
    const struct doc *doc;
    struct cli c;
    size_t err_n;
    FILE *err = open_memstream(&b->err, &err_n);

    assert_non_null(err);
    cli_init(&c, err, err);
    assert_int_equal(doc_read_json(slice_of(text), &c.arena, NULL, &doc), ERR_OK);
    problem_show(&c, doc);
    cli_done(&c);
    fclose(err);
    assert_string_equal(
        b->err, "Bad: the ?detail [parameter-invalid]\na.yaml:3:5: wrong\nin what was made here\ngrants: g1,g2\n"
                "Mend it.\nexchange: 0190\n");
}

static void test_exit_codes(void **state)
{
    static const struct {
        long status;
        int exit;
    } rows[] = { { 200, CLI_OK },     { 204, CLI_OK },        { 400, CLI_FAILURE },  { 401, CLI_DENIED },
                 { 403, CLI_DENIED }, { 404, CLI_NOT_FOUND }, { 409, CLI_CONFLICT }, { 503, CLI_FAILURE },
                 { 0, CLI_FAILURE },  { 301, CLI_FAILURE } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(exit_of_status(rows[i].status), rows[i].exit);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_forms),
                                        CASE(test_json_and_yaml_are_the_answer),
                                        CASE(test_one),
                                        CASE(test_no_control_characters),
                                        CASE(test_long_cells_are_cut),
                                        CASE(test_problem),
                                        CASE(test_exit_codes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
