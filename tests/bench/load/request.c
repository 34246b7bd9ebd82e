/* Builds the request once; a body comes from a file and is held whole. */
#include "request.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct text {
    char *at;
    size_t len, cap;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(t->at + t->len, t->cap - t->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->cap - t->len)
        t->full = true;
    else
        t->len += (size_t)n;
}

static void head_write(const struct options *o, size_t body_len, struct text *t)
{
    text_add(t, "%s %s HTTP/1.1\r\nHost: %s\r\n", o->method, o->path, o->authority);
    for (size_t i = 0; i < o->header_count; i++)
        text_add(t, "%s\r\n", o->headers[i]);
    if (o->body_file != NULL)
        text_add(t, "Content-Length: %zu\r\n", body_len);
    if (o->fresh != FRESH_NO)
        text_add(t, "Connection: close\r\n");
    text_add(t, "\r\n");
}

static bool body_size(FILE *f, size_t *ret)
{
    struct stat s;

    if (f == NULL || fstat(fileno(f), &s) != 0 || !S_ISREG(s.st_mode) || s.st_size > REQUEST_BODY_MAX)
        return false;
    *ret = (size_t)s.st_size;
    return true;
}

char *request_new(const struct options *o, size_t *ret_len)
{
    size_t body_len = 0;
    FILE *body = NULL;     /* own */
    struct text t = { 0 }; /* own: at */
    const char *wrong = NULL;

    if (o->body_file != NULL) {
        body = fopen(o->body_file, "rbe");
        if (!body_size(body, &body_len)) {
            wrong = "the body is not a readable file of at most 256 MiB";
            goto out;
        }
    }
    t.cap = REQUEST_HEAD_MAX + body_len;
    t.at = OPENSSL_zalloc(t.cap);
    if (t.at == NULL) {
        wrong = "out of memory for the request";
        goto out;
    }
    head_write(o, body_len, &t);
    if (t.full || t.len > REQUEST_HEAD_MAX)
        wrong = "the request head is larger than 16 KiB";
    else if (body_len > 0 && fread(t.at + t.len, 1, body_len, body) != body_len)
        wrong = "the body could not be read";
    *ret_len = t.len + body_len;
out:
    if (body != NULL)
        fclose(body);
    if (wrong == NULL)
        return t.at;
    fprintf(stderr, "sluice-load: %s\n", wrong);
    OPENSSL_free(t.at);
    return NULL;
}
