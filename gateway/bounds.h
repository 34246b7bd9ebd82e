#pragma once
/* What stands fast however the gateway is set up, beside what each part it is made of says of itself: settings_fixed.c
 * shows all of them. */

enum {
    EXCHANGE_MEMORY = 1 << 20,     /* of one exchange, beside what is made of its body */
    EXCHANGE_OUT = 4 << 20,        /* of its answer, translated and not yet taken */
    LOG_WAITING_MAX = 256,         /* reads of the log that wait */
    OPERATIONS_CONNECTIONS = 64,   /* open at once */
    CONTROL_BODY_CAP = 16 << 20,   /* of a request to the administration API */
    CONTROL_MEMORY = 96 << 20,     /* and of what is made of it */
    CONTROL_ANSWER_CAP = 64 << 20, /* and of its answer */
    CONTROL_ROWS_MAX = 1000,       /* of a list */
    CONTROL_STUDIES_MAX = 4,       /* searches and statistics of the log at once */
    APPLY_FILES_MAX = 500,         /* of one apply */
    APPLY_DOCUMENTS_MAX = 5000,    /* in all of them */
    WITNESS_CONNECTIONS = 64,      /* open at once at the witness listener, of those who have shown who they are */
    WITNESS_CALL_MS = 5000,        /* one request to a witness; and the keeper's cosignature, when we are one */
    WITNESS_REPLY_MAX = 8192
};
