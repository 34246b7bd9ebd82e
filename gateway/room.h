#pragma once
/* Who waits for room in the worker's evidence queue. Inside gateway/ only; the worker's thread.
 *
 * An exchange that finds the queue full is not refused: what the queue holds is being made durable, and an exchange
 * waits for that in any case. It stands in one of two lines and is resumed when records were answered for; only the
 * first of its line may try. Those whose record is owed (outcomes and cuts: their provider was asked) go before those
 * who begin or are refused. A line is no longer than the exchanges of a worker, which have limits of their own.
 * Invariant: while somebody waits the queue holds records that will be answered for, and after each such answer
 * room_serve is called; the worker's second calls it too, for a log that hangs answers nobody and closes its queues. */
#include "gateway/worker_internal.h"

/* May this exchange try now? Else it stands in line (room_wait). */
bool room_turn(const struct exchange *x, enum room_line line);
void room_wait(struct exchange *x, enum room_line line); /* once, however often it is called */
void room_leave(struct exchange *x);                     /* it waits no more, if it did */
void room_serve(struct worker *w);                       /* resume them in their order, as long as there is room */
