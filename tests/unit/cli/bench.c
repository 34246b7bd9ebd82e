#include "bench.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/command.h"

enum { WORDS_MAX = 64, LINE_MAX_BYTES = 8192 };

int bench_make(void **state)
{
    static const char *const variables[] = { "SLUICE_CONTEXT", "SLUICE_SERVER", "SLUICE_DATA_SERVER",
                                             "SLUICE_CA",      "SLUICE_CERT",   "SLUICE_KEY",
                                             "LC_ALL",         "LC_MESSAGES",   "LANG",
                                             "XDG_CONFIG_HOME" };
    struct bench *b = mem_zalloc(sizeof *b);

    snprintf(b->home, sizeof b->home, "/tmp/sluice-cli-XXXXXX");
    assert_non_null(mkdtemp(b->home));
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    setenv("HOME", b->home, 1);
    *state = b;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)at;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static void texts_free(struct bench *b)
{
    mem_libc_free(b->out);
    mem_libc_free(b->err);
    b->out = b->err = NULL;
}

int bench_clear(void **state)
{
    struct bench *b = *state;

    nftw(b->home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    texts_free(b);
    mem_free(b);
    return 0;
}

/* Splits into words within `mem`. */
static int split(const struct bench *b, const char *line, char mem[LINE_MAX_BYTES], char *words[WORDS_MAX])
{
    int n = 0;
    bool quoted = false, inside = false;
    char *at = mem;

    words[n++] = at;
    *at++ = 's';
    *at++ = '\0';
    for (; *line != '\0'; line++) {
        if (*line == ' ' && !quoted) {
            if (inside)
                *at++ = '\0';
            inside = false;
            continue;
        }
        if (!inside) {
            assert_true(n < WORDS_MAX - 1);
            words[n++] = at;
            inside = true;
        }
        if (*line == '"')
            quoted = !quoted;
        else if (line[0] == '%' && line[1] == 'h')
            at += snprintf(at, sizeof b->home, "%s", b->home), line++;
        else
            *at++ = *line;
    }
    *at = '\0';
    words[n] = NULL;
    return n;
}

int run(struct bench *b, const char *line)
{
    char mem[LINE_MAX_BYTES], *words[WORDS_MAX];
    int n = split(b, line, mem, words);
    size_t out_n, err_n;
    FILE *out, *err;

    texts_free(b);
    out = open_memstream(&b->out, &out_n);
    err = open_memstream(&b->err, &err_n);
    assert_true(out != NULL && err != NULL);
    b->code = cli_run(n, words, out, err);
    fclose(out);
    fclose(err);
    return b->code;
}

int parse(struct bench *b, struct cli *c, const char *line)
{
    char mem[LINE_MAX_BYTES], *words[WORDS_MAX];
    int n = split(b, line, mem, words);
    size_t err_n;
    FILE *err;

    texts_free(b);
    err = open_memstream(&b->err, &err_n);
    assert_non_null(err);
    cli_init(c, err, err);
    for (int i = 0; i < n; i++) /* they outlive this call, as argv does */
        assert_non_null(words[i] = arena_str(&c->arena, slice_of(words[i])));
    b->code = command_parse(c, n, words);
    fclose(err);
    c->out = c->err = NULL;
    return b->code;
}

char *file_text(const char *dir, const char *name)
{
    static char text[65536];
    char path[512];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "r");
    if (f == NULL)
        fail_msg("%s is not there", path);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

void file_put(const char *dir, const char *name, const char *text, unsigned mode)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}
