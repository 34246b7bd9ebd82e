#pragma once
/* What the tests of TLS share: a server with a certificate made for the run, and a peer that has OpenSSL work on memory
 * and so sends what it likes, when it likes. */
#include "net_test.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

extern char cert_file[64], key_file[64], other_file[64]; /* other: a certificate of the same name and another key */
int make_files(void **state);
int drop_files(void **state);

struct world {
    struct loop *loop;
    struct tls_context *server;
    struct door door; /* yields; none when `most` is 0 */
    unsigned most;
    const struct http_service *service; /* another than the one that answers "ok"; its arg is &seen */
    int listener, seen;                 /* seen: 1 a client without certificate, 2 with */
    struct acceptor *acceptor;
    struct sockaddr_storage to;
};
void world_begin(struct world *w); /* w->most and w->service may be set before */
void world_end(struct world *w);

enum { PATIENCE_MS = 10000 /* for a machine that does other things too */ };
void moment(struct loop *l);
int64_t until_when(void);

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    int fd;
};
void raw_make(struct raw *r, const SSL_METHOD *method);
/* On r->fd, until the handshake is over for it; a client's last message is not sent yet. */
void raw_settle(struct raw *r, struct loop *l);
void raw_shake(struct raw *r, struct world *w, int version); /* makes a client, connects, settles */
void raw_send(struct raw *r);                                /* what OpenSSL has written */
int raw_take(struct raw *r); /* what has come, for OpenSSL; 0: the connection has ended; < 0: nothing is there */
void raw_asks(struct raw *r, struct world *w);
bool raw_is_closed(struct raw *r, struct world *w);
void raw_done(struct raw *r);
