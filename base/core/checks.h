#pragma once
/* Check digits and shapes of the field's identifiers (DOMAIN.md section 7), by name, as a table. */
#include "base/core/person.h"

/* Names: id-card (GB 11643, 18 digits, x accepted as X; calendar date checked), uscc (GB 32100),
 * org-code (GB 11714), mobile, bank-card (Luhn), postcode, email, plate, division (6, 9 or 12 digits). */
struct check {
    const char *name;
    bool (*ok)(struct slice value);
    const char *what[2]; /* what it is, by enum lang: "identity number", "公民身份号码" */
    bool small_x;        /* an x at its end is accepted; the value is passed on with the X of the standard */
};
const struct check *check_find(struct slice name); /* NULL: no such check */
const struct check *check_at(unsigned i);          /* NULL past the end; for listings */
bool check_id_card(struct slice value);
/* An identity number of the first generation (15 digits) as the 18 that replaced it; false: it is none. */
bool id_card_modern(struct slice value, char ret[18]);
/* True when a valid identity number (18 digits, or 17 and X, or 15 of the first generation) stands anywhere inside,
 * also in full-width digits. The 15 have no check digit: a known province and a date make them valid. */
bool text_holds_id_card(struct slice text);
/* The same of what people write in words: of 18 digits also with blanks, hyphens and the like inside (person_fold). */
bool text_names_person(struct slice text);
/* The same of a text that has no words, as a trace id: 18 digits count wherever they stand among others, 15 also behind
 * zeros. */
bool digits_hold_id_card(struct slice text);
