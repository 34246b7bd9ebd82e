#pragma once
/* HTTP/2 by hand: frames are written byte by byte, what comes back is told in words. And a service that keeps many
 * calls apart, which answers by path as net_test.h's does and writes down what it was told. */
#include "net_test.h"

enum { F_DATA, F_HEADERS, F_PRIORITY, F_RST, F_SETTINGS, F_PUSH, F_PING, F_GOAWAY, F_WINDOW, F_CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

#define IS(buf, text)                                                                                                  \
    do {                                                                                                               \
        if (!slice_is(buf_slice(buf), text))                                                                           \
            fail_msg("'%.*s', want '%s'", (int)(buf)->n, (buf)->p, text);                                              \
    } while (0)
#define HAS(buf, text)                                                                                                 \
    do {                                                                                                               \
        buf_putc(buf, '\0');                                                                                           \
        (buf)->n--;                                                                                                    \
        if (strstr((buf)->p, text) == NULL)                                                                            \
            fail_msg("'%s', want '%s' in it", (buf)->p, text);                                                         \
    } while (0)
#define ENDS(buf, text)                                                                                                \
    do {                                                                                                               \
        if (!slice_ends(buf_slice(buf), slice_of(text)))                                                               \
            fail_msg("'%.*s', want the end '%s'", (int)(buf)->n, (buf)->p, text);                                      \
    } while (0)

void put_setting(struct buf *to, unsigned id, uint32_t value);
void put_frame(struct buf *to, unsigned type, unsigned flags, uint32_t stream, struct slice payload);
void put_u32_frame(struct buf *to, unsigned type, uint32_t stream, uint32_t value);
void put_field(struct buf *to, const char *name, struct slice value); /* literal, never indexed */
/* A header block: the four pseudo-headers, then "name: value" lines. */
void put_block(struct buf *to, const char *method, const char *path, const char *more);
/* HEADERS with such a block. */
void put_request(struct buf *to, uint32_t stream, const char *method, const char *path, unsigned flags,
                 const char *more);
void put_preface(struct buf *to); /* with empty SETTINGS */
/* "SETTINGS HEADERS/1 DATA/1:5 END/1 RST/3=2 GOAWAY=11 …"; content of DATA is appended to `data`. Stops at half a
 * frame. */
void tell_frames(struct slice bytes, struct buf *words, struct buf *data);

/* The service: log as "open /echo#1 end#1 sent#1 gone#3:consumer-gone close"; the number counts heads. */
struct one {
    struct one *next;
    struct h2_bench *bench;
    struct http_call *call;
    unsigned number;
    char path[64];
    struct buf body;
    size_t given;
    bool ended;
};
struct h2_bench {
    struct bench b; /* first */
    struct one *ones;
    unsigned heads;
    size_t big, most_held;
    struct buf say, words, data;
};
void h2_begin_bench(struct h2_bench *h);     /* preface said, SETTINGS heard and acknowledged; words empty */
void h2_begin_unsettled(struct h2_bench *h); /* the preface stands in h->say */
void h2_end_bench(struct h2_bench *h);
void h2_say(struct h2_bench *h);   /* h->say, which is empty then */
void h2_hear(struct h2_bench *h);  /* h->words and h->data begin anew */
void exchange(struct h2_bench *h); /* h2_say, then h2_hear */
struct one *h2_one(struct h2_bench *h, unsigned number);
struct http_call *h2_call(struct h2_bench *h, unsigned number); /* its call, which must be there */
void h2_answer(struct one *o, const char *text);
