#pragma once
/* Starting and ending the daemon: process limits, evidence keys and log, listening sockets, telling the outside. Used
 * by main.c only. */
#include "gateway/keeper.h"
#include "gateway/settings.h"

/* No core dumps, no SIGPIPE, as many descriptors as the system allows. */
void start_process(void);
void start_descriptors(const struct settings *s); /* says so when the system allows fewer than the limits promise */
/* The keeper with the keys of log and authority: before any thread. */
enum err start_keeper(const struct settings *s, struct gate *gate, struct keeper **ret, struct diags *d) MUST_CHECK;
/* Evidence: the secrets of digests and pseudonyms under <state>/keys (salt.key, name.key), then the log itself, open
 * and started; checkpoints are signed by the keeper, which lives longer. */
enum err start_log(const struct settings *s, struct keeper *k, struct audit_log **ret, struct diags *d) MUST_CHECK;
/* The authority with its key in the keeper's hands; *ret stays NULL when that is not on this node. */
enum err start_authority(const struct settings *s, struct keeper *k, struct certs_ca **ret, struct diags *d) MUST_CHECK;
/* One listening socket a worker on the data address, all on one port. */
enum err start_listen(const struct settings *s, int *fds, unsigned n, struct diags *d) MUST_CHECK;
/* {"pid":…,"data":"host:port",…}, written whole. */
enum err start_ready_file(const char *path, const struct settings *s, unsigned data, unsigned control,
                          unsigned operations, unsigned witness, struct diags *d) MUST_CHECK;
/* sd_notify(3): "READY=1" and the like to $NOTIFY_SOCKET; nothing when there is none. */
void start_notify(const char *state);
/* What --check says though nothing is wrong: appended to `out`, a line each. */
void start_warn(const struct settings *s, enum lang lang, struct buf *out);
/* Everything that a start would check and nothing that it would change: files, keys, certificates, addresses. */
enum err start_check(const struct settings *s, struct diags *d) MUST_CHECK;
