/* Identifiers of the field by shape and check digit. Pure, but for "today" in a birth date. Invariants: values are
 * judged whole (no trimming); a division code is not looked up in any table, for codes outlive divisions. */
#include "base/core/checks.h"
#include "base/core/clock.h"
#include "base/core/text.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return true;
}

static int number(const char *p, int digits)
{
    int v = 0;

    while (digits-- > 0)
        v = v * 10 + (*p++ - '0');
    return v;
}

/* The check character behind 17 digits, by GB 11643-1999. */
static char id_card_last(const char *p)
{
    static const unsigned char weights[17] = { 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2 };
    unsigned sum = 0;

    for (int i = 0; i < 17; i++)
        sum += (unsigned)(p[i] - '0') * weights[i];
    return "10X98765432"[sum % 11];
}

/* GB 11643-1999 over 18 characters, x folded to X. */
static bool id_card_18(const char *p)
{
    int32_t birth, least;

    if (!all_digits((struct slice){ p, 17 }) || (p[17] == 'x' ? 'X' : p[17]) != id_card_last(p))
        return false;
    return clock_days(1850, 1, 1, &least) &&
           clock_days(number(p + 6, 4), number(p + 10, 2), number(p + 12, 2), &birth) && birth >= least &&
           birth <= clock_day_of(clock_wall_ms());
}

/* The first generation, 15 digits without a check digit: region, yymmdd, sequence; 996 to 999 were born in 18yy. The
 * province must be one of GB/T 2260, or 9: else any number that begins with a year would do. */
static bool id_card_15(const char *p)
{
    static const unsigned short second[10] = {
        [1] = 0x3e, [2] = 0x0e, [3] = 0xfe, [4] = 0x7e, [5] = 0x1f, [6] = 0x3e, [7] = 0x02, [8] = 0x0e, [9] = 0x3ff
    };
    int32_t birth, least;
    int year = number(p + 6, 2) + (number(p + 12, 3) >= 996 ? 1800 : 1900);

    return (second[p[0] - '0'] >> (p[1] - '0') & 1) && clock_days(1850, 1, 1, &least) &&
           clock_days(year, number(p + 8, 2), number(p + 10, 2), &birth) && birth >= least;
}

bool check_id_card(struct slice value)
{
    return value.n == 18 && id_card_18(value.p);
}

bool id_card_modern(struct slice value, char ret[18])
{
    const char *p = value.p;

    if (value.n != 15 || !all_digits(value) || !id_card_15(p))
        return false;
    memcpy(ret, p, 6);
    memcpy(ret + 6, number(p + 12, 3) >= 996 ? "18" : "19", 2);
    memcpy(ret + 8, p + 6, 9);
    ret[17] = id_card_last(ret);
    return true;
}

/* Index in the alphabet of GB 32100, or -1. */
static int uscc_value(char c)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

/* GB 11714 over nine characters. */
static bool org_code_9(const char *p)
{
    static const unsigned char weights[8] = { 3, 7, 9, 10, 5, 8, 4, 2 };
    unsigned sum = 0;

    for (int i = 0; i < 8; i++) {
        if (!is_digit(p[i]) && (p[i] < 'A' || p[i] > 'Z'))
            return false;
        sum += (unsigned)(is_digit(p[i]) ? p[i] - '0' : p[i] - 'A' + 10) * weights[i];
    }
    return p[8] == "0X987654321"[sum % 11];
}

static bool check_uscc(struct slice s)
{
    static const unsigned char weights[17] = { 1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28 };
    int sum = 0;

    if (s.n != 18 || !all_digits(slice_sub(s, 2, 6)))
        return false;
    for (int i = 0; i < 17; i++) {
        int v = uscc_value(s.p[i]);
        if (v < 0)
            return false;
        sum += v * weights[i];
    }
    return uscc_value(s.p[17]) == (31 - sum % 31) % 31;
}

/* Nine characters, or with a hyphen before the check digit, as it is printed. */
static bool check_org_code(struct slice s)
{
    char nine[9];

    if (s.n == 9)
        return org_code_9(s.p);
    if (s.n != 10 || s.p[8] != '-')
        return false;
    memcpy(nine, s.p, 8);
    nine[8] = s.p[9];
    return org_code_9(nine);
}

/* +86 or 0086 in front, spaces and hyphens between are what people write; the rest is 1[3-9] and nine digits. */
static bool check_mobile(struct slice s)
{
    char digits[11] = "";
    size_t n = 0;

    if (slice_starts(s, SLICE("+86")))
        s = slice_sub(s, 3, s.n);
    else if (slice_starts(s, SLICE("0086")))
        s = slice_sub(s, 4, s.n);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ' || s.p[i] == '-')
            continue;
        if (!is_digit(s.p[i]) || n == sizeof digits)
            return false;
        digits[n++] = s.p[i];
    }
    return n == sizeof digits && s.n <= 20 && digits[0] == '1' && digits[1] >= '3';
}

