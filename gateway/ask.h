#pragma once
/* What a consumer's head asks for. Inside gateway/ only. */
#include "gateway/problem.h"
#include "translate/translate.h"

struct exchange;
struct http_call;
struct http_head;

struct ex_ask {                        /* READ_HEAD: what was said; slices in the arena */
    bool get;                          /* GET; else POST */
    struct slice department, resource; /* of the path; resource is "department/resource" */
    struct slice query, purpose, grant, operator_, case_;
    struct slice accept;
    struct slice trace; /* the consumer's trace id; empty: the trace begins here */
    bool sampled;
    enum translate_form form;
    bool no_form;      /* accept names none that an answer can have */
    bool chunked;      /* a body follows whose length is not told */
    uint8_t types;     /* how many Content-Types there are; 2: or more */
    struct slice type; /* the first; empty: JSON, or none */
    enum reason late;  /* a fault of these for all but an upload; REASON_INTERNAL: none */
    enum problem_form problem;
    enum lang lang;
};
enum { ASK_TEXT = 500 };
struct ask_memo {      /* what a kept head asks for */
    uint64_t number;   /* of the head; 0: none */
    struct ex_ask ask; /* its parts lie in `text`; empty ones anywhere */
    size_t n;
    uint8_t length[4];
    char text[ASK_TEXT];
};

/* ask.c: the head's parts, copied and checked, into x->ask. A fault is kept in x->reason for the read-head stage. */
void ask_read(struct exchange *x, const struct http_head *h);
/* ask_memo.c: the same, and for a head that came before without reading it. Within the call's head(). */
void ask_remember(struct exchange *x, struct http_call *call, const struct http_head *h);
