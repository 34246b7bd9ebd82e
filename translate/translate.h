#pragma once
/* translate: between what a consumer says (JSON) and what a provider speaks (XML, SOAP, JSON), by the mapping of the
 * manifest. Three parts: a plan, compiled once from the manifest and shared by all threads; a request, rendered in
 * memory; a run, which turns the provider's bytes into the consumer's as a stream in bounded memory. Invariants:
 * numbers stay text; arrays come from the plan, never from the instance; an undeclared field never comes out; no value
 * is ever part of an error text (only paths, names and positions are). Knows no sockets, grants or certificates: bytes
 * in, bytes out. */
#include "base/doc/doc.h"

/* Of what is read, wherever it comes from: a name or a value, a record, levels of a document. */
enum {
    TOKEN_MAX = 1 << 20,
    RECORD_MAX = 1 << 20,
    READER_DEPTH_MAX = 64,
    JSON_MEMBERS_MAX = 4096, /* of one object */
    JSON_OPEN_MAX = 16384,   /* of all objects around one place together */
    XML_ATTRS_MAX = 256,
    XML_NAMESPACES_MAX = 256, /* that hold at one place, of all elements around it together */
    XML_NAMES_MAX = 1 << 20,  /* bytes of all different names */
    XML_QUOTES_MAX = 8192,    /* of one token, where it is long */
    REFUSAL_MAX = 65536       /* of the body of an HTTP error, read only for its code */
};

/* ---- what the catalog knows of an item; filled by the caller, all slices live as long as the plan's arena ---- */
struct translate_code {
    struct slice code, title;
};
struct translate_item {
    struct slice name;
    char type;     /* C N Y D T L M G B I F (DOMAIN.md 2.5), or 'A': a list of items */
    uint8_t level; /* sensitivity 1..4 */
    bool key;
    uint32_t length;                    /* code points; 0: no limit */
    struct slice mask;                  /* default mask: "name", "id-card"; empty: none */
    struct slice check;                 /* name of a check in base/core/checks.h; empty: none */
    struct doc_strs format_in;          /* dates: yyyyMMdd and the like, tried in order */
    struct doc_strs empty_as;           /* provider texts that mean "no value" */
    const struct translate_code *codes; /* allowed codes; NULL: any */
    size_t n_codes;
    const struct translate_item *items; /* type 'A' */
    size_t n_items;
};
enum { TRANSLATE_ITEMS_MAX = 256 };

/* Masks by name, as a table: "name", "id-card". Counted in code points; too short for its keep-lengths: all masked.
 * Blanks around a value stay as they are and count for nothing. */
bool translate_mask_known(struct slice name);
void translate_mask(struct slice name, struct slice value, struct buf *out);

/* ---- plan ---- */
struct translate_plan;
/* Compile the `request`, `response`, `connector.kind`, `connector.operation` and `format` parts of a Resource manifest
 * against its items. Everything wrong is reported with line, column and remedy. The plan lives in `a` and is immutable.
 */
enum err translate_compile(const struct doc *manifest, const struct translate_item *items, size_t n,
                           struct slice resource, uint64_t version, struct arena *a, struct diags *d,
                           const struct translate_plan **ret) MUST_CHECK;
bool translate_safe(const struct translate_plan *p); /* request.safe */

/* ---- parameters ---- */
struct translate_param {
    struct slice name, value; /* name: the plan's; value: UTF-8 in the arena */
    uint8_t level;            /* the item's of that name, else as declared, else 3 */
    bool person;              /* level 3 or more: only its pseudonym may be recorded */
};
struct translate_params {
    struct translate_param at[32];
    size_t n;
};
/* Declared parameters, for help and for API descriptions: the i-th, or false past the end. */
bool translate_param_at(const struct translate_plan *p, size_t i, struct slice *name, bool *required, uint8_t *level);
struct translate_refusal {
    enum reason reason;    /* REASON_PARAMETER_INVALID, REASON_PARAMETER_IN_URL, … */
    const char *detail[2]; /* by enum lang: which parameter and why, never its value; in the arena */
};
/* From a POST body: one JSON object of strings, numbers or booleans (kept as text); undeclared, duplicate, missing and
 * ill-formed ones refused. Reserved: "_items" (string "a,b" or list). ERR_INVALID fills *why. */
enum err translate_params_json(const struct translate_plan *p, struct slice body, struct arena *a,
                               struct translate_params *ret, struct slice *ret_items,
                               struct translate_refusal *why) MUST_CHECK;
/* From a query string; parameters of level 3 and above are refused with REASON_PARAMETER_IN_URL. */
enum err translate_params_query(const struct translate_plan *p, struct slice query, struct arena *a,
                                struct translate_params *ret, struct slice *ret_items,
                                struct translate_refusal *why) MUST_CHECK;

