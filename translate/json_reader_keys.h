#pragma once
/* Inside the JSON reader: which keys the open objects have already.
 * Objects of one depth mostly have the same keys, so each depth has a list of the names it knows, and an object one bit
 * for each that it has: nothing is hashed. An object with a name too many falls back to 64-bit hashes seeded per
 * process, so that memory does not depend on the lengths of keys; two different keys of one object collide with a
 * chance of about 2^-40 at worst. Invariants: all keys of an object are in its bits, or all are hashed; hash entries
 * are a stack, the newest object's on top; an object of more than KEYS_LINEAR hashed members has all its entries in the
 * table; entries leave in the reverse order of their coming, so that clearing a slot never breaks a probe sequence;
 * `light` counts the bits of all open objects, so that the limit of open keys is the same for both ways. */
#include "translate/event.h"

enum { KEYS_LINEAR = 12 };
enum { KNOWN_MAX = 64, KNOWN_KEPT = 32, KNOWN_BYTES = 768, KNOWN_DEEP = 6 };

struct json_key_entry {
    uint64_t hash;
    uint32_t slot; /* in the table, from 1; 0: not there */
};
struct json_known { /* names of one depth */
    uint32_t n;
    uint32_t used;                      /* of text */
    struct member_memo memo[KNOWN_MAX]; /* their names lie in `text`, each followed by KNOWN_BEHIND */
    char text[KNOWN_BYTES + 16];        /* the last sixteen are there to be read only */
};
/* What mostly follows a name: where it is compared, so are these. */
#define KNOWN_BEHIND "\":\""
enum { KNOWN_BEHIND_N = sizeof KNOWN_BEHIND - 1 };

struct json_members {         /* of one open object */
    uint64_t seen;            /* bit i: has the i-th known name */
    struct json_known *known; /* bor: of its depth; NULL: its keys are hashed */
    uint32_t next;            /* the known name that is likely to come */
    uint32_t base;            /* of its hash entries */
    uint32_t light;           /* of the reader, when it was opened */
};
struct json_keys {
    struct json_key_entry *stack; /* own */
    uint32_t *table;              /* own: index into stack, from 1; 0: free */
    uint32_t n, room;             /* of stack */
    uint32_t size, used;          /* of table; size is 0 or a power of two */
    uint32_t light;
    uint64_t seed;
    struct json_known *known[KNOWN_DEEP]; /* own; NULL: no object of that depth has come yet */
};

void json_keys_init(struct json_keys *k);
void json_keys_done(struct json_keys *k);
size_t json_keys_bytes(const struct json_keys *k); /* of the known names */
/* Forget everything but short lists of known names, which the next text may have too; keep the memory, and `memos`. */
void json_keys_reset(struct json_keys *k, bool memos);
/* An object begins, `depth` objects and arrays inside others. */
enum err json_members_begin(struct json_keys *k, struct json_members *m, unsigned depth) MUST_CHECK;
/* Add a key to the newest object. ERR_INVALID: it has that key; ERR_TOO_LARGE: too many members. */
/* `plain`: the key has nothing in it that JSON escapes, as far as is known. */
enum err json_members_add(struct json_keys *k, struct json_members *m, struct slice key, bool plain,
                          struct member_memo **ret_memo) MUST_CHECK;
/* The same for the i-th known name of it. */
static inline enum err json_members_add_known(struct json_keys *k, struct json_members *m, uint32_t i)
{
    uint64_t bit = (uint64_t)1 << i;

    if (k->n + k->light >= JSON_OPEN_MAX)
        return ERR_TOO_LARGE;
    if (m->seen & bit)
        return ERR_INVALID;
    m->seen |= bit;
    m->next = i + 1;
    k->light++;
    return ERR_OK;
}
/* The newest object ends: its keys go. */
void json_members_end(struct json_keys *k, const struct json_members *m);
