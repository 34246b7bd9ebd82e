#pragma once
/* Inside translate: the XML reader's second way in, for documents inside documents. */
#include "translate/event.h"

/* As xml_reader_new, for text that is UTF-8 already: an encoding declaration in it is ignored. */
struct xml_reader *xml_reader_new_text(const struct event_sink *sink, void *self);
/* True when it was refused for a size (token, attributes, depth), not for its form. */
bool xml_reader_too_large(const struct xml_reader *r);
