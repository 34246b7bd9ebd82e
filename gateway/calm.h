#pragma once
/* While memory is short: which connections end. Inside gateway/ only; the worker's thread.
 *
 * What is admitted goes on. Of the other connections those end whose department (all strangers are one) holds no less
 * in this worker than half of what the one with most does, and within it likewise whose identity or address; first
 * those that hold much, then idle ones, the longest open first, until the process is where its flag comes down, or they
 * hold too little for that to help. So a crowd goes, whoever it is; who has a few connections keeps them, and who just
 * came has a moment to ask. */
#include "gateway/worker_internal.h"

struct calm *calm_new(struct worker *w); /* NULL: no memory */
void calm_later(struct worker *w);       /* somebody was refused for want of memory, or comes while it is short */
