#pragma once
/* Inside the compiler of `request:`: what its parts share while one manifest is compiled. */
#include "translate/request.h"

struct request_compile {
    struct plan_request *r; /* in the arena */
    const struct translate_item *items;
    size_t n_items;
    const struct doc *namespaces; /* prefix: URI; NULL: none */
    bool borrowed;                /* these are the response's: each is checked when it is used */
    const struct doc *path;       /* connector.path; NULL: none */
    struct arena *a;
    struct diags *d;
    bool whole; /* the body passes unread */
    bool bad;   /* something was reported */
    bool nomem; /* the arena is full */
    int headers;
    uint64_t path_filled; /* bit i: piece i of the path has its row */
};

#define REQUEST_BAD(c, node, ...)                                                                                      \
    ((c)->bad = true,                                                                                                  \
     (void)diag_add((c)->d, ERR_INVALID, (node) ? (node)->line : 0, (node) ? (node)->col : 0, __VA_ARGS__))

/* Cut connector.path into literal pieces and placeholders. */
void request_compile_path(struct request_compile *c);
/* Read `to` of a row whose source is known; hangs the row where it goes. */
void request_compile_to(struct request_compile *c, const struct doc *to, struct plan_row *row);
/* Hang a row under an XML path or a JSON pointer. */
void request_tree_xml(struct request_compile *c, const struct doc *to, struct plan_row *row);
void request_tree_json(struct request_compile *c, const struct doc *to, struct slice pointer, struct plan_row *row);
/* Whether an entry of `namespaces` can be declared in a document. */
bool request_check_ns(struct request_compile *c, const struct doc *n);
/* The namespace of that URI, under the prefix wanted when it is new. */
const struct plan_ns *request_tree_ns(struct request_compile *c, struct slice prefix, struct slice uri);
/* A child element of the root; found or made. NULL: no memory. */
struct plan_node *request_tree_child(struct request_compile *c, struct plan_node *under, const struct plan_ns *ns,
                                     struct slice name, bool attr);
bool xml_ncname(struct slice s);  /* Namespaces in XML 1.0, production 4; of valid UTF-8 */
bool xml_text_ok(struct slice s); /* XML 1.0 section 2.2 Char, of valid UTF-8 */
