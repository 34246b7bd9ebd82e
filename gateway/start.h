#pragma once
/* Starting and ending the daemon: process limits, evidence keys and log, listening sockets, telling the outside. Used
 * by main.c only. */
#include "audit/audit.h"
#include "gateway/settings.h"

/* No core dumps, no SIGPIPE, as many descriptors as the system allows. */
void start_process(void);
/* Evidence: keys under <state>/keys (log.key, salt.key, name.key), then the log itself, open and started. *ret_key
 * lives as long as the log. */
enum err start_log(const struct settings *s, struct audit_log **ret, struct ed25519 **ret_key,
                   struct diags *d) MUST_CHECK;
/* One listening socket a worker on the data address, all on one port. */
enum err start_listen(const struct settings *s, int *fds, unsigned n, struct diags *d) MUST_CHECK;
/* {"pid":…,"data":"host:port",…}, written whole. */
enum err start_ready_file(const char *path, const struct settings *s, unsigned data, unsigned control,
                          unsigned operations, struct diags *d) MUST_CHECK;
/* sd_notify(3): "READY=1" and the like to $NOTIFY_SOCKET; nothing when there is none. */
void start_notify(const char *state);
/* Everything that a start would check and nothing that it would change: files, keys, certificates, addresses. */
enum err start_check(const struct settings *s, struct diags *d) MUST_CHECK;
