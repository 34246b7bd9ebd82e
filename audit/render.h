#pragma once
/* One record into its blank line: one table of columns gives order, kinds, types and caps. Hot path: no allocation, no
 * system call, one pass over each field. No input makes it fail or reach over AUDIT_RECORD_MAX: what does not fit is
 * cut ("…"), what is not UTF-8 becomes {"b64":…}. */
#include "audit/logline.h"

#define RENDER_CUT "\"…\"" /* the last of a list that had no room for all */

/* Writes the line with LF into out[AUDIT_RECORD_MAX]; returns its length. */
size_t render_record(const struct audit_record *r, char *out);
/* The longest line that the table allows for a kind; the tests hold it under AUDIT_RECORD_MAX. */
size_t render_bound(enum audit_kind k);
/* A text as its column would show it: the quoted JSON text, cut at the column's cap. False: no such text column. */
bool render_as(const char *column, struct slice text, struct buf *out);

/* Pieces for lines that the log writes itself (head.c). A pen never writes behind `end`. */
struct pen {
    char *p, *end;
};
void pen_raw(struct pen *w, struct slice s);
void pen_u64(struct pen *w, uint64_t v);
void pen_text(struct pen *w, struct slice s, size_t cap);
void pen_hex(struct pen *w, const struct sha256 *h);
void pen_uuid(struct pen *w, const struct uuid *u);
void pen_time(struct pen *w, int64_t wall_ms);
/* Blank prefix, kind and time. */
void pen_begin(struct pen *w, enum audit_kind k, int64_t at);
