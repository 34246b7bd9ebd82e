#pragma once
/* Inside translate: the XML reader's second way in, for bytes whose encoding is known: documents inside documents,
 * which are UTF-8 already, and answers whose manifest says it. */
#include "translate/event.h"
#include "translate/xml_decode.h"

/* As xml_reader_new; what the document says of its own encoding is ignored. */
struct xml_reader *xml_reader_new_told(const struct event_sink *sink, void *self, enum xml_label told);
/* True when it was refused for a size (token, attributes, namespaces, depth), not for its form. */
bool xml_reader_too_large(const struct xml_reader *r);
