/* One folder a log: log/, vkey, kept, verdict.json. One line a proof, all in proofs.<pid>. */
#include "tests/unit/audit/second.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder(void)
{
    return getenv("SLUICE_SECOND");
}

static void failed(const char *what)
{
    fprintf(stderr, "second: cannot write %s\n", what);
    abort();
}

static void put(const char *where, const char *name, struct slice text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", where, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || (text.n > 0 && fwrite(text.p, 1, text.n, f) != text.n) || fclose(f) != 0)
        failed(path);
}

void second_log(const char *dir, const struct second_log *l, const struct audit_report *r)
{
    static unsigned n;
    char where[512], text[1200];
    if (folder() == NULL)
        return;
    snprintf(where, sizeof where, "%s/%d-%u", folder(), (int)getpid(), n++);
    snprintf(text, sizeof text, "cp -a '%s' '%s/log'", dir, where);
    if (mkdir(where, 0700) != 0 || system(text) != 0)
        failed(where);
    put(where, "vkey", l->vkey);
    put(where, "kept", l->kept);
    snprintf(text, sizeof text,
             "{\"part\":%s,\"verified\":%s,\"bad\":\"%s\",\"bad_index\":%llu,\"bad_last\":%llu,\"size\":%llu,"
             "\"checkpoint_size\":%llu,\"torn_tail\":%s}\n",
             l->part ? "true" : "false", r->failed ? "false" : "true", r->failed ? r->bad_what : "",
             (unsigned long long)r->bad_index, (unsigned long long)r->bad_last, (unsigned long long)r->size,
             (unsigned long long)r->checkpoint_size, r->torn_tail ? "true" : "false");
    put(where, "verdict.json", slice_of(text));
}

static void put_hex(FILE *f, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        fprintf(f, "%02x", (uint8_t)s.p[i]);
}

void second_proof(struct slice proof, struct slice line, struct slice vkey, const char *bad)
{
    static FILE *f;
    char path[512];
    if (folder() == NULL)
        return;
    snprintf(path, sizeof path, "%s/proofs.%d", folder(), (int)getpid());
    if (f == NULL && (f = fopen(path, "wb")) == NULL)
        failed(path);
    put_hex(f, proof);
    fputc(' ', f);
    put_hex(f, line);
    fputc(' ', f);
    put_hex(f, vkey);
    fprintf(f, " %s.\n", bad);
    if (fflush(f) != 0)
        failed(path);
}
