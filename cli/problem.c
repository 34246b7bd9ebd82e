/* How a refusal is shown. */
#include "cli/client.h"
#include "cli/output.h"

/* "file:line:col: text". A place without a file is one in the body that was made here: it says nothing to a person. A
 * problem without a place that only repeats the detail is left out. */
static void show_places(struct cli *c, const struct doc *list, struct slice detail)
{
    DOC_EACH(one, list)
    {
        struct slice file = output_clean(c, doc_text(one, "file")), line = doc_text(one, "line"),
                     column = doc_text(one, "column"), message = output_clean(c, doc_text(one, "message"));
        bool placed = file.n > 0;

        if (!placed && slice_eq(message, detail))
            continue;
        if (placed && line.n > 0)
            fprintf(c->err, "%.*s:%.*s:%.*s: ", SLICE_ARG(file), SLICE_ARG(line), SLICE_ARG(column));
        else if (placed)
            fprintf(c->err, "%.*s: ", SLICE_ARG(file));
        fprintf(c->err, "%.*s\n", SLICE_ARG(message));
    }
}

/* The first place says the same as the detail: once is enough. */
static bool is_repeated(const struct doc *list, struct slice detail)
{
    const struct doc *first = list ? list->first : NULL;

    return first && doc_get(first, "file") && slice_eq(doc_text(first, "message"), detail);
}

void problem_show(struct cli *c, const struct doc *problem)
{
    struct slice title = output_clean(c, doc_text(problem, "title")),
                 detail = output_clean(c, doc_text(problem, "detail")),
                 code = output_clean(c, doc_text(problem, "code")),
                 remedy = output_clean(c, doc_text(problem, "remedy")),
                 exchange = output_clean(c, doc_text(problem, "exchange")),
                 grants = output_clean(c, output_value(c, problem, "grants"));

    if (is_repeated(doc_get(problem, "problems"), doc_text(problem, "detail")))
        detail = (struct slice){ 0 };
    fprintf(c->err, "%.*s%s%.*s", SLICE_ARG(title), detail.n ? (c->lang == LANG_ZH ? "：" : ": ") : "",
            SLICE_ARG(detail));
    fprintf(c->err, " [%.*s]\n", SLICE_ARG(code));
    show_places(c, doc_get(problem, "problems"), detail);
    if (grants.n > 0)
        fprintf(c->err, c->lang == LANG_ZH ? "授权：%.*s\n" : "grants: %.*s\n", SLICE_ARG(grants));
    if (remedy.n > 0)
        fprintf(c->err, "%.*s\n", SLICE_ARG(remedy));
    if (exchange.n > 0)
        fprintf(c->err, c->lang == LANG_ZH ? "交换编号：%.*s\n" : "exchange: %.*s\n", SLICE_ARG(exchange));
}
