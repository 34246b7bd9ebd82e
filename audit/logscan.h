#pragma once
/* Reading segment files: their names, their order, and their lines with large reads. Trusts nothing it reads. */
#include "audit/logline.h"

enum { LOGSCAN_BUFFER = 1 << 20, SEGMENT_NAME = 16 + 4 + 1 };
struct segment_list {
    uint64_t *first; /* own; ascending: first index of each segment */
    size_t n;
};
/* On failure *ret is the empty list: segment_list_done is right after every call. */
enum err segment_list_read(const char *dir, struct segment_list *ret, struct diags *d) MUST_CHECK;
void segment_list_done(struct segment_list *s);
void segment_name(uint64_t first, char out[SEGMENT_NAME]);
/* dir/name into out (PATH_MAX bytes); ERR_TOO_LARGE. */
enum err segment_path(const char *dir, uint64_t first, char *out, size_t room) MUST_CHECK;

struct logscan {
    int fd;    /* own */
    char *mem; /* own; LOGSCAN_BUFFER */
    size_t have, at;
    uint64_t base; /* file offset of mem[0] */
    int sys;       /* errno of a failed read */
};
/* BROKEN: no LF within AUDIT_RECORD_MAX, or before the end. */
enum logscan_state { LOGSCAN_END, LOGSCAN_LINE, LOGSCAN_BROKEN, LOGSCAN_ZEROS, LOGSCAN_FAILED };
enum err logscan_open(struct logscan *s, const char *path, uint64_t offset) MUST_CHECK;
void logscan_close(struct logscan *s);
/* The next line without LF, borrowed until the next call, and its file offset. A broken one is not passed over. A zero
 * where a line should begin is space that was never used: LOGSCAN_ZEROS, though a torn write may have left more behind
 * it. */
enum logscan_state logscan_next(struct logscan *s, struct slice *line, uint64_t *offset);
/* Passes over zeros, or over the piece of a broken line; false at the end. */
bool logscan_skip(struct logscan *s);
