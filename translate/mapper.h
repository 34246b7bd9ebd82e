#pragma once
/* Inside translate: events of a provider's document into records.
 * A struct mapper is one run's whole state. Each document (the outer one, and those nested in its text) has a struct
 * map_doc with a stack of frames; a frame is the set of trie nodes that its element matched. Elements that match
 * nothing are skipped by counting. Invariants: one text is gathered at a time; values of the open record lie in `text`
 * (at most RECORD_MAX); outside a record what was delivered leaves `text`, but only its own bytes: those before it may
 * be stashed; finished entries of list items lie rendered in `lists` (together at most RECORD_MAX); nothing grows with
 * the length of the answer. */
#include "translate/event.h"
#include "translate/value.h"

enum { FRAMES_MAX = READER_DEPTH_MAX + 4 };

struct map_frame {
    uint16_t first, n; /* in `active` */
    bool bare;         /* one node that is bare, active */
    bool nil;          /* xsi:nil, or JSON null where a record or an entry stands */
    bool misplaced;    /* JSON: a text, or an array that is not mapped, where a record or an entry stands */
};
enum map_state { MAP_ACTIVE, MAP_WAITING /* for the attribute of its predicate */, MAP_MET };
struct map_stash { /* an attribute seen before it is known whether its element matches */
    const struct map_node *node;
    const struct map_bind *bind;
    uint32_t at, n;
};
struct xml_reader;
struct mapper;
struct map_doc {
    struct mapper *m;
    unsigned level; /* 0: the outer document */
    const struct map_level *root;
    unsigned depth, skip; /* open elements that matched; open elements below the last of them */
    bool beside;          /* the outermost of the latter stands where records would, and no path knows it */
    unsigned used;        /* of `active` */
    bool pending;         /* the frame on top holds nodes that are not MAP_ACTIVE */
    bool filled;          /* the gathered text has begun */
    bool leaf_nil;
    const struct map_level *members_of; /* is_simple is true, of these children; &map_nowhere: not known */
    const struct map_node *leaf;  /* open above all frames: has map_node.leaf and needs no frame unless it surprises */
    const struct map_node *again; /* bare, was the only match of a child of a frame of one node with these children: */
    const struct map_level *again_of;
    unsigned gather, stream;  /* depth of the element whose text is gathered, or is a document; 0: none */
    uint32_t at;              /* of the gathered text */
    struct xml_reader *inner; /* own; reads the text at `stream` */
    struct map_frame frames[FRAMES_MAX];
    const struct map_node **active, **hints;
    uint8_t *states;
    uint32_t *counts;
    struct map_stash *stash;
    unsigned n_stash;
};

/* A record whose values come in the order of its fields, and all go out as they came, is written in the record's text
 * as they come: ,"name":"value" for each. Whatever else happens to that text or to a value breaks the line, and the
 * record is written from its values when it is over. */
enum { LINE_BROKEN = UINT32_MAX };
struct map_line {
    uint32_t n;    /* bytes that it has put into the text: all there are, or something else came in */
    uint32_t next; /* the first slot that may come; LINE_BROKEN: none */
};

struct mapper {
    const struct translate_plan *plan; /* bor: until translate_close */
    const struct plan_response *r;
    struct translate_want want;
    struct translate_outcome outcome;
    struct buf *out; /* bor: until translate_close */
    struct buf text, scratch;
    struct map_line line;
    bool may_line;        /* in this run there is nothing against it */
    struct value *values; /* by slot */
    struct buf *lists;    /* by group: finished entries of the open record */
    size_t listed;        /* bytes in all of them */
    bool failed, refused; /* refused: by HTTP status; only the code is still looked for */
    bool in_record, began, parent_seen, records_seen, fault, code_seen;
    bool code_in_record; /* not_found was said inside what would be a record */
    bool strange;        /* XML: a root that no path begins with */
    bool stray,
        foreign; /* XML, where records would be: text; an element that no path knows, with elements of its own */
    struct map_doc *docs[MAP_NESTED_MAX + 1];   /* own, but the first, which lies in the run */
    uint64_t (*offset)(const struct mapper *m); /* of the outer reader */
};

extern const struct event_sink map_sink; /* self: struct map_doc */
extern const struct map_level map_nowhere;

size_t map_doc_size(const struct plan_response *r);
void map_doc_init(struct map_doc *d, struct mapper *m, unsigned level);
/* Frees what the documents own, and the lists. */
void mapper_done(struct mapper *m);
/* The document is over: everything that had to be there was. Writes the closing text. */
enum err mapper_finish(struct mapper *m) MUST_CHECK;

/* First failure wins; fills the place. Returns an error that stops the reader. */
enum err mapper_fail(struct mapper *m, enum reason reason, enum err e);
enum err mapper_reader_failed(struct mapper *m, enum err e); /* the same for what a reader returned */

/* A leaf that is open gets its frame after all. */
void map_leaf_frame(struct map_doc *d);

/* mapper_doc.c: the text at `stream` is a document */
enum err map_nested_text(struct map_doc *d, struct slice piece) MUST_CHECK;
enum err map_nested_end(struct map_doc *d) MUST_CHECK;

/* mapper_group.c: records and entries of list items */
enum err group_begin(struct map_doc *d, uint16_t group) MUST_CHECK;
enum err group_end(struct map_doc *d, uint16_t group, const struct map_frame *f) MUST_CHECK;
enum err group_take(struct map_doc *d, const struct map_bind *b, enum value_kind kind, uint32_t at,
                    uint32_t n) MUST_CHECK;
/* A text for a slot of the open record or entry. */
static inline void group_put(struct mapper *m, uint16_t slot, enum value_kind kind, uint32_t at, uint32_t n, bool raw)
{
    struct value *v = &m->values[slot];

    if (v->kind != VALUE_ABSENT) /* which of several is meant is not for us to guess: the path needs a [n] */
        kind = VALUE_BAD;
    v->at = at;
    v->n = n;
    v->kind = (uint8_t)kind;
    v->raw = raw;
    m->line.next = LINE_BROKEN;
}
/* mapper_result.c: result codes and faults */
enum err result_code(struct mapper *m, struct slice text, bool fault) MUST_CHECK;
void stray_text(struct map_doc *d, struct slice piece); /* of an element whose text is not mapped */
bool holds_records(const struct map_doc *d); /* the element on top: its children are records, or beside them */

/* writer.c: one record, one entry, begin and end of an answer in the form wanted */
bool writer_may_line(const struct mapper *m); /* its form and its fields let records be written as they come */
void writer_begin(struct mapper *m);
void writer_record(struct mapper *m);
void writer_entry(struct mapper *m, const struct map_group *g, struct buf *out, bool first);
void writer_end(struct mapper *m);
