#pragma once
/* Inside translate: what the XML and the JSON reader say to the mapper; one model for both.
 * A JSON member is an element named by its key with no namespace; an array is its key's element repeated, so that
 * "0..n records" looks the same whoever speaks. The root value of a JSON text has the empty name.
 * Slices are valid during the call only. A sink that returns an error stops its reader, which returns the same. */
#include "translate/translate.h"

enum scalar { SCALAR_TEXT, SCALAR_NUMBER, SCALAR_BOOL, SCALAR_NULL }; /* XML gives SCALAR_TEXT only */
struct member_memo {
    const void *where, *what; /* the sink's own: empty at first */
    struct slice name;        /* JSON: of the member */
};
struct event_sink {
    enum err (*open)(void *self, struct slice ns, struct slice name);
    enum err (*attr)(void *self, struct slice ns, struct slice name, struct slice value); /* just after open */
    enum err (*text)(void *self, enum scalar kind, struct slice piece); /* any number of pieces, in order */
    enum err (*close)(void *self);
    /* JSON only, may be NULL: an array begins or ends. `name` is that of its elements; each of them is opened and
     * closed between the two, so that an empty array is seen too. `inner`: an array inside an array is an element, and
     * has just been opened; its own elements have the empty name. */
    enum err (*list)(void *self, struct slice name, bool begins, bool inner);
    /* XML, may be NULL: as open. `memo` is the sink's own: empty at first, the same one whenever this name comes again;
     * another name may take it over, and then it is empty again. */
    enum err (*open_named)(void *self, struct slice ns, struct slice name, struct member_memo *memo);
    /* JSON only, may be NULL: open, one text and close of a scalar member in one call, when all of it was at hand. A
     * string has no escapes. `memo` is the same one whenever this name comes again at this depth. */
    enum err (*member)(void *self, struct member_memo *memo, enum scalar kind, struct slice value);
};

/* JSON gives ns empty, never calls attr, and gives every scalar at least one call of text (an empty string: one empty
 * piece; null: the piece "null"). A root array is the empty name repeated. */

/* A streaming JSON reader (RFC 8259): numbers stay text, duplicate keys in one object are refused, strings are checked
 * as UTF-8 and unescaped; depth, token length and members of one object (4096) are capped. Bytes may be split anywhere.
 */
struct json_reader;
struct json_reader *json_reader_new(const struct event_sink *sink, void *self);
/* As new, memory kept: for readers that are reused. With `memos`, what the sink remembers of names stays too. */
void json_reader_reset(struct json_reader *r, bool memos);
struct json_reader *json_reader_free(struct json_reader *r);
enum err json_reader_feed(struct json_reader *r, struct slice bytes) MUST_CHECK;
enum err json_reader_finish(struct json_reader *r) MUST_CHECK; /* ERR_SYNTAX when the text is not one whole value */
uint64_t json_reader_offset(const struct json_reader *r);      /* of the first byte not understood */

bool json_number_valid(struct slice s); /* RFC 8259 section 6, the whole slice */

/* A streaming XML reader on libxml2's push parser. Any DOCTYPE, processing instruction target that matters or token
 * over TOKEN_MAX is refused; names are passed with their namespace URI. `encoding`: from the transport ("GB18030"), or
 * empty to believe BOM and declaration; GB2312, GBK and CP936 are read as GB18030; a label that the bytes contradict is
 * overridden by strict trial. */
struct xml_reader;
struct xml_reader *xml_reader_new(const struct event_sink *sink, void *self, struct slice encoding);
struct xml_reader *xml_reader_free(struct xml_reader *r);
enum err xml_reader_feed(struct xml_reader *r, struct slice bytes) MUST_CHECK;
enum err xml_reader_finish(struct xml_reader *r) MUST_CHECK;
uint64_t xml_reader_offset(const struct xml_reader *r);