/* ISO/IEC 7812 (Luhn). */
static bool check_bank_card(struct slice s)
{
    unsigned sum = 0;

    if (s.n < 12 || s.n > 19 || !all_digits(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned v = (unsigned)(s.p[s.n - 1 - i] - '0') << (i & 1);
        sum += v > 9 ? v - 9 : v;
    }
    return sum % 10 == 0;
}

static bool check_postcode(struct slice s)
{
    return s.n == 6 && all_digits(s);
}

static bool check_division(struct slice s)
{
    return (s.n == 6 || s.n == 9 || s.n == 12) && all_digits(s);
}

/* local@host.tld: one @, no white space or controls, a dot inside the host; at most 254 bytes (RFC 5321). */
static bool check_email(struct slice s)
{
    size_t at = slice_find(s, '@');
    struct slice host = slice_sub(s, at + 1, s.n);

    if (s.n > 254 || at == 0 || host.n < 3 || slice_find(host, '@') < host.n || !utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    for (size_t i = 1; i + 1 < host.n; i++)
        if (host.p[i] == '.')
            return true;
    return false;
}

static bool plate_char(char c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z' && c != 'I' && c != 'O');
}

/* True when the code point at `at` is one of `set`. */
static bool holds(struct slice set, struct slice s, size_t at)
{
    uint32_t c = utf8_at(s, at);

    for (size_t i = 0; i < set.n; i = utf8_next(set, i))
        if (utf8_at(set, i) == c)
            return true;
    return false;
}

/* Province, letter, five characters (the last may be a word), or six for new energy. */
static bool check_plate(struct slice s)
{
    static const char provinces[] = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼";
    static const char last[] = "挂学警港澳";
    enum { BODY = 4 }; /* behind the province (3 bytes) and the letter */
    size_t plain = 0;

    if (s.n < 9 || !utf8_valid(s) || !holds(slice_of(provinces), s, 0) || s.p[3] < 'A' || s.p[3] > 'Z')
        return false;
    while (BODY + plain < s.n && plate_char(s.p[BODY + plain]))
        plain++;
    if (BODY + plain == s.n)
        return plain == 5 || plain == 6;
    return plain == 4 && s.n == BODY + 4 + 3 && holds(slice_of(last), s, BODY + 4);
}

static const struct check checks[] = {
    { "id-card", check_id_card, { "identity number", "公民身份号码" }, true },
    { "uscc", check_uscc, { "unified social credit code", "统一社会信用代码" }, false },
    { "org-code", check_org_code, { "organisation code", "组织机构代码" }, false },
    { "mobile", check_mobile, { "mobile number", "手机号码" }, false },
    { "bank-card", check_bank_card, { "bank card number", "银行卡号" }, false },
    { "postcode", check_postcode, { "postal code", "邮政编码" }, false },
    { "email", check_email, { "e-mail address", "电子邮箱" }, false },
    { "plate", check_plate, { "number plate", "机动车号牌" }, false },
    { "division", check_division, { "administrative division code", "行政区划代码" }, false },
};

const struct check *check_at(unsigned i)
{
    return i < sizeof checks / sizeof checks[0] ? &checks[i] : NULL;
}

const struct check *check_find(struct slice name)
{
    for (unsigned i = 0; check_at(i) != NULL; i++)
        if (slice_is(name, checks[i].name))
            return &checks[i];
    return NULL;
}

/* The character at `at` as a digit or 'X', full-width forms folded; 0: another one. *ret_next is just behind it.
 * Bytes need not be UTF-8: what is no full-width form is stepped over byte by byte. */
static char id_char(struct slice s, size_t at, size_t *ret_next)
{
    char c = s.p[at];

    *ret_next = at + 1;
    if (s.n - at >= 3 && c == '\xef') {
        unsigned low = (unsigned char)s.p[at + 2];
        *ret_next = at + 3;
        if (s.p[at + 1] == '\xbc' && low >= 0x90 && low <= 0x99)
            return (char)('0' + (low - 0x90));
        if ((s.p[at + 1] == '\xbc' && low == 0xb8) || (s.p[at + 1] == '\xbd' && low == 0x98))
            return 'X';
        *ret_next = at + 1;
    }
    return (char)(is_digit(c) ? c : c == 'x' || c == 'X' ? 'X' : 0);
}

static bool is_id_card(const char *run, size_t n)
{
    return (n == 18 && id_card_18(run)) || (n == 15 && id_card_15(run));
}

bool text_holds_id_card(struct slice text)
{
    char run[18];
    size_t n = 0; /* length of the run of digits so far; may exceed the array, then the run is none */

    for (size_t at = 0, next; at < text.n; at = next) {
        char c = id_char(text, at, &next);
        if (is_digit(c)) {
            if (n < sizeof run)
                run[n] = c;
            n++;
            continue;
        }
        if (n == 17 && c == 'X') {
            run[17] = c;
            n++;
        }
        if (is_id_card(run, n))
            return true;
        n = 0;
    }
    return is_id_card(run, n);
}

bool digits_hold_id_card(struct slice text)
{
    bool begins = true; /* nothing but zeros of this run before */

    for (size_t at = 0; at < text.n; at++) {
        const char *p = text.p + at;
        size_t n = 0;

        while (at + n < text.n && is_digit(p[n]))
            n++;
        if ((n >= 18 && id_card_18(p)) || (n == 15 && begins && id_card_15(p)))
            return true;
        begins = n == 0 || (begins && p[0] == '0');
    }
    return false;
}
