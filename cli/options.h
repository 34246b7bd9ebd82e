#pragma once
/* The lists of options that the table of commands names. */
#include "cli/command.h"

extern const struct option options_list[], options_list_resources[], options_list_requests[], options_list_grants[],
    options_list_certs[], options_version[], options_note_required[], options_decide[], options_decide_noted[],
    options_apply[], options_request[], options_cert_request[], options_cert_sign[], options_cert_enrol[],
    options_cert_renew[], options_reason[], options_out[], options_checkpoint[], options_search[], options_index[],
    options_hold[], options_export[], options_verify[], options_verify_export[], options_witness[],
    options_witness_init[], options_proof[], options_exchange_get[], options_exchange_post[], options_init[],
    options_list_policies[], options_policy_version[];
