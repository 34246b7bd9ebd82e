/* sluice audit index: how far the search index goes, whether it agrees with the log, and building it anew. */
#include "cli/audit.h"
#include "cli/run.h"

int run_audit_index(struct cli *c)
{
    bool check = cli_has(c, "check"), rebuild = cli_has(c, "rebuild");
    const char *path = check ? "audit/index/check" : rebuild ? "audit/index/rebuild" : "audit/index";
    const struct doc *reply = NULL;
    struct buf text = BUF_INIT(0);
    int code = output_check(c);

    if (code == CLI_OK && check && rebuild)
        code = cli_fail(c, CLI_USAGE, "--check or --rebuild, not both", "--check 与 --rebuild 只能选一");
    if (code == CLI_OK)
        code = api_bytes(c, check || rebuild ? "POST" : "GET", path, (struct slice){ 0 }, &text);
    if (code == CLI_OK)
        code = cli_error(c, doc_read_json(arena_dup(&c->arena, buf_slice(&text)), &c->arena, &c->diags, &reply));
    buf_done(&text);
    if (code == CLI_OK)
        code = output_one(c, reply, NULL);
    if (code != CLI_OK || !check || doc_flag(reply, "agrees"))
        return code;
    cli_say(c,
            "The index was not of this log and is being built anew. Is the log itself as it was? sluice audit verify",
            "索引与日志不符，正在重建。请用 sluice audit verify 确认日志本身未变。");
    return CLI_UNPROVEN;
}
