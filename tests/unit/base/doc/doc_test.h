#pragma once
/* What the tests of base/doc share: an arena with its diags, and trees as text for comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/doc/doc.h"

struct bench {
    struct arena arena;
    struct diags d;
};
int bench_make(void **state);
int bench_clear(void **state);
void bench_reset(struct bench *b);
#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_make, bench_clear)

const struct doc *read_yaml(struct bench *b, const char *text); /* the first document; fails the test on an error */
const struct doc *read_json(struct bench *b, const char *text);
/* "map@1:1{a: number@1:4(5)}" with places, or without. */
const char *tree_text(struct bench *b, const struct doc *node, bool places);
/* The n-th diag as "line:col text" in that language; "" when there is none. */
const char *diag_text(struct bench *b, unsigned n, enum lang lang);
