#pragma once
/* What the readers and writers of base/doc share: building a tree level by level, places, and the scalars' grammar.
 * Invariants of a struct tree: levels[depth] is the container being filled, levels[0] a list that holds the document or
 * documents; `failed` is set once reading cannot go on, `worst` also by what is merely refused. */
#include "base/doc/doc.h"

struct place {
    struct slice text;
    size_t at;          /* the place of this offset: */
    unsigned line, col; /* from 1; columns are code points */
};
/* Forward only: a whole document costs one pass. */
void place_move(struct place *p, size_t at);

struct level {
    struct doc *node, *last; /* in the arena */
    struct slice key;
    unsigned key_line, key_col;
    bool has_key;
};
struct tree {
    struct arena *arena; /* bor: for the reading */
    struct diags *diags; /* bor: for the reading; may be NULL */
    enum err failed, worst;
    unsigned nodes, depth;
    struct level levels[DOC_DEPTH_MAX + 1];
};

bool tree_init(struct tree *t, struct arena *a, struct diags *d);
/* All return false, with `failed` set and reported, when reading must end. */
bool tree_key(struct tree *t, struct slice key, unsigned line, unsigned col);
bool tree_scalar(struct tree *t, enum doc_type type, struct slice text, unsigned line, unsigned col);
bool tree_open(struct tree *t, enum doc_type type, unsigned line, unsigned col);
bool tree_close(struct tree *t);
bool tree_no_room(struct tree *t, unsigned line, unsigned col);
/* The text is valid UTF-8, or the place of its first wrong byte is reported. A byte order mark is cut off. */
bool tree_check_text(struct tree *t, struct slice *text);
enum err tree_result(const struct tree *t);

/* Length of the JSON number that `s` begins with; 0: none, or one that breaks off. */
size_t number_span(struct slice s);
/* The type of an unquoted scalar. */
enum doc_type plain_type(struct slice s);
/* A text from outside for use in a message: cut to a few words, control characters replaced; never NULL. */
const char *shown(struct arena *a, struct slice s);

/* One value of a binding, by kind. False: reported. */
struct binding {
    const struct doc_key *key;
    const struct doc *node;
    void *at;
    struct arena *arena;
    struct diags *diags;
};
bool bind_value(const struct binding *b);
/* The nearest of `count` words, or NULL when none is near. */
const char *nearest(struct slice word, const char *(*word_at)(const void *words, size_t i), const void *words);
