/* Witnesses as the verifier names them. Invariant: without its quorum a checkpoint is pending, never valid. */
#include <sys/stat.h>
#include "cli/quorum.h"

enum { KEY_MAX = 4096 };

/* A vkey, or a file that holds one. */
static int witness_read(struct cli *c, const char *v, struct audit_witness *ret)
{
    struct buf text = BUF_INIT(KEY_MAX);
    struct slice line = slice_of(v);
    struct stat st;
    int code = CLI_OK;

    if (stat(v, &st) == 0) {
        code = cli_error(c, file_read(v, &text, &c->diags));
        line = buf_slice(&text);
    }
    if (code == CLI_OK && audit_witness_read(slice_trim(slice_cut(&line, '\n')), ret) != ERR_OK)
        code = cli_fail(c, CLI_USAGE, "--witness %s is no witness's key: give the line of its witness.vkey",
                        "--witness %s 不是见证公钥：请给出其 witness.vkey 中的一行", v);
    buf_done(&text);
    return code;
}

int quorum_read(struct cli *c, struct quorum *ret)
{
    const char *v, *quorum = cli_value(c, "quorum");
    int code = CLI_OK;

    for (ret->n = 0; code == CLI_OK && (v = cli_nth(c, "witness", ret->n)) != NULL; ret->n++) {
        if (ret->n == AUDIT_WITNESSES_MAX)
            return cli_fail(c, CLI_USAGE, "at most %d witnesses", "见证至多 %d 个", AUDIT_WITNESSES_MAX);
        code = witness_read(c, v, &ret->w[ret->n]);
    }
    ret->need = ret->n;
    if (code == CLI_OK && quorum != NULL && !slice_u64(slice_of(quorum), 1, ret->n, &ret->need))
        code = cli_fail(c, CLI_USAGE, "--quorum is a number from 1 to the number of witnesses (--witness)",
                        "--quorum 应为 1 至 --witness 个数之间的数");
    return code;
}

int quorum_say(struct cli *c, const struct quorum *q, size_t count, uint64_t size)
{
    bool zh = c->lang == LANG_ZH;
    FILE *to = cli_has(c, "output") ? c->err : c->out; /* a table or JSON is read by programs */

    if (count >= q->need)
        fprintf(to,
                zh ? "已见证：所列 %zu 个见证中有 %zu 个联署了前 %llu 条记录（要求 %llu 个）\n"
                   : "valid: of %zu witnesses %zu have signed the first %llu records (%llu were asked for)\n",
                q->n, count, (unsigned long long)size, (unsigned long long)q->need);
    else
        fprintf(to,
                zh ? "待见证：所列 %zu 个见证中仅有 %zu 个联署（要求 %llu 个）；此前不视为有效\n"
                   : "PENDING: of %zu witnesses %zu have signed, %llu are needed; until then it is not valid\n",
                q->n, count, (unsigned long long)q->need);
    return count >= q->need ? CLI_OK : CLI_UNPROVEN;
}
