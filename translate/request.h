#pragma once
/* Inside translate: the compiled `request:` part of a manifest. Rows say where each value comes from and where it goes;
 * what goes into a body hangs in one tree of elements (XML) or members (JSON), in manifest order. request.c,
 * request_to.c and request_tree.c compile; request_body.c and request_render.c render; params*.c check parameters.
 * translate_render, translate_safe, translate_param_at, translate_params_json and translate_params_query are
 * implemented here and reach this part as plan->request (see plan.h). Invariant: immutable after request_compile, lives
 * in the plan's arena. */
#include "translate/translate.h"

enum { REQUEST_PARAMS_MAX = 32, REQUEST_ROWS_MAX = 64, REQUEST_HEADERS_MAX = 16, REQUEST_DEPTH_MAX = 16 };
enum { REQUEST_VALUE_MAX = 256 }; /* code points of a parameter, unless its row says `max` */

struct plan_param {
    struct slice name;
    const struct check *check; /* NULL: any text */
    uint32_t max;              /* code points */
    uint8_t level;
    bool required;
};

/* Where a value comes from. SOURCE_PARAM: `param`; SOURCE_CONST: `text`; the others: a field of struct
 * translate_context. */
enum plan_source {
    SOURCE_PARAM,
    SOURCE_CONST,
    SOURCE_OPERATOR,
    SOURCE_CASE,
    SOURCE_APP,
    SOURCE_DEPARTMENT,
    SOURCE_PURPOSE,
    SOURCE_EXCHANGE,
    SOURCE_NOW,
};
enum plan_target { TARGET_XML, TARGET_JSON, TARGET_QUERY, TARGET_PATH, TARGET_HEADER, TARGET_COUNT_ };
enum plan_as { AS_STRING, AS_NUMBER, AS_BOOLEAN, AS_NULL }; /* how a JSON body writes it */

struct plan_row {
    enum plan_source source;
    enum plan_target target;
    uint8_t param; /* SOURCE_PARAM: index */
    enum plan_as as;
    bool required;     /* an empty value is refused */
    struct slice text; /* SOURCE_CONST */
    struct slice name; /* of the query parameter, placeholder or header */
};

/* An element, attribute or JSON member. A node without `row` is written when something below it is, or when `always`.
 */
struct plan_node {
    struct slice name;
    const struct plan_ns *ns; /* XML; NULL: no namespace */
    struct plan_node *first, *last, *next, *parent;
    const struct plan_row *row; /* its text; NULL: none */
    bool attr, always;
};
struct plan_ns {
    struct slice prefix, uri;
    const struct plan_ns *next;
};

struct plan_whole;
enum plan_body { BODY_NONE, BODY_XML, BODY_JSON };
enum plan_soap { SOAP_NONE, SOAP_1_1, SOAP_1_2 };
enum plan_encoding { ENCODING_UTF8, ENCODING_GB18030 };

/* A piece of connector.path: literal text, then the value of `row` (NULL: none). */
struct plan_piece {
    struct slice text;
    const struct plan_row *row;
};

struct plan_request {
    bool safe;
    enum plan_encoding encoding;
    enum plan_body body;
    enum plan_soap soap;
    struct slice method;
    struct slice content_type; /* empty: no body */
    struct slice action;       /* SOAP; may be empty */
    struct slice operation, operation_ns;
    struct plan_param params[REQUEST_PARAMS_MAX];
    size_t n_params;
    struct plan_row rows[REQUEST_ROWS_MAX];
    size_t n_rows;
    const struct plan_piece *path; /* connector.path */
    size_t n_path;
    const struct plan_whole *whole; /* the consumer's body passes unread; NULL: it holds parameters */
    struct plan_node *root;         /* nameless; its children are the roots of the body */
    const struct plan_ns *ns;       /* XML: the namespaces in use; declared on each root of the body */
};

/* Compile `request`, with connector.kind, connector.path and connector.operation. *ret is set on ERR_OK only;
 * ERR_INVALID: reported in `d`. A manifest without `request` compiles to one that has no parameters. */
enum err request_compile(const struct doc *manifest, const struct translate_item *items, size_t n, struct arena *a,
                         struct diags *d, const struct plan_request **ret) MUST_CHECK;

bool request_segment_ok(struct slice value); /* a value that stays one segment of a path */
/* The same of what has been encoded: characters of GB18030 may end in a backslash, which some servers take for a slash.
 */
bool request_segment_bytes_ok(struct slice coded);
bool request_header_ok(struct slice value); /* no control character but HTAB */
