/* Types (DOMAIN 2.5) as a table: one function a type that says whether a text fits and how it is written. White space
 * around a value belongs to C and M and to nobody else. */
#include "translate/value.h"
#include "translate/value_time.h"

/* fits_*: true when it fits; out->text is the trimmed input and may be replaced. */

static bool fits_text(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    (void)scratch;
    out->quote = true;
    return f->item->type != 'C' || f->item->length == 0 || out->text.n <= f->item->length ||
           utf8_count(out->text) <= f->item->length;
}

static size_t digits(struct slice s, size_t at)
{
    size_t n = 0;

    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

/* [+-] digits [. digits] [e [+-] digits]; at least one digit before or behind the point. */
struct number {
    bool minus;
    struct slice whole, fraction, exponent; /* exponent with its sign, without the e */
};

static bool number_read(struct slice s, struct number *r)
{
    size_t at = 0;

    *r = (struct number){ 0 };
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
        r->minus = s.p[at++] == '-';
    r->whole = slice_sub(s, at, digits(s, at));
    at += r->whole.n;
    if (at < s.n && s.p[at] == '.') {
        r->fraction = slice_sub(s, at + 1, digits(s, at + 1));
        at += 1 + r->fraction.n;
    }
    if (r->whole.n + r->fraction.n == 0)
        return false;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        size_t sign = at + 1 < s.n && (s.p[at + 1] == '-' || s.p[at + 1] == '+');
        size_t n = digits(s, at + 1 + sign);
        r->exponent = slice_sub(s, at + 1, n > 0 ? sign + n : 0);
        if (n == 0)
            return false;
        at += 1 + r->exponent.n;
    }
    return at == s.n;
}

/* The number in JSON's grammar; zeros in front stay where the value is a string. */
static void number_write(const struct number *r, bool keep_zeros, struct buf *scratch, struct rendered *out)
{
    struct slice whole = r->whole;

    while (!keep_zeros && whole.n > 1 && whole.p[0] == '0')
        whole = slice_sub(whole, 1, whole.n);
    if (r->minus)
        buf_putc(scratch, '-');
    buf_put(scratch, whole.n > 0 ? whole : SLICE("0"));
    if (r->fraction.n > 0) {
        buf_putc(scratch, '.');
        buf_put(scratch, r->fraction);
    }
    if (r->exponent.n > 0) {
        buf_putc(scratch, 'e');
        buf_put(scratch, r->exponent);
    }
    out->text = buf_slice(scratch);
}

/* N and Y: decimal strings, so that no digit is lost. */
static bool fits_decimal(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    struct number r;

    (void)f;
    if (!number_read(out->text, &r) || r.exponent.n > 0 || out->text.p[0] == '+')
        return false;
    out->quote = out->plain = true;
    if (r.whole.n == 0 || out->text.p[out->text.n - 1] == '.')
        number_write(&r, true, scratch, out);
    return true;
}

static bool fits_integer(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    static const struct slice most = SLICE("9007199254740991"); /* 2^53 - 1 */
    struct number r;

    (void)f;
    if (!number_read(out->text, &r) || r.exponent.n > 0 || r.fraction.n > 0 || r.whole.n == 0 ||
        out->text.p[out->text.n - 1] == '.')
        return false;
    while (r.whole.n > 1 && r.whole.p[0] == '0')
        r.whole = slice_sub(r.whole, 1, r.whole.n);
    if (slice_is(r.whole, "0"))
        r.minus = false;
    out->plain = true;
    out->quote = r.whole.n > most.n || (r.whole.n == most.n && slice_cmp(r.whole, most) > 0);
    if (r.whole.n + r.minus != out->text.n)
        number_write(&r, false, scratch, out);
    return true;
}

static bool fits_float(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    struct number r;

    (void)f;
    if (!number_read(out->text, &r))
        return false;
    out->plain = true;
    if (r.whole.n == 0 || (r.whole.n > 1 && r.whole.p[0] == '0') || out->text.p[0] == '+' ||
        (r.fraction.n == 0 && slice_find(out->text, '.') < out->text.n))
        number_write(&r, false, scratch, out);
    return true;
}

static bool fits_date(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    size_t n;

    (void)scratch;
    if (!time_render(out->text, &f->item->format_in, f->item->type == 'D', out->small, &n))
        return false;
    out->quote = out->plain = true;
    out->text = slice_make(out->small, n);
    return true;
}

