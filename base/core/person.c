/* Folding a person's value. Invariants: folding what is folded changes nothing; a value of digits and capital letters
 * is its own fold (but for the two kinds of number told below), so that its pseudonym is the one it always had. */
#include "base/core/person.h"
#include "base/core/checks.h"
#include "base/core/text.h"

enum { MOBILE = 11, FULL_WIDTH = 0xff01, FULL_WIDTH_END = 0xff5e };

/* Code points beyond ASCII that people put inside such a value, or leave out, besides blanks. */
static const uint16_t left_out[] = {
    0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, /* hyphens, dashes, minus */
    0xb7,   0x2022, 0x2027, 0x30fb,                         /* the dot inside a name */
};

/* A byte that stays, whatever stands beside it: no small letter, no separator, no + and none that begins a character
 * which is folded or left out (they begin as blanks do). */
static bool is_plain(unsigned char c)
{
    if (c >= '0' && c <= 'Z') /* nearly always */
        return true;
    return !UTF8_MAY_BE_BLANK(c) && c != '-' && c != '+' && (c < 'a' || c > 'z');
}

static bool is_left_out(uint32_t c)
{
    for (size_t i = 0; c >= 0x80 && i < sizeof left_out / sizeof left_out[0]; i++)
        if (left_out[i] == c)
            return true;
    return utf8_is_blank(c) || c == '-';
}

/* A number by which the same person goes in another form. */
static struct slice number_fold(struct slice s, char mem[PERSON_ROOM])
{
    size_t n = slice_starts(s, SLICE("+86")) ? 3 : slice_starts(s, SLICE("0086")) ? 4 : 0;
    char modern[18];

    if (n > 0 && s.n == n + MOBILE && check_find(SLICE("mobile"))->ok(slice_sub(s, n, MOBILE)))
        return slice_sub(s, n, MOBILE);
    if (!id_card_modern(s, modern))
        return s;
    memcpy(mem, modern, sizeof modern);
    return slice_make(mem, sizeof modern);
}

static struct slice fold(struct slice value, char mem[PERSON_ROOM])
{
    struct buf out = { .p = mem, .room = PERSON_ROOM, .cap = PERSON_ROOM };

    for (size_t at = 0; at < value.n; at = utf8_next(value, at)) {
        uint32_t c = utf8_at(value, at);

        if (c >= FULL_WIDTH && c <= FULL_WIDTH_END)
            c -= FULL_WIDTH - '!';
        if (c >= 'a' && c <= 'z')
            c -= 'a' - 'A';
        if (!is_left_out(c))
            utf8_put(&out, c);
    }
    return out.failed == ERR_OK ? number_fold(buf_slice(&out), mem) : value;
}

struct slice person_fold(struct slice value, char mem[PERSON_ROOM])
{
    for (size_t i = 0; i < value.n; i++)
        if (!is_plain((unsigned char)value.p[i]))
            return utf8_valid(value) ? fold(value, mem) : value;
    return value.n == 15 ? number_fold(value, mem) : value; /* "0086" and a number, or the older identity number */
}

static struct slice in_small_letters(struct slice s, char mem[PERSON_ROOM])
{
    if (s.n > PERSON_ROOM)
        return s;
    for (size_t i = 0; i < s.n; i++)
        mem[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + ('a' - 'A') : s.p[i]);
    return slice_make(mem, s.n);
}

/* The older identity number that became this one, if one did. */
static struct slice with_15_digits(struct slice s, char mem[PERSON_ROOM])
{
    char modern[18];

    if (!check_id_card(s))
        return s;
    memcpy(mem, s.p, 6);
    memcpy(mem + 6, s.p + 8, 9);
    return id_card_modern(slice_make(mem, 15), modern) && slice_eq(slice_make(modern, sizeof modern), s)
               ? slice_make(mem, 15)
               : s;
}

unsigned person_spellings(struct slice value, struct slice ret[PERSON_SPELLINGS],
                          char mem[PERSON_SPELLINGS][PERSON_ROOM])
{
    struct slice folded = person_fold(value, mem[0]),
                 all[] = { value, in_small_letters(folded, mem[1]), with_15_digits(folded, mem[2]) };
    unsigned n = 0;

    for (unsigned i = 0; i < PERSON_SPELLINGS; i++)
        if (!slice_eq(all[i], folded) && (i == 0 || !slice_eq(all[i], value)))
            ret[n++] = all[i];
    return n;
}

/* ---- identity numbers in a text ---- */

static uint32_t narrow_at(struct slice s, size_t at)
{
    uint32_t c = utf8_at(s, at);

    return c >= FULL_WIDTH && c <= FULL_WIDTH_END ? c - (FULL_WIDTH - '!') : c;
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* The number of 18 that begins at `at`, whatever people leave out or put inside, and goes no further. */
static bool number_begins(struct slice s, size_t at)
{
    char run[18];
    size_t n = 0;

    for (; at < s.n; at = utf8_next(s, at)) {
        uint32_t c = narrow_at(s, at);
        bool last = n == 17 && (c == 'x' || c == 'X');

        if (is_left_out(c))
            continue;
        if (!is_digit(c) && !last)
            break;
        if (n == sizeof run)
            return false;
        run[n++] = last ? 'X' : (char)c;
    }
    return n == sizeof run && check_id_card(slice_make(run, n));
}

bool text_names_person(struct slice text)
{
    bool inside = false; /* a run of digits that nothing parts */

    if (text_holds_id_card(text) || !utf8_valid(text))
        return text_holds_id_card(text);
    for (size_t at = 0; at < text.n; at = utf8_next(text, at)) {
        bool digit = is_digit(narrow_at(text, at));

        if (digit && !inside && number_begins(text, at))
            return true;
        inside = digit;
    }
    return false;
}
