#pragma once
/* Inside translate: a document's bytes into UTF-8, as a stream, before any parser sees them.
 * What is told outright holds, whatever the bytes say of themselves. Else the order of trust: byte order mark,
 * transport, XML declaration, UTF-8. GB2312, GBK and CP936 are read as GB18030.
 * Where a label says GB18030, the first bytes that are not ASCII decide between it and UTF-8, because labels lie: what
 * holds as UTF-8 alone, or with few faults, is that; what holds as both is UTF-8 if the more trusted label says so or
 * if more of it is everyday characters then, else what the label says. What the chosen encoding cannot read is an
 * error, never a '?'. */
#include <iconv.h>
#include "base/core/core.h"

enum xml_label { XML_LABEL_NONE, XML_LABEL_UTF8, XML_LABEL_GB18030 };
enum { XML_HEAD_MAX = 512, XML_TRIAL_MAX = 1024 };

struct xml_decode {
    enum { XML_DECODE_HEAD, XML_DECODE_TRIAL, XML_DECODE_SAME, XML_DECODE_ICONV } mode;
    enum xml_label told, transport, label;
    bool head_blank;  /* leading white space is being dropped */
    bool gb;          /* ICONV: from GB18030 */
    iconv_t cd;       /* own; (iconv_t)-1: none */
    size_t n;         /* bytes held */
    uint64_t dropped; /* BOM and leading white space */
    char held[XML_TRIAL_MAX];
    enum err (*out)(void *self, struct slice utf8); /* an error ends everything */
    void *self;
};

/* told: XML_LABEL_NONE when nobody knows it for sure. */
void xml_decode_init(struct xml_decode *d, enum xml_label told, struct slice transport,
                     enum err (*out)(void *, struct slice), void *self);
void xml_decode_done(struct xml_decode *d);
enum err xml_decode_feed(struct xml_decode *d, struct slice bytes) MUST_CHECK;
enum err xml_decode_finish(struct xml_decode *d) MUST_CHECK;
enum xml_label xml_label_of(struct slice name); /* XML_LABEL_NONE: unknown, read as UTF-8 */