static bool fits_logical(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    static const char *const words[2][5] = { { "false", "0", "N", "否", "no" }, { "true", "1", "Y", "是", "yes" } };

    (void)f, (void)scratch;
    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < 5; i++)
            if (slice_eq_nocase(out->text, slice_of(words[v][i]))) {
                out->text = slice_of(words[v][0]);
                out->plain = true;
                return true;
            }
    return false;
}

static bool base64_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* G: base64 with padding; line breaks inside are taken out. */
static bool fits_base64(const struct map_field *f, struct buf *scratch, struct rendered *out)
{
    size_t pad = 0, n = 0;
    bool blanks = false;

    (void)f;
    for (size_t i = 0; i < out->text.n; i++) {
        char c = out->text.p[i];
        bool blank = c == '\n' || c == ' ' || c == '\t' || c == '\r';
        if (!blank && c != '=' && (pad > 0 || !base64_char(c)))
            return false;
        pad += c == '=';
        n += !blank;
        blanks |= blank;
    }
    if (pad > 2 || n % 4 != 0)
        return false;
    for (size_t i = 0; blanks && i < out->text.n; i++)
        if (out->text.p[i] == '=' || base64_char(out->text.p[i]))
            buf_putc(scratch, out->text.p[i]);
    if (blanks)
        out->text = buf_slice(scratch);
    out->quote = out->plain = true;
    return true;
}

static const struct value_type {
    bool keep_blanks, empty_is_text;
    bool (*fits)(const struct map_field *f, struct buf *scratch, struct rendered *out);
} types[26] = {
#define TYPE(letter) [letter - 'A']
    TYPE('C') = { true, true, fits_text },      TYPE('M') = { true, true, fits_text },
    TYPE('N') = { false, false, fits_decimal }, TYPE('Y') = { false, false, fits_decimal },
    TYPE('D') = { false, false, fits_date },    TYPE('T') = { false, false, fits_date },
    TYPE('L') = { false, false, fits_logical }, TYPE('G') = { false, true, fits_base64 },
    TYPE('B') = { false, false, fits_float },   TYPE('I') = { false, false, fits_integer },
    TYPE('F') = { false, false, fits_float },
#undef TYPE
};

bool value_type_known(char type)
{
    return type >= 'A' && type <= 'Z' && types[type - 'A'].fits != NULL;
}

bool value_format_ok(char type, struct slice format)
{
    return (type == 'D' || type == 'T') && time_format_ok(format);
}

static struct slice trim(struct slice s)
{
    while (s.n > 0 && (unsigned char)s.p[0] <= ' ')
        s = slice_sub(s, 1, s.n);
    while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

static bool in_codes(const struct map_field *f, struct slice code)
{
    size_t lo = 0, hi = f->n_codes;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = slice_cmp(code, f->codes[mid]);
        if (c == 0)
            return true;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return f->codes == NULL;
}

static bool is_empty(const struct map_field *f, struct slice text)
{
    for (size_t i = 0; i < f->item->empty_as.n; i++)
        if (slice_eq(text, f->item->empty_as.at[i]))
            return true;
    return text.n == 0;
}

void value_render(const struct map_field *f, struct slice text, bool clear, struct buf *scratch, struct rendered *out)
{
    const struct value_type *type = &types[f->item->type - 'A']; /* known: checked at compile */

    out->quote = out->plain = out->finding = false;
    out->text = type->keep_blanks ? text : trim(text);
    out->state = VALUE_WRITTEN;
    if (is_empty(f, out->text)) {
        out->text = (struct slice){ NULL, 0 };
        out->state = type->empty_is_text ? VALUE_WRITTEN : VALUE_NULL;
        out->quote = out->plain = true;
        return;
    }
    buf_clear(scratch);
    if (!in_codes(f, out->text) || !type->fits(f, scratch, out) || scratch->failed != ERR_OK) {
        out->state = VALUE_NULL;
        out->finding = true;
    } else if (f->item->mask.n > 0 && !clear) {
        translate_mask(f->item->mask, out->text, scratch);
        out->text = buf_slice(scratch);
        if (scratch->failed != ERR_OK) {
            out->state = VALUE_NULL;
            out->finding = true;
        }
    }
}
