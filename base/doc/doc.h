#pragma once
/* base/doc: settings, manifests and API bodies as one tree, read from YAML or JSON, that keeps line and column;
 * a table-driven binder from tree to struct, so that every unknown key, wrong type and bad range is an error with its
 * place; and writers of both forms. libyaml is not seen outside; JSON is read by a reader of our own that keeps places
 * (decision 002). Trees are immutable after parsing and live in the arena that was given. Thread rule: a tree is read
 * by any thread. */
#include "base/core/core.h"

enum doc_type { DOC_NULL, DOC_BOOL, DOC_NUMBER, DOC_STRING, DOC_LIST, DOC_MAP };
enum { DOC_DEPTH_MAX = 32, DOC_NODES_MAX = 200000, DOC_DIRECTIVES_MAX = 16 };

struct doc {
    enum doc_type type;
    unsigned line, col; /* from 1, of the value; JSON too */
    struct slice text;  /* the scalar as written: numbers stay text; strings decoded, valid UTF-8 */
    struct slice key;   /* when it is a member of a map */
    unsigned key_line, key_col;
    const struct doc *first, *next; /* children of a list or map in document order; next sibling */
    unsigned count;
    bool flag; /* DOC_BOOL: the value */
};

/* YAML 1.1 as libyaml reads it, core schema for plain scalars (true/false, null/~/empty, numbers by JSON's grammar;
 * everything else is a string: 0012, 1.2.3, yes, no, 2026-01-01 are strings). Anchors, aliases, tags and duplicate keys
 * are refused. *ret is a DOC_LIST with one child a document. */
enum err doc_read_yaml(struct slice text, struct arena *a, struct diags *d, const struct doc **ret) MUST_CHECK;
/* RFC 8259, one value, duplicate keys refused, depth and nodes capped. */
enum err doc_read_json(struct slice text, struct arena *a, struct diags *d, const struct doc **ret) MUST_CHECK;

const struct doc *doc_get(const struct doc *map, const char *key); /* NULL: absent, or not a map */
const struct doc *doc_get_slice(const struct doc *map, struct slice key);
struct slice doc_text(const struct doc *map, const char *key); /* a scalar's text; empty when absent or no scalar */
bool doc_flag(const struct doc *map, const char *key);         /* true only for a true */
uint64_t doc_u64(const struct doc *map, const char *key, uint64_t otherwise);
#define DOC_EACH(child, parent)                                                                                        \
    for (const struct doc *child = (parent) ? (parent)->first : NULL; child; child = child->next)
const char *doc_type_name(enum doc_type t, enum lang lang);

/* ---- binding: a table says which keys a map may have and where each value goes ---- */
enum doc_kind {
    DOC_K_STR,      /* struct slice */
    DOC_K_IDENT,    /* struct slice, [a-z][a-z0-9-]{0,62} */
    DOC_K_PATH2,    /* struct slice, ident/ident */
    DOC_K_TITLE,    /* struct doc_title: a string (both languages) or {zh:, en:} */
    DOC_K_BOOL,     /* bool */
    DOC_K_U64,      /* uint64_t in [min, max] */
    DOC_K_DURATION, /* int64_t milliseconds in [min, max] */
    DOC_K_BYTES,    /* uint64_t; "16k" "4m" "1g" or a number, in [min, max] */
    DOC_K_DATE,     /* int32_t days since 1970 */
    DOC_K_TIME,     /* int64_t wall ms (RFC 3339) */
    DOC_K_ENUM,     /* int; words[] */
    DOC_K_STRS,     /* struct doc_strs: list of scalars (one scalar counts as a list of one) */
    DOC_K_NODE,     /* const struct doc *: left to the caller, any type */
    DOC_K_MAP,      /* const struct doc *: must be a map */
    DOC_K_LIST,     /* const struct doc *: must be a list */
};
struct doc_title {
    struct slice zh, en; /* each falls back to the other */
};
struct doc_strs {
    const struct slice *at;
    size_t n;
};
enum {
    DOC_REQUIRED = 1,
    DOC_STATIC = 2 /* a setting that a reload may not change */,
    DOC_LATER = 4 /* refused by name: not yet */
};
struct doc_key {
    const char *name;
    enum doc_kind kind;
    size_t offset;
    int64_t min,
        max; /* numbers, durations, bytes (max 0: no upper bound); string lengths in code points when max > 0 */
    const char *const *words; /* DOC_K_ENUM: NULL-terminated */
    unsigned flags;
    const char *otherwise; /* default, read as if written; NULL: zero value */
    const char *help[2];   /* by enum lang */
};
/* Fill *out (already zeroed by the caller) from `map` by the table (ended by a row with name NULL). Reports every
 * unknown key (with the nearest known name as remedy), missing key, wrong type and bad value into d. ERR_INVALID when
 * anything was reported. */
enum err doc_bind(const struct doc *map, const struct doc_key *keys, void *out, struct arena *a,
                  struct diags *d) MUST_CHECK;

/* ---- writing ---- */
void doc_put_json(const struct doc *node, struct json *j);         /* canonical: key order of the tree */
void doc_put_json_pretty(const struct doc *node, struct buf *out); /* two blanks of indent, final LF */
void doc_put_yaml(const struct doc *node,
                  struct buf *out); /* block style; strings quoted where YAML would read them otherwise */
