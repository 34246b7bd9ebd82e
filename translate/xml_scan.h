#pragma once
/* Inside translate: what stands between the decoder and libxml2. It finds CDATA sections, which libxml2's push parser
 * would hold whole, and takes them out so that they stream; and it refuses DOCTYPE before a parser sees it. It needs to
 * know comments and processing instructions, where the same bytes mean nothing, and nothing else of XML: inside a tag
 * a '<' is an error anyway, and stays one, because a section is replaced by an empty comment. */
#include "base/core/core.h"

struct xml_scan {
    enum { XML_SCAN_TEXT, XML_SCAN_OPEN, XML_SCAN_COMMENT, XML_SCAN_PI, XML_SCAN_CDATA } state;
    char held[16]; /* an undecided beginning or end: "<", "<![CD", "]]" */
    uint8_t n;
    bool doctype;                                      /* why it was refused */
    uint64_t taken;                                    /* bytes that did not go to the parser */
    enum err (*markup)(void *self, struct slice utf8); /* goes to the parser */
    enum err (*cdata_begin)(void *self);               /* the parser must have read all it was given */
    enum err (*cdata)(void *self, struct slice piece); /* text of a section, any number of pieces */
    enum err (*cdata_end)(void *self);
    void *self;
};

enum err xml_scan_feed(struct xml_scan *s, struct slice utf8) MUST_CHECK;
enum err xml_scan_finish(struct xml_scan *s) MUST_CHECK;
