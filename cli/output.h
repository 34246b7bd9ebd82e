#pragma once
/* Results for people and for programs: table, wide, json, yaml, csv, name; lines with tabs where no terminal is. What
 * a server sent is shown without control characters; columns respect East Asian width. */
#include "cli/cli.h"

enum {
    COLUMN_WIDE = 1 /* only in wide, csv and tabs */,
    COLUMN_TIME = 2 /* shortened in a table */,
    COLUMN_NAME = 4 /* a spiffe name, likewise */
};
struct column {       /* a list ends with path NULL; the first column is what `-o name` prints */
    const char *path; /* "state", "window.from"; lists on the way are joined by ',' */
    const char *title[2];
    unsigned flags;
};
/* The list under `member` of a reply (NULL: the reply is the list). Says so when there is more. */
int output_list(struct cli *c, const struct doc *reply, const char *member, const struct column *columns);
/* Rows as CSV (RFC 4180), safe to open in a spreadsheet; with the line of titles or without. */
void output_csv(struct cli *c, const struct doc *list, const struct column *columns, bool titles);
/* One thing: labelled lines on a terminal, YAML elsewhere; -o table gives one row. */
int output_one(struct cli *c, const struct doc *one, const struct column *columns);
/* The value at a path as shown: "" when absent. {zh, en} is chosen by language. In the arena. */
struct slice output_value(struct cli *c, const struct doc *row, const char *path);
/* A text without control characters and direction overrides (each becomes '?', a line break a blank). In the arena. */
struct slice output_clean(struct cli *c, struct slice s);
/* -o holds a form that exists; else it has told. */
int output_check(struct cli *c);
bool output_is(struct cli *c, const char *form); /* -o FORM was given */
