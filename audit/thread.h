#pragma once
/* How a thread stands to the others of the machine. */

/* The calling thread works beside those that somebody waits for: it weighs less by `nice` (see nice(2)) than it did,
 * and whoever wakes while it runs need not let it finish its slice of some 3 ms, but 0.1. Linux before 6.12 knows no
 * slices of a thread's own and lets wakers preempt anyway. What the system refuses it goes without. */
void thread_stand_back(int nice);
