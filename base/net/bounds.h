#pragma once
/* What stands fast however a server is set up: what a peer may make base/net hold, read on or wait for. The program
 * that shows its limits shows these with them. */

/* Of any head: what a server's limits may ask for, and a client takes. */
enum { HTTP_HEAD_MAX = 64 * 1024, HTTP_HEADERS_MAX = 256, HTTP_TARGET_MAX = 8192 };
enum {
    HTTP_OVERHEAD_MAX = 16 * 1024,    /* bytes of chunk lines, extensions and trailers that content does not pay for */
    HTTP_DISCARD_MAX = 4 << 20,       /* of a body, read on behind its refusal */
    HTTP_ANSWER_HEAD_MAX = 16 * 1024, /* of a provider */
    HTTP_LINGER_MS = 2000,            /* a connection behind its last answer, for the peer to have read it */
    HTTP_LINGER_SHORT_MS = 256,       /* and where room is wanted */
    H2_HELD = 32 * 1024,              /* output of a stream */
    H2_MEMORY = 1 << 20,              /* nghttp2's, for a connection */
    H2_WINDOW = 64 * 1024,            /* input of a stream that may be under way */
    H2_CONN_WINDOW = 256 * 1024,      /* and of all streams together */
    H2_PARKED = 1 << 20,              /* that their owners do not want yet */
    H2_CONTINUATIONS = 7,             /* nghttp2 has a limit of its own: 8 */
    H2_FIELDS_EXCESS = 4,             /* a header list may be so many times too large before the connection ends */
    H2_ACKS_MAX = 200,                /* answers to settings and pings that wait for a peer that does not read */
    H2_DISCARD_MAX = 256 * 1024       /* read on behind the last answer of a connection */
};
enum { LISTEN_BACKLOG = 1024 }; /* connections that wait in the kernel to be accepted */
