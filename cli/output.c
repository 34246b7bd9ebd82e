/* The forms of results. Invariant: nothing of a result's text can move the cursor, change colours or reorder what is
 * around it on a terminal. */
#include "cli/output.h"

#include "cli/command.h"
#include "cli/sheet.h"

enum { CELL_MAX = 44, COLUMNS_MAX = 24, OUTPUT_MAX = 256 << 20, VALUE_MAX = 1 << 20 };

enum form { FORM_NONE, FORM_TABLE, FORM_WIDE, FORM_JSON, FORM_YAML, FORM_CSV, FORM_NAME, FORMS_ };
static const char *const form_names[FORMS_] = { "", "table", "wide", "json", "yaml", "csv", "name" };

static enum form form_of(const struct cli *c)
{
    const char *v = cli_value(c, "output");

    for (unsigned i = 1; v != NULL && i < FORMS_; i++)
        if (strcmp(v, form_names[i]) == 0)
            return (enum form)i;
    return v == NULL ? FORM_NONE : FORMS_;
}

int output_check(struct cli *c)
{
    return form_of(c) < FORMS_ ? CLI_OK
                               : cli_fail(c, CLI_USAGE, "-o is table, wide, json, yaml, csv or name",
                                          "-o 应为 table、wide、json、yaml、csv 或 name");
}

bool output_is(struct cli *c, const char *form)
{
    const char *v = cli_value(c, "output");

    return v != NULL && strcmp(v, form) == 0;
}

/* ---- values ---- */

static bool harmful(uint32_t ch)
{
    return ch < 0x20 || (ch >= 0x7f && ch <= 0x9f) || (ch >= 0x202a && ch <= 0x202e) ||
           (ch >= 0x2066 && ch <= 0x2069) || ch == 0x200e || ch == 0x200f;
}

struct slice output_clean(struct cli *c, struct slice s)
{
    struct buf out = BUF_INIT(VALUE_MAX);
    struct slice clean;

    for (size_t i = 0; i < s.n; i = utf8_next(s, i)) {
        uint32_t ch = utf8_at(s, i);
        if (harmful(ch))
            buf_putc(&out, ch == '\n' || ch == '\t' ? ' ' : '?');
        else
            buf_put(&out, slice_sub(s, i, utf8_next(s, i) - i));
    }
    clean = arena_dup(&c->arena, buf_slice(&out));
    buf_done(&out);
    return clean;
}

static void value_put(struct cli *c, const struct doc *at, const char *path, struct buf *out)
{
    const char *dot = path ? strchr(path, '.') : NULL;
    struct slice key = path ? slice_make(path, dot ? (size_t)(dot - path) : strlen(path)) : (struct slice){ 0 };
    const struct doc *named;

    if (at == NULL || at->type == DOC_NULL)
        return;
    if (at->type == DOC_LIST) {
        DOC_EACH(child, at)
        {
            if (out->n > 0 && out->p[out->n - 1] != ',')
                buf_putc(out, ',');
            value_put(c, child, path, out);
        }
        return;
    }
    if (at->type == DOC_MAP && key.n > 0) {
        value_put(c, doc_get_slice(at, key), dot ? dot + 1 : NULL, out);
        return;
    }
    if (at->type == DOC_MAP) {
        named = doc_get(at, c->lang == LANG_ZH ? "zh" : "en");
        value_put(c, named ? named : doc_get(at, c->lang == LANG_ZH ? "en" : "zh"), NULL, out);
        return;
    }
    if (key.n == 0)
        buf_put(out, at->text);
}

struct slice output_value(struct cli *c, const struct doc *row, const char *path)
{
    struct buf out = BUF_INIT(VALUE_MAX);
    struct slice value;

    value_put(c, row, path, &out);
    value = arena_dup(&c->arena, buf_slice(&out));
    buf_done(&out);
    return value;
}

/* ---- table ---- */

/* "2026-11-22T09:30:00.000+08:00" as "2026-11-22 09:30:00". */
static struct slice time_short(struct cli *c, struct slice s)
{
    return s.n >= 19 && s.p[10] == 'T' ? slice_of(arena_printf(&c->arena, "%.10s %.8s", s.p, s.p + 11)) : s;
}

