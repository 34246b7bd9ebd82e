#pragma once
/* sluice init: a new node in an empty folder. What is state is made in one transaction with the records of its acts, so
 * that the daemon's first start appends them to the log. Invariant: the folder appears whole or not at all. */
#include "certs/certs.h"
#include "cli/cli.h"

enum { INIT_ADMINS = 3, INIT_DAYS = 365 };

struct init_admin {
    const char *role;       /* "system": as in --admin */
    unsigned bit;           /* enum catalog_role */
    struct doc_title title; /* of the role */
    struct slice id;        /* "bureau/system-admin" */
    const char *csr;        /* file of the request that was given; NULL: a key is made */
};
struct init {
    struct cli *cli;
    const char *dir;  /* as given */
    const char *work; /* where it is made: a neighbour, renamed when it is whole */
    struct slice node, domain, names, listen;
    unsigned data_port, control_port, operations_port;
    struct slice bureau, bureau_title, bureau_code;
    bool placeholder_code;
    struct init_admin admins[INIT_ADMINS];
    struct certs_ca *ca; /* own */
    int64_t now;
};

/* Options into the plan; CLI_USAGE has been told. */
int init_plan(struct init *n);
/* The settings file. */
void init_settings_put(const struct init *n, struct buf *out);
/* state.db: migrated, with the bureau, the administrators, their certificates and the records of all that. */
enum err init_state(struct init *n);
/* A path below n->work, in the arena. */
char *init_path(const struct init *n, const char *name);
