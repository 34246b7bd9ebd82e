#pragma once
/* Problem bodies (RFC 9457, JSON and the XML of its Appendix B): how every refusal is told, on the data path and by the
 * administration API. Text is chosen by language; the code, hop and provider_reached never change with it. */
#include "base/core/core.h"

struct problem {
    enum reason reason;
    const char *detail[2]; /* by enum lang; may be NULL */
    struct slice exchange; /* uuid as text; empty: none */
    const struct slice *ids;
    size_t n_ids; /* grants, for grant-ambiguous */
    enum reached reached;
    bool has_reached;             /* else the reason's own */
    const struct diags *problems; /* places in what was sent; NULL: none (administration API) */
};
enum problem_form { PROBLEM_JSON, PROBLEM_XML };

/* The form that an Accept header (RFC 9110 section 12.5.1) wants; JSON unless an XML type has more weight than every
 * JSON type and than any-type. */
enum problem_form problem_form_of(struct slice accept);
const char *problem_type(enum problem_form f); /* "application/problem+json", "application/problem+xml" */
/* The language of an Accept-Language header (RFC 9110 section 12.5.4) with the most weight; the first of equal ones. */
enum lang lang_of_accept(struct slice accept_language, enum lang otherwise);
/* In Chinese, what base/net says in English of bytes that were no request (struct http_service, `malformed`). */
const char *problem_malformed_zh(const char *what);
/* What Retry-After says to an answer with this status, in seconds; empty: asking again soon is of no use. */
struct slice problem_retry_after(int status);
/* The body, appended to `out`; texts that are not UTF-8 are left out. */
void problem_put(const struct problem *p, enum problem_form f, enum lang l, struct buf *out);
