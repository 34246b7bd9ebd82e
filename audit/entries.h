#pragma once
/* Records of a log folder by index: the segment that holds one, its place in the file, runs of lines, entry bundles.
 * Lines carry their index at a fixed place, so one is found by halving the file: no table beside the log is needed.
 * Trusts nothing it reads: shape and CRC of each line given out are checked, its truth is for a proof to say. */
#include "audit/logscan.h"

/* Gives each line of [from, to) without LF to fn, until it returns false. ERR_NOT_FOUND: the log ends before `to`, or
 * `from` was pruned away; ERR_CORRUPT: what should stand there does not. */
enum err entries_each(const char *dir, uint64_t from, uint64_t to,
                      bool (*fn)(void *arg, uint64_t index, struct slice line), void *arg) MUST_CHECK;
/* One line, appended to out. */
enum err entries_line(const char *dir, uint64_t index, struct buf *out) MUST_CHECK;
/* An entry bundle (C2SP tlog-tiles): `width` entries of bundle `tile`, each behind its length as big-endian uint16. */
enum err entries_bundle(const char *dir, uint64_t tile, unsigned width, struct buf *out) MUST_CHECK;
/* Index of the first record that was written at or after this wall time, as far as clocks went forwards. ERR_NOT_FOUND:
 * none. */
enum err entries_since(const char *dir, int64_t wall_ms, uint64_t *index) MUST_CHECK;
