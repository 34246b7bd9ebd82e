#pragma once
/* HTTPS with the caller's certificate, by libcurl: TLS 1.2 or later, only the CA file that was named, no redirects, no
 * proxy for loopback. */
#include "cli/context.h"

struct call {
    const char *method;
    const char *url;   /* absolute */
    struct slice body; /* sent when has_body */
    bool has_body;
    const char *type;           /* Content-Type of the body */
    const char *accept;         /* NULL: anything */
    const char *const *headers; /* further ones, "Name: value"; NULL-terminated, or NULL */
    bool stream;                /* a 2xx body goes to c->out as it comes; else it is collected */
    bool patient;               /* no limit on the whole, only on silence */
    bool verbose;               /* both heads to c->err */
    size_t most;                /* of a 2xx body; 0: 256 MiB */
    bool may_miss;              /* a 404 is not told */
    void **session;             /* keeps the connection for further calls in what it points to; NULL: it ends */
};
struct reply {
    long status;
    struct slice type; /* media type without parameters; in the arena */
    struct buf body;   /* own: reply_done */
};
/* CLI_OK: a 2xx answer, whole. Anything else has been told (a problem as title, detail, places, remedy); *ret is valid
 * either way. */
int client_call(struct cli *c, const struct endpoint *e, const struct call *call, struct reply *ret);
void client_end(void *session); /* NULL is ok */
void reply_done(struct reply *r);

/* The administration API. `path` is behind /v1/; ids in it are encoded by path_put. A JSON answer, in the arena. */
int api_get(struct cli *c, const char *path, const struct doc **ret);
/* POST; `body` is JSON or empty. */
int api_post(struct cli *c, const char *path, struct slice body, const struct doc **ret);
/* The answer's bytes as they came; *ret is the caller's (buf_done). */
int api_bytes(struct cli *c, const char *method, const char *path, struct slice body, struct buf *ret);

/* Appends "a/b" with each segment percent-encoded. */
void path_put(struct buf *out, const char *id);
/* Appends ?name=value or &name=value, encoded. */
void query_put(struct buf *out, const char *name, const char *value);

/* A refusal as a person reads it: "title: detail [code]", the places, the remedy. */
void problem_show(struct cli *c, const struct doc *problem);
int exit_of_status(long status);
