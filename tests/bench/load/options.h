/* What one run of the load generator is asked to do. Filled once by options_read(), constant afterwards.
 *
 * Texts point into argv and live as long as the program. Every run is bounded: a duration always applies, a request
 * count may end it earlier, and errors beyond `max_errors` end it too. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HEADERS_MAX = 32, WATCH_MAX = 64 };

enum fresh {
    FRESH_NO,      /* keep-alive */
    FRESH_FULL,    /* a new connection with a full handshake for each request */
    FRESH_RESUMED, /* a new connection that resumes the slot's last session */
};

struct options {
    /* where */
    struct sockaddr_in address;
    bool tls;
    const char *authority; /* bor: argv; host[:port] of the URL */
    const char *path;      /* bor: argv; begins with '/' */
    const char *server_name;
    /* what */
    const char *method;
    const char *body_file;
    const char *headers[HEADERS_MAX];
    size_t header_count;
    uint64_t expect_status;
    uint64_t expect_length; /* valid when has_expect_length */
    bool has_expect_length;
    /* who */
    const char *cert_file, *key_file, *ca_file;
    const char *groups, *suites;
    bool tls12;
    /* how much */
    uint64_t connections;
    uint64_t opening;  /* handshakes at the same time while connections are opened */
    uint64_t requests; /* 0: no count */
    uint64_t rate;     /* a second; 0: flat out */
    int64_t duration_ns, warmup_ns, timeout_ns, hold_ns;
    uint64_t max_errors;
    enum fresh fresh;
    bool prime, announce, gate;
    uint64_t read_rate; /* bytes a second for each connection; 0: as fast as possible */
    pid_t watch[WATCH_MAX];
    size_t watch_count;
};

enum options_outcome { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG };

/* Read argv. On WRONG one line on stderr says what and how to mend it; on HELP the help is on stdout. */
enum options_outcome options_read(int argc, char **argv, struct options *ret);
