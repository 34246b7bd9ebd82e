/* What is left behind when a command about certificates does not come to its end. */
#include "bench.h"
#include "base/crypto/crypto.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_there(struct bench *b, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", b->home, name);
    return access(path, F_OK) == 0;
}

/* A key without its request is of no use, and would stand in the way of the next try: keys are never overwritten. */
static void test_request_again(void **state)
{
    struct bench *b = *state;

    if (run(b, "cert request --key-out %h/a.key --csr %h/nowhere/a.csr --name a") == CLI_OK ||
        strstr(b->err, "nowhere/a.csr") == NULL || is_there(b, "a.key"))
        fail_msg("exit %d, %s", b->code, b->err);
    if (run(b, "cert request --key-out %h/a.key --csr %h/a.csr --name a") != CLI_OK || !is_there(b, "a.key") ||
        !is_there(b, "a.csr"))
        fail_msg("exit %d, %s", b->code, b->err);
    /* a key that was there stays, whatever fails */
    if (run(b, "cert request --key-out %h/a.key --csr %h/nowhere/b.csr --name a") == CLI_OK || !is_there(b, "a.key"))
        fail_msg("exit %d, %s", b->code, b->err);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_request_again) };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
