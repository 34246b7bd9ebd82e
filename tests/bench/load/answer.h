/* One HTTP/1.1 answer, read from bytes as they come. No sockets, no allocation: the caller feeds slices.
 *
 * The head is kept (at most ANSWER_HEAD_MAX bytes), the body is only counted. Lengths, chunks and trailers are followed
 * to the exact end of the answer; a byte after it is an error, for this generator never pipelines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_HEAD_MAX = 4096 };

enum answer_state { ANSWER_MORE, ANSWER_DONE, ANSWER_BAD };

enum answer_part {
    PART_HEAD,       /* collecting up to the empty line */
    PART_LENGTH,     /* `left` bytes of body to come */
    PART_CHUNK_SIZE, /* hexadecimal digits up to LF */
    PART_CHUNK_DATA, /* `left` bytes of this chunk to come */
    PART_CHUNK_END,  /* the CRLF after a chunk */
    PART_TRAILER,    /* lines up to an empty one */
    PART_TO_CLOSE,   /* no length given: the body ends with the connection */
    PART_END,
};

struct answer {
    enum answer_part part;
    bool bodyless; /* answer to HEAD: a length promises nothing */
    bool closing;  /* the server said Connection: close, or the body ends with the connection */
    bool chunk_ext;
    unsigned status;
    unsigned chunk_digits;
    size_t head_len;
    size_t line_len;
    uint64_t left;
    uint64_t body; /* bytes of body so far, chunk framing not counted */
    char head[ANSWER_HEAD_MAX];
};

/* Begin a new answer; `to_head` when the request was a HEAD. */
void answer_begin(struct answer *a, bool to_head);

/* Take the next `len` bytes. DONE when the answer is complete and nothing is left over. */
enum answer_state answer_feed(struct answer *a, const char *bytes, size_t len);

/* The connection ended cleanly: DONE only for a body that ends so. */
enum answer_state answer_end(const struct answer *a);