/* ---- the provider's request ---- */
struct translate_context { /* what {from: …} may name; empty when unknown */
    struct slice operator_, case_, app, department, purpose, exchange, now;
};
struct translate_header {
    struct slice name, value;
};
struct translate_request {
    struct slice method;                 /* "POST"; static or of the plan */
    struct slice target;                 /* appended to the endpoint's path: "", "/a/b", "?x=1", encoded */
    struct slice content_type;           /* empty: no body */
    struct slice body;                   /* in the plan's encoding (UTF-8, GB18030) */
    struct translate_header headers[16]; /* values without CR, LF, NUL; else REASON_PARAMETER_INVALID */
    size_t n_headers;
};
bool translate_asks_now(const struct translate_plan *p); /* context.now is used */
enum err translate_render(const struct translate_plan *p, const struct translate_params *params,
                          const struct translate_context *c, struct arena *a, struct translate_request *ret,
                          struct translate_refusal *why) MUST_CHECK;

/* ---- the answer ---- */
enum translate_form { TRANSLATE_JSON, TRANSLATE_NDJSON, TRANSLATE_XML };
/* From an Accept header (RFC 9110 section 12.5.1, q-values; empty or any: JSON); false: none can be made. */
bool translate_form_of(struct slice accept, enum translate_form *ret);
const char *translate_form_type(enum translate_form f); /* "application/json", … */

struct translate_want {
    enum translate_form form;
    uint64_t items[TRANSLATE_ITEMS_MAX / 64]; /* bit i: item i is given out; all zero gives nothing */
    uint64_t clear[TRANSLATE_ITEMS_MAX / 64]; /* bit i: without its default mask */
    uint64_t max_rows;                        /* more is REASON_PROVIDER_TOO_LARGE; 0: no limit */
};
struct translate_run;
/* Begin. Output is appended to *out (borrowed until translate_close), which the caller drains between calls; one call
 * of at most 16 KiB input appends at most about 1 MiB. `content_type` is the provider's header (charset, HTML is
 * refused). An answer that is refused already (HTML, an HTTP error) gives a run all the same, so that its outcome can
 * be asked; only ERR_NOMEM gives none. */
enum err translate_open(const struct translate_plan *p, const struct translate_want *w, int status,
                        struct slice content_type, struct buf *out, struct translate_run **ret) MUST_CHECK;
enum err translate_feed(struct translate_run *r, struct slice bytes) MUST_CHECK;
/* The provider's body is complete: writes the closing text. On failure nothing more is written. */
enum err translate_finish(struct translate_run *r) MUST_CHECK;
struct translate_run *translate_close(struct translate_run *r);

/* ---- a body that passes unread ----
 * A resource whose `response.whole` names its one item gives out the provider's body as it came: a file, an image.
 * There is no run: nothing in the body is looked at, so all that may be known of it must be known from its head. */
bool translate_whole(const struct translate_plan *p);
size_t translate_whole_item(const struct translate_plan *p);        /* its index */
struct slice translate_whole_types(const struct translate_plan *p); /* "application/pdf, image/png": for Accept */
/* Whether one of its types satisfies a consumer's Accept header. */
bool translate_whole_wanted(const struct translate_plan *p, struct slice accept);
/* REASON_GRANTED: an answer with this head may pass, and *ret_type is what it is, in the plan's words. `exact`: the end
 * of its body can be told from a cut, and it has one Content-Type at most. */
enum reason translate_whole_head(const struct translate_plan *p, int status, struct slice content_type, bool exact,
                                 struct slice *ret_type);
/* The other way: one whose `request.whole` names an item takes the consumer's body as it comes, and has no parameters.
 */
bool translate_upload(const struct translate_plan *p);
size_t translate_upload_item(const struct translate_plan *p);
struct slice translate_upload_types(const struct translate_plan *p);
/* A consumer's Content-Type, in the plan's words; false: it is none of the declared ones. */
bool translate_upload_type(const struct translate_plan *p, struct slice content_type, struct slice *ret_type);

struct translate_outcome {
    enum reason reason;      /* REASON_GRANTED while all is well; else why feed or finish failed */
    bool settled;            /* the provider's own result is known to be good: output may be released. False: hold it */
    bool not_found;          /* the provider said "no such person": an empty answer, on its word */
    uint64_t rows, findings; /* findings: values that did not fit their type, length or code table */
    char code[33];           /* the provider's own result code, when it has one: [A-Za-z0-9._-] only, else empty */
    char place[128];         /* path and byte offset of a failure; never a value */
};
const struct translate_outcome *translate_outcome(const struct translate_run *r); /* bor: until translate_close */
