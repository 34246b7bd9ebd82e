#pragma once
/* Inside the JSON reader: which keys the open objects have already. Keys are remembered as 64-bit hashes seeded per
 * process, so that memory does not depend on their lengths; two different keys of one object collide with a chance of
 * about 2^-40 at worst. Invariants: entries are a stack, the newest object's on top; an object of more than KEYS_LINEAR
 * members has all its entries in the table; entries leave in the reverse order of their coming, so that clearing a slot
 * never breaks a probe sequence. */
#include "base/core/core.h"

enum { KEYS_MEMBERS_MAX = 4096, KEYS_OPEN_MAX = 16384, KEYS_LINEAR = 12 };

struct json_key_entry {
    uint64_t hash;
    uint32_t slot; /* in the table, from 1; 0: not there */
};
struct json_keys {
    struct json_key_entry *stack; /* own */
    uint32_t *table;              /* own: index into stack, from 1; 0: free */
    uint32_t n, room;             /* of stack */
    uint32_t size, used;          /* of table; size is 0 or a power of two */
    uint64_t seed;
};

void json_keys_init(struct json_keys *k);
void json_keys_done(struct json_keys *k);
/* Forget everything, keep the memory. */
void json_keys_reset(struct json_keys *k);
/* Add a key to the newest object, whose entries begin at `base`. ERR_INVALID: it has that key; ERR_TOO_LARGE: too many
 * members. */
enum err json_keys_add(struct json_keys *k, uint32_t base, struct slice key) MUST_CHECK;
/* The newest object ends: its entries go. */
void json_keys_pop(struct json_keys *k, uint32_t base);
