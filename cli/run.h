#pragma once
/* The commands' functions, as the table names them. Each reads c->args and its options and returns an exit code. */
#include "cli/cli.h"

int run_list(struct cli *c); /* GET <noun's path> with the options that have a query name */
int run_show(struct cli *c); /* GET <noun's path>/<id> */
int run_move_version(struct cli *c);
int run_decide(struct cli *c);
int run_move(struct cli *c); /* POST <noun's path>/<id>/<verb>, with --note when given */
int run_apply(struct cli *c);
int run_grant_role(struct cli *c);
int run_revoke_role(struct cli *c);
int run_request_create(struct cli *c);
int run_cert_request(struct cli *c);
int run_cert_sign(struct cli *c);
int run_cert_enrol(struct cli *c);
int run_cert_renew(struct cli *c);
int run_cert_revoke(struct cli *c);
int run_cert_ca(struct cli *c);
int run_cert_crl(struct cli *c);
int run_audit_search(struct cli *c);
int run_audit_export(struct cli *c);
int run_audit_verify(struct cli *c);
int run_audit_verify_export(struct cli *c);
int run_audit_index(struct cli *c);
int run_audit_hold(struct cli *c);
int run_audit_retention(struct cli *c);
int run_audit_checkpoint(struct cli *c);
int run_audit_proof(struct cli *c);
int run_exchange_get(struct cli *c);
int run_exchange_post(struct cli *c);
int run_init(struct cli *c);
int run_witness(struct cli *c);
int run_witness_init(struct cli *c);
int run_status(struct cli *c);
int run_me(struct cli *c);

/* "education/zhao", or "education" where `two` is false; else it has told. */
int id_check(struct cli *c, const char *id, bool two);
/* --vkey: the log's public key itself, or a file that holds it; empty when not given. In the arena. */
int vkey_read(struct cli *c, struct slice *ret);
/* --sm2-vkey, likewise: the log's SM2 key. */
int sm2_vkey_read(struct cli *c, struct slice *ret);
/* Could --out be written? Before what cannot be asked for twice. */
int out_check(struct cli *c);
/* Writes to --out (0644, or `mode`), or to the output when it is not given. */
int out_put(struct cli *c, struct slice text, unsigned mode);
