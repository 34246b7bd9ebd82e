#pragma once
/* The intents that have no outcome yet: exchange and part, with the bytes their last progress stated.
 * Owned by the writer (or by audit_open before it runs). Keys are made by this gateway, so the hash needs no secret. */
#include "audit/audit.h"

struct openset_entry {
    struct uuid exchange;
    uint32_t part;
    bool used;
    uint64_t bytes;
};
struct openset {
    struct openset_entry *slots; /* own; a power of two of them */
    size_t room, count;
};

void openset_done(struct openset *s);
/* Room for `more` further intents; after it, that many openset_add cannot fail. */
enum err openset_reserve(struct openset *s, size_t more) MUST_CHECK;
void openset_add(struct openset *s, struct uuid exchange, uint32_t part,
                 uint64_t bytes); /* known: bytes are replaced */
void openset_progress(struct openset *s, struct uuid exchange, uint32_t part, uint64_t bytes); /* unknown: nothing */
void openset_remove(struct openset *s, struct uuid exchange, uint32_t part);
/* What one durable record means for the set. */
void openset_apply(struct openset *s, enum audit_kind k, struct uuid exchange, uint32_t part, uint64_t bytes);
/* The entry at or after slot *at, which is moved behind it; NULL at the end. */
const struct openset_entry *openset_each(const struct openset *s, size_t *at);
