#pragma once
/* Inside translate: what a manifest compiles to. Built once by translate_compile, immutable, shared by all threads.
 * The response mapping is a trie of steps: a node is one element name (with its predicate) below its parent; what to do
 * when an element matches hangs on the node. Any node is active at most once at a time in one document, so a run needs
 * one counter a node and no allocation an element. */
#include "translate/request.h"
#include "translate/translate.h"
#include "translate/xml_decode.h"

enum plan_format { PLAN_XML, PLAN_JSON };
enum { MAP_NODES_MAX = 2048, MAP_GROUPS_MAX = 32, MAP_SLOTS_MAX = 1024, MAP_NESTED_MAX = 3 };

/* Where a text or an attribute goes. */
enum map_target { MAP_TO_SLOT, MAP_TO_CODE, MAP_TO_FAULT };
struct map_bind {
    struct slice ns, name; /* of the attribute; unused for text */
    enum map_target target;
    uint16_t slot; /* MAP_TO_SLOT */
    struct map_bind *next;
};

/* The children of a node, or of a document. Shared: both SOAP Bodies lead to the same one. */
struct map_level {
    struct map_node *first; /* distinct names; variants of one name hang on `same` */
    uint16_t id;            /* index of a run's search hint */
    bool counted;           /* some child has a [n] */
};

enum { MAP_PARENT = 1 /* holds the records */, MAP_NESTED = 2 /* text is a document */, MAP_FAULT = 4 };
enum { MAP_NO_GROUP = 0xffff, MAP_NO_SLOT = 0xffff };
struct map_field;
struct map_node {
    struct slice ns, name;
    struct slice pred_ns, pred, pred_value; /* [@a='v']; empty pred: none */
    uint32_t nth;                           /* [n] among those that match the rest; 0: all */
    uint16_t id, flags, group;              /* group: an instance of it begins here */
    uint16_t leaf; /* slot, when all there is to the node is that its text goes there; else MAP_NO_SLOT */
    const struct map_field *field; /* of the leaf's slot; else NULL */
    bool bare;                     /* all there is to the node are its children, and a group that begins */
    struct map_bind *texts, *attrs;
    struct map_level *kids;
    struct map_node *next, *same;
    unsigned line, col; /* of the path that made it, for error texts */
};

/* One declared item at its place: in the record (group 0) or in an entry of a list item. */
enum map_easy { /* what needs none of codes, texts for empty, and formats of its own */
                MAP_NOT_EASY,
                MAP_EASY_TEXT,   /* C and M */
                MAP_EASY_MASKED, /* the same, when it is given clear; in a run one of the others */
                MAP_EASY_DATE
};
struct map_field {
    const struct translate_item *item;
    enum map_easy easy;
    uint32_t limit;        /* code points of an easy text; UINT32_MAX: any number */
    struct slice json_key; /* ,"name": and behind it a quote, and what fills up to a multiple of sixteen bytes */
    struct slice xml_open, xml_close; /* <name> and </name> */
    const struct slice *codes;        /* sorted; NULL: any */
    size_t n_codes;
    uint16_t top; /* index of the top-level item: grants and masks go by it */
    uint16_t slot;
    uint16_t group; /* type 'A': of its entries; else MAP_NO_GROUP */
};
struct map_group {
    const struct map_field *fields; /* manifest order; slots are `slot0 + i` */
    uint16_t n, slot0, id;
    uint16_t top;  /* of the list item; unused for the record */
    bool own_text; /* something is bound to the group element's own text */
    bool lists;    /* some field is one */
};

struct plan_response {
    enum plan_format format;
    enum xml_label told;    /* what its bytes are, whatever they say; XML_LABEL_NONE: what they say, and a trial */
    struct map_level *root; /* of the outer document: Envelope, or the same as `doc` */
    struct map_level *doc;  /* of a nested document */
    struct map_group groups[MAP_GROUPS_MAX];
    const struct map_field *const *slot_fields; /* by slot */
    uint16_t n_groups, n_slots, n_nodes, n_levels;
    bool has_code, has_nested;
    bool empty_ok;            /* a missing records path is an empty answer */
    bool records_have_parent; /* zero records are legitimate when the parent was seen */
    struct doc_strs ok, not_found;
    uint16_t status[8]; /* HTTP statuses accepted besides 2xx */
    uint8_t n_status;
    const struct plan_whole *whole; /* the body passes unread, and of the rest nothing is used; NULL: it is mapped */
};
enum { WHOLE_TYPES_MAX = 8 };
struct plan_whole {                           /* whole.c */
    struct slice types[WHOLE_TYPES_MAX], all; /* Content-Types that may pass; the same in one header's value */
    size_t n;
    size_t item; /* its index */
};

struct translate_plan {
    struct slice resource;  /* public-security/household */
    struct slice xmlns;     /* urn:sluice:public-security:household:1 */
    struct slice json_head; /* {"resource":"…","records":[ */
    uint64_t version;
    uint64_t serial; /* another one for every plan that this process compiles; not 0 */
    const struct translate_item *items;
    size_t n_items;
    const struct plan_request *request;   /* compiled by request.c */
    const struct plan_response *response; /* compiled by plan_response.c */
};

/* Compile `request.whole` and `request.types`. */
enum err whole_upload_compile(const struct doc *manifest, const struct doc *types, const struct translate_item *items,
                              size_t n, struct arena *a, struct diags *d, const struct plan_whole **ret) MUST_CHECK;
/* Index of the item that `request.whole` names: the consumer sends it, and no answer holds it. n: there is none. */
size_t whole_uploaded(const struct doc *manifest, const struct translate_item *items, size_t n);
/* Compile `response.whole` and `response.types`. */
enum err whole_compile(const struct doc *manifest, const struct doc *types, const struct translate_item *items,
                       size_t n, struct arena *a, struct diags *d, const struct plan_whole **ret) MUST_CHECK;
/* Whether an Accept header covers the media type "a/b" (form.c). */
bool form_wanted(struct slice accept, struct slice type);
/* Compile the `response` part. `soap`: paths start inside Body. */
enum err response_compile(const struct doc *manifest, const struct translate_item *items, size_t n, struct arena *a,
                          struct diags *d, const struct plan_response **ret) MUST_CHECK;