/* "spiffe://domain/dept/education/app/x" as "education/app/x", a gateway's as "gateway/x". */
static struct slice name_short(struct slice s)
{
    struct slice rest = s;

    if (!slice_starts(s, SLICE("spiffe://")))
        return s;
    rest = slice_sub(s, 9, s.n);
    slice_cut(&rest, '/');
    return slice_starts(rest, SLICE("dept/")) ? slice_sub(rest, 5, rest.n) : rest;
}

/* At most CELL_MAX columns, ending in "…". */
static struct slice cell_cut(struct cli *c, struct slice s)
{
    size_t end = 0;

    if (utf8_width(s) <= CELL_MAX)
        return s;
    while (utf8_width(slice_sub(s, 0, utf8_next(s, end))) < CELL_MAX)
        end = utf8_next(s, end);
    return slice_of(arena_printf(&c->arena, "%.*s…", (int)end, s.p));
}

static struct slice cell(struct cli *c, const struct doc *row, const struct column *col, bool wide)
{
    struct slice v = output_clean(c, output_value(c, row, col->path));

    if (!wide && (col->flags & COLUMN_TIME))
        v = time_short(c, v);
    if (!wide && (col->flags & COLUMN_NAME))
        v = name_short(v);
    return wide ? v : cell_cut(c, v);
}

static size_t columns_choose(const struct column *columns, bool wide, const struct column *ret[COLUMNS_MAX])
{
    size_t n = 0;

    for (const struct column *col = columns; col->path != NULL && n < COLUMNS_MAX; col++)
        if (wide || !(col->flags & COLUMN_WIDE))
            ret[n++] = col;
    return n;
}

static void row_put(FILE *to, const struct slice *cells, const size_t *widths, size_t n)
{
    while (n > 1 && cells[n - 1].n == 0)
        n--;
    for (size_t i = 0; i < n; i++) {
        fprintf(to, "%.*s", SLICE_ARG(cells[i]));
        if (i + 1 < n)
            fprintf(to, "%*s", (int)(widths[i] - utf8_width(cells[i]) + 2), "");
    }
    fputc('\n', to);
}

static int table(struct cli *c, const struct doc *list, const struct column *columns, bool wide)
{
    const struct column *chosen[COLUMNS_MAX];
    size_t n = columns_choose(columns, wide, chosen), widths[COLUMNS_MAX] = { 0 }, at = n;
    struct slice *cells = arena_array(&c->arena, ((size_t)list->count + 1) * n, sizeof *cells);

    if (cells == NULL)
        return cli_error(c, ERR_NOMEM);
    for (size_t i = 0; i < n; i++)
        cells[i] = slice_of(cli_text(c, chosen[i]->title));
    DOC_EACH(row, list)
    {
        for (size_t i = 0; i < n; i++)
            cells[at++] = cell(c, row, chosen[i], wide);
    }
    for (size_t i = 0; i < at; i++) {
        size_t w = utf8_width(cells[i]);
        widths[i % n] = w > widths[i % n] ? w : widths[i % n];
    }
    for (size_t i = 0; i < at; i += n) {
        if (i == 0 && c->bold)
            fputs("\033[1m", c->out);
        row_put(c->out, cells + i, widths, n);
        if (i == 0 && c->bold)
            fputs("\033[0m", c->out);
    }
    return CLI_OK;
}

/* ---- lines ---- */

/* A spreadsheet takes what begins with these for a formula, and runs it: such a cell begins with an apostrophe. A plain
 * number may be negative. */
static bool is_formula(struct slice s)
{
    bool number = s.n > 1 && s.p[0] == '-';

    if (s.n == 0 || strchr("=+-@\t\r", s.p[0]) == NULL)
        return false;
    for (size_t i = 1; i < s.n; i++)
        number = number && strchr("0123456789.", s.p[i]) != NULL;
    return !number;
}

