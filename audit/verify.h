#pragma once
/* What the two passes of the verifier share (verify.c, localise.c). */
#include "audit/head.h"
#include "audit/logscan.h"
#include "audit/note.h"
#include "audit/pruned.h"
#include "audit/tile.h"

struct verify {
    const char *dir;
    struct slice origin; /* name in the key; bor */
    uint8_t key[ED25519_PUB];
    bool has_key, key_given; /* key_given: by the caller, not found beside the log */
    struct note_checkpoint cp;
    uint64_t from, to;           /* the records asked for; to 0: all */
    uint64_t stop;               /* records are read up to here */
    struct note_checkpoint kept; /* a checkpoint that was kept elsewhere */
    bool has_kept, kept_seen, kept_same;
    struct pruned pruned; /* of a log whose front is not there */
    bool has_cp, cp_bad, signed_ok;
    bool sm2_asked, sm2_ok; /* an SM2 key was given; its signature is on the checkpoint */
    struct segment_list list;
    struct merkle tree;
    struct digest *digest;
    struct sha256 cp_root; /* of the records, at the checkpoint's size */
    uint64_t trusted;      /* heads agree with the records before this index */
    bool suspect;          /* and the head at suspect_end does not */
    uint64_t suspect_end;
    char name[SEGMENT_NAME]; /* file being read */
    bool ended;              /* at unused space, or at a torn tail */
    uint64_t end_offset, total, progress_next;
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
    struct audit_report *report;
};
void verify_fail(struct verify *v, const char *what, uint64_t index, uint64_t offset);
/* verify_part.c */
size_t verify_begin(struct verify *v);     /* place in the list of the segment that reading begins with */
void verify_front_end(struct verify *v);   /* all was read: may the log begin where it does? */
bool verify_range_holds(struct verify *v); /* what was read is the beginning of the signed tree: by its tiles */
void verify_take_kept(struct verify *v);
enum err verify_kept(struct verify *v, struct diags *d) MUST_CHECK;
/* After a failure: the first record before the place found that differs from tiles under the signed root, if any. */
enum err localise(struct verify *v, struct diags *d) MUST_CHECK;
