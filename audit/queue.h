#pragma once
/* A queue: a single-producer single-consumer ring of rendered lines. The producer is the queue's owner, the consumer
 * the writer. Entries stay in the ring until their completion was delivered, so a commit that failed is simply read
 * again.
 *
 *   freed <= done <= taken <= tail      (positions only grow; offset = position mod capacity)
 *   tail    owner publishes entries     done    writer publishes results (index or error) inside the entries
 *   wanted  owner: commit at least to here     freed   owner: completion delivered, memory free
 *
 * The owner is woken through an eventfd: the writer counts in `sent` what it wrote there, the owner in `seen` what it
 * read from there, and the writer writes nothing while something is not seen. */
#include "audit/audit.h"
#include <stdalign.h>
#include <stdatomic.h>

enum { SLOT_ALIGN = 64, SLOT_WAITED = 1 << 8, SLOT_KEEP_FLAGS = 0xFF };
struct slot {
    uint32_t size; /* of slot and line, a multiple of SLOT_ALIGN */
    uint32_t n;    /* bytes of the line with LF; 0: filler up to the end of the ring */
    uint8_t kind;
    uint8_t err; /* result */
    uint16_t flags;
    uint16_t reason; /* what a refused attempt is counted under */
    uint32_t part;
    struct uuid exchange;
    uint64_t number; /* act number of an act, bytes of a progress */
    uint64_t index;  /* result */
    void *waiter;    /* owner's only */
};
_Static_assert(sizeof(struct slot) <= SLOT_ALIGN, "a slot's header is one cache line");

struct audit_queue {
    /* constant */
    struct audit_log *log;
    audit_done *done_fn;
    char *base, *mem; /* own; mem is base aligned */
    char *own;        /* own: this struct's memory before alignment */
    uint64_t capacity;
    int fd; /* own: eventfd */
    /* owner */
    alignas(SLOT_ALIGN) uint64_t put, freed;
    bool urgent, lazy;
    uint64_t gathered; /* `put` as audit_gathers found it */
    int64_t gather_ns; /* what gathers began then; 0: nothing does */
    bool hung;         /* as audit_look found it */
    /* owner to writer */
    alignas(SLOT_ALIGN) _Atomic uint64_t tail;
    _Atomic uint64_t wanted, seen;
    _Atomic bool closing;
    _Atomic uint32_t refused[REASON_COUNT_]; /* attempts turned away while the log was unavailable */
    /* writer to owner */
    alignas(SLOT_ALIGN) _Atomic uint64_t done;
    _Atomic uint32_t gone;
    /* writer */
    alignas(SLOT_ALIGN) uint64_t taken, sent;
    bool wake;
};

static inline struct slot *queue_slot(const struct audit_queue *q, uint64_t at)
{
    return (struct slot *)(void *)(q->mem + (at & (q->capacity - 1)));
}
static inline char *slot_line(struct slot *s)
{
    return (char *)s + SLOT_ALIGN;
}
/* What an attempt that could not be recorded is counted under; false: this kind is no attempt. */
static inline bool slot_attempt(enum audit_kind k, bool has_reason, enum reason r, uint16_t *ret)
{
    *ret = (uint16_t)(has_reason && (unsigned)r < REASON_COUNT_ ? r : REASON_EVIDENCE_UNAVAILABLE);
    return k == AUDIT_REFUSED || k == AUDIT_INTENT;
}
/* Writer: results up to `taken` are in the slots; publish, and wake the owner when somebody waits. */
void queue_publish(struct audit_queue *q);
