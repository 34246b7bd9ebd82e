/* The socket below a TLS stream. OpenSSL's own asks it a dozen questions for each record, most of them about what the
 * kernel could do in its place; this one has short answers. What it says of retries and of the end is the same. */
#include "base/net/internal.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method; /* own, until the process ends */

static int fd_of(BIO *b)
{
    const struct tls_shake *k = BIO_get_data(b);

    return k->fd;
}

static bool try_again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* OpenSSL reads on within one SSL_read where its buffer ends inside of a record, and how large records are is the
 * peer's choice: whose stream will be closed for what it says finds an end here, for the time being. */
static int socket_read(BIO *b, char *to, size_t n, size_t *got)
{
    ssize_t r;

    if (tls_is_noisy(BIO_get_data(b))) {
        *got = 0;
        BIO_set_retry_read(b);
        return -1;
    }
    r = socket_take(fd_of(b), to, n);
    BIO_clear_retry_flags(b);
    *got = r > 0 ? (size_t)r : 0;
    if (r == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    else if (r < 0 && try_again())
        BIO_set_retry_read(b);
    return r > 0 ? 1 : (int)r;
}

static int socket_write(BIO *b, const char *from, size_t n, size_t *put)
{
    ssize_t r = socket_give(fd_of(b), from, n);

    BIO_clear_retry_flags(b);
    *put = r > 0 ? (size_t)r : 0;
    if (r < 0 && try_again())
        BIO_set_retry_write(b);
    return r > 0 ? 1 : (int)r;
}

static long socket_ctrl(BIO *b, int what, long n, void *p)
{
    (void)n;
    (void)p;
    switch (what) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static void make(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");

    if (m != NULL && BIO_meth_set_read_ex(m, socket_read) == 1 && BIO_meth_set_write_ex(m, socket_write) == 1 &&
        BIO_meth_set_ctrl(m, socket_ctrl) == 1)
        method = m;
    else
        BIO_meth_free(m);
}

bool tls_socket(SSL *ssl, struct tls_shake *k, int fd)
{
    BIO *b;

    pthread_once(&once, make);
    b = method != NULL ? BIO_new(method) : NULL;
    if (b == NULL)
        return false;
    k->fd = fd;
    BIO_set_data(b, k);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    return true;
}
