#pragma once
/* One spelling for one person. What identifies a person (an identity number, a telephone number, a name) comes as
 * people write it; its pseudonym in the evidence must not depend on that, or who is looked up with a small x is not
 * found under the large one. Recording and searching fold in this one function. */
#include "base/core/slice.h"

enum { PERSON_ROOM = 256, PERSON_SPELLINGS = 3 };
/* Letters in upper case, full-width forms as ASCII, without white space, hyphens and the dots inside names, a telephone
 * number without +86 or 0086, an identity number of 15 digits as the one of 18 that replaced it. What is still longer
 * than PERSON_ROOM is no such value and stays as it is. The result is `value` itself when there is nothing to fold (the
 * ordinary case: one look at each byte), else in `mem`. */
struct slice person_fold(struct slice value, char mem[PERSON_ROOM]);
/* How the same value may stand in records of a program that did not fold: as it is given here, in small letters, with
 * 15 digits. How many there are that differ from the folded one; slices of `value` or in `mem`. */
unsigned person_spellings(struct slice value, struct slice ret[PERSON_SPELLINGS],
                          char mem[PERSON_SPELLINGS][PERSON_ROOM]);
