#pragma once
/* A whole node without sockets: authority, state, evidence log and the control thread, in a folder of its own, with the
 * people of the story. Requests are given to the API as its listener gives them, by people with signed certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "gateway/control_internal.h"

enum who { WHO_SYSTEM, WHO_SECURITY, WHO_AUDITOR, WHO_PROVIDER, WHO_CONSUMER, WHO_BUREAU, WHO_APP, WHO_COUNT_ };

struct node {
    char dir[64];
    struct arena a;
    struct diags d;
    struct settings settings;
    struct ed25519 *key;
    struct gate gate;
    struct audit_log *log;
    struct control *control;
    struct certs_peer peer[WHO_COUNT_];
    /* the last answer */
    int status;
    char *text; /* own */
    const struct doc *json;
};
int node_open(void **state);
int node_close(void **state);
/* Begin again on the same folder. */
void node_restart(struct node *n);
/* One request, through to its answer; returns its status. `body` NULL: none. */
int ask(struct node *n, enum who who, const char *method, const char *path, const char *body);
/* Apply one file of manifests, YAML or (*.json) JSON; returns the status. */
int node_apply(struct node *n, enum who who, const char *name, const char *manifest);
/* The code of the problem that was answered, or "". */
struct slice problem_code(const struct node *n);
/* Departments, applications, people and one published resource, as the story has them. */
void node_story(struct node *n);
/* A new certificate for WHO_CONSUMER, after the story; its serial number, which the peer has from now on. */
const char *node_certify_consumer(struct node *n);
