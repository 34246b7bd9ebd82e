#pragma once
/* What the tests of the catalog share: manifests as text, a state of its own for each test of the store. Thread rule:
 * one thread. */
#include "catalog/catalog.h"

struct shelf {
    char dir[64], path[96];
    struct sql *sql; /* NULL until shelf_store */
    struct sql_tx *tx;
    struct arena a;
    struct diags d;
};
int shelf_open(void **state);       /* cmocka set-up without a store */
int shelf_open_store(void **state); /* with one, inside a write transaction */
int shelf_close(void **state);

/* The manifest of DESIGN.md's "Surfaces", without its comments. */
extern const char shelf_sketch[];
/* A copy of the sketch with the first `from` replaced; fails the test when it is not there. */
const char *shelf_sketch_with(struct shelf *s, const char *from, const char *to);
/* A Department manifest with a valid code made from `n`. */
const char *shelf_department(struct shelf *s, const char *id, unsigned n);

/* Reads one YAML document as a manifest into *m; diagnostics start anew. */
enum err shelf_read(struct shelf *s, const char *yaml, struct catalog_manifest *m);
/* Reads and puts; fails the test when the reading fails. */
enum err shelf_try(struct shelf *s, const char *yaml, enum catalog_put *put, uint64_t *version);
/* As shelf_try, and fails the test when it is refused. */
enum catalog_put shelf_put(struct shelf *s, const char *yaml);
bool shelf_said(const struct shelf *s, const char *part); /* some problem's English text holds `part` */
/* Prints the problems, for the message of a failing test. */
const char *shelf_problems(struct shelf *s);