static void csv_put(FILE *to, struct slice s)
{
    bool formula = is_formula(s), quote = formula || (s.n > 0 && (s.p[0] == ' ' || s.p[s.n - 1] == ' '));

    for (size_t i = 0; i < s.n; i++)
        quote |= strchr(",\"\r\n", s.p[i]) != NULL;
    if (!quote) {
        fprintf(to, "%.*s", SLICE_ARG(s));
        return;
    }
    fputs(formula ? "\"'" : "\"", to);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            fputc('"', to);
        fputc(s.p[i], to);
    }
    fputc('"', to);
}

void output_csv(struct cli *c, const struct doc *list, const struct column *columns, bool titles)
{
    for (const struct column *col = columns; titles && col->path != NULL; col++)
        fprintf(c->out, "%s%s", col == columns ? "" : ",", col->path);
    if (titles)
        fputs("\r\n", c->out);
    DOC_EACH(row, list)
    {
        for (const struct column *col = columns; col->path != NULL; col++) {
            fputs(col == columns ? "" : ",", c->out);
            csv_put(c->out, output_value(c, row, col->path));
        }
        fputs("\r\n", c->out);
    }
}

static int tabs(struct cli *c, const struct doc *list, const struct column *columns)
{
    DOC_EACH(row, list)
    {
        for (const struct column *col = columns; col->path != NULL; col++)
            fprintf(c->out, "%s%.*s", col == columns ? "" : "\t",
                    SLICE_ARG(output_clean(c, output_value(c, row, col->path))));
        fputc('\n', c->out);
    }
    return CLI_OK;
}

static int names(struct cli *c, const struct doc *list, const struct column *columns)
{
    DOC_EACH(row, list)
    {
        fprintf(c->out, "%.*s\n", SLICE_ARG(output_clean(c, output_value(c, row, columns->path))));
    }
    return CLI_OK;
}

/* ---- whole trees ---- */

static int tree(struct cli *c, const struct doc *doc, enum form form)
{
    struct buf out = BUF_INIT(OUTPUT_MAX);
    int code;

    if (form == FORM_JSON)
        doc_put_json_pretty(doc, &out);
    else
        doc_put_yaml(doc, &out);
    code = cli_error(c, out.failed);
    if (code == CLI_OK)
        fwrite(out.p, 1, out.n, c->out);
    buf_done(&out);
    return code;
}

static int rows(struct cli *c, const struct doc *list, const struct column *columns, enum form form)
{
    switch (form) {
    case FORM_CSV:
        output_csv(c, list, columns, true);
        return CLI_OK;
    case FORM_NAME:
        return names(c, list, columns);
    case FORM_NONE:
        return c->out_tty ? table(c, list, columns, false) : tabs(c, list, columns);
    default:
        return table(c, list, columns, form == FORM_WIDE);
    }
}

int output_list(struct cli *c, const struct doc *reply, const char *member, const struct column *columns)
{
    const struct doc *list = member ? doc_get(reply, member) : reply;
    enum form form = form_of(c);
    int code;

    if (list == NULL || list->type != DOC_LIST)
        return cli_fail(c, CLI_FAILURE, "the answer holds no list", "响应中没有列表");
    if (form == FORM_JSON || form == FORM_YAML)
        return tree(c, reply, form);
    if (list->count == 0 && form == FORM_NONE && c->out_tty) {
        cli_say(c, "None.", "没有符合条件的记录。");
        return CLI_OK;
    }
    code = rows(c, list, columns, form);
    if (code == CLI_OK && doc_flag(reply, "more"))
        cli_say(c, "There are more; narrow the search.", "还有更多；请缩小查询范围。");
    return code;
}

int output_one(struct cli *c, const struct doc *one, const struct column *columns)
{
    struct doc row = *one, list = { .type = DOC_LIST, .first = &row, .count = 1 };
    enum form form = form_of(c);

    row.next = NULL;
    if (form == FORM_NONE && c->out_tty) {
        sheet_put(c, one);
        return CLI_OK;
    }
    if (form == FORM_NONE || form == FORM_JSON || form == FORM_YAML)
        return tree(c, one, form);
    return columns ? rows(c, &list, columns, form) : (sheet_put(c, one), CLI_OK);
}
