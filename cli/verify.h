#pragma once
/* What the two files of `sluice audit verify` share: a log behind an address. */
#include "cli/client.h"

struct far {
    struct cli *cli;
    struct endpoint e;
    const char *server, *dir; /* dir: where the copy goes; NULL: none is kept */
    void *session;            /* own: the connection */
    FILE *segment;            /* own */
    struct slice checkpoint;  /* the newest; in the arena */
    struct slice witnessed;   /* the newest with its quorum; empty: there is none, or nobody asked */
    int code;                 /* of what went wrong, and has been told */
};
/* Reads the checkpoint first, before it the witnessed one where that is wanted: it is never the newer. An exit code;
 * failures have been told, and then there is nothing to close. */
int far_open(struct cli *c, const char *url, bool witnessed, struct far *ret);
int far_close(struct far *f); /* f->code, or that the copy could not be written */
/* For audit_verify_remote. Memory is given back with each call, whatever comes. */
enum err far_fetch(void *far, const char *path, struct buf *out);
enum err far_take(void *far, uint64_t index, struct slice line);
