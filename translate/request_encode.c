/* UTF-8 into GB18030 with iconv. A conversion descriptor is costly to open: each thread keeps one until it ends. */
#include "translate/request_render.h"
#include <errno.h>
#include <iconv.h>
#include <pthread.h>

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

static void close_converter(void *p)
{
    (void)iconv_close((iconv_t)p);
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, close_converter) == 0;
}

/* The thread's converter in its initial state; NULL: none can be had. */
static iconv_t converter(void)
{
    iconv_t cd;

    pthread_once(&key_once, make_key);
    cd = key_made ? (iconv_t)pthread_getspecific(key) : NULL;
    if (cd != NULL) {
        (void)iconv(cd, NULL, NULL, NULL, NULL);
        return cd;
    }
    cd = key_made ? iconv_open("GB18030", "UTF-8") : (iconv_t)-1;
    if (cd == (iconv_t)-1)
        return NULL;
    if (pthread_setspecific(key, cd) != 0) {
        (void)iconv_close(cd);
        return NULL;
    }
    return cd;
}

enum err render_encode(enum plan_encoding encoding, struct slice text, struct buf *out)
{
    size_t room =
        2 * text.n + 4; /* no character grows to more: two bytes of UTF-8 become at most four, four stay four */
    char *in = (char *)(uintptr_t)text.p, *to;
    size_t left = text.n, free_ = room;
    iconv_t cd;

    if (encoding == ENCODING_UTF8 || text.n == 0) {
        buf_put(out, text);
        return out->failed;
    }
    cd = converter();
    to = cd != NULL ? buf_reserve(out, room) : NULL;
    if (to == NULL)
        return cd == NULL ? ERR_UNSUPPORTED : out->failed;
    if (iconv(cd, &in, &left, &to, &free_) == (size_t)-1 || left != 0)
        return ERR_INVALID;
    out->n += room - free_;
    return ERR_OK;
}
