#pragma once
/* How a thread stands to the others of the machine. */

/* The calling thread works beside those that somebody waits for: it weighs less by `nice` (see nice(2)) than it did, it
 * takes the processor from nobody when it is woken, and whoever wakes while it runs need not let it finish its slice of
 * some 3 ms, but 0.1. Linux before 6.12 knows no slices of a thread's own and lets wakers preempt anyway. What the
 * system refuses it goes without. */
void thread_stand_back(int nice);

/* In the long loops of a thread that stood back: yields its processor when it has had it for 0.2 ms since the last
 * time. The kernel sees the end of a slice at its next tick only, after 4 ms where there are 250 a second, and who came
 * to this processor since, an exchange perhaps, waits for it even beside an idle one. Costs a system call that reads a
 * clock, half a microsecond. Whoever holds a lock then, holds it longer: none that an exchange, an act or the log's
 * writer waits for. */
void thread_give_way(void);
