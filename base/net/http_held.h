#pragma once
/* For an owner whose memory is short: what its connections hold, and how one ends for that. */
#include "base/net/http.h"

/* What it holds beside its calls, about. */
size_t http_conn_held(const struct http_conn *c);
/* Its memory is wanted: it ends with what is open on it (gone(REASON_OVERLOADED)); half a head is answered, by
 * malformed(REASON_OVERLOADED); over HTTP/2 a GOAWAY tells whether it asked too much or only was idle. */
void http_conn_calm(struct http_conn *c);
