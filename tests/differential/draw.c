/* Words that are drawn: most are ordinary and alike, so that they meet; some are hostile. */
#include "draw.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_BYTES 64
#define LONG_BYTES 5000

void add_number(maker *made, long long number)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "%lld", number);
    maker_add_text(made, text);
}

static long long number_between(maker *made, long long least, long long most)
{
    return least + (long long)(chance_next(&made->dice) % (uint64_t)(most - least + 1));
}

static void add_one_of(maker *made, const char *const *texts, size_t count)
{
    maker_add_text(made, texts[chance_below(&made->dice, count)]);
}

#define ADD_ONE_OF(made, texts) add_one_of(made, texts, COUNT_OF(texts))

/* --- Keys, members, values */

static void add_odd_bytes(maker *made)
{
    static const struct {
        const char *at;
        size_t len;
    } odd[] = {{"", 0},       {"\0", 1},       {"a\0b", 3},
               {"\r\n", 2},   {"\xff\xfe", 2}, {"key with blanks", 15},
               {"{tag}a", 6}, {"*?[a]\\", 6},  {"\xc3\xa4\n", 3},
               {"\"'", 2}};
    size_t i = chance_below(&made->dice, COUNT_OF(odd));
    maker_add(made, odd[i].at, odd[i].len);
}

static void add_key_of(maker *made, const char *letters)
{
    char text[4];
    size_t len = 0;
    if (chance_percent(&made->dice, 3)) {
        add_odd_bytes(made);
        return;
    }
    if (chance_percent(&made->dice, 12))
        letters = "slhezx";
    text[len++] = letters[chance_below(&made->dice, strlen(letters))];
    text[len++] = (char)('0' + chance_below(&made->dice, 6));
    maker_add(made, text, len);
}

void add_key(maker *made)
{
    add_key_of(made, "slhezx");
}

static void add_skey(maker *made)
{
    add_key_of(made, "s");
}

static void add_lkey(maker *made)
{
    add_key_of(made, "l");
}

static void add_hkey(maker *made)
{
    add_key_of(made, "h");
}

static void add_ekey(maker *made)
{
    add_key_of(made, "e");
}

static void add_zkey(maker *made)
{
    add_key_of(made, "z");
}

/* Sets and sorted sets both serve ZUNION and its like. */
static void add_ezkey(maker *made)
{
    add_key_of(made, "zze");
}

/* Sorted sets of one score alone: the only ones where a range by name has a meaning. */
static void add_ykey(maker *made)
{
    static const char *const keys[] = {"y0", "y1", "y2"};
    ADD_ONE_OF(made, keys);
}

static void add_xkey(maker *made)
{
    add_key_of(made, "x");
}

/* Streams whose ids come from the clock. */
static void add_akey(maker *made)
{
    static const char *const keys[] = {"auto0", "auto1"};
    ADD_ONE_OF(made, keys);
}

static void add_mem(maker *made)
{
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 8)) {
        add_odd_bytes(made);
        return;
    }
    if (chance_percent(&made->dice, 30))
        snprintf(text, sizeof text, "%d", (int)number_between(made, -2, 9));
    else
        snprintf(text, sizeof text, "m%d", (int)number_between(made, 0, 11));
    maker_add_text(made, text);
}

static void add_bigmem(maker *made)
{
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 50))
        snprintf(text, sizeof text, "%d", (int)number_between(made, -70000, 70000));
    else
        snprintf(text, sizeof text, "member%d", (int)number_between(made, 0, 5000));
    maker_add_text(made, text);
}

static void add_int(maker *made);
static void add_dbl(maker *made);

static void add_long(maker *made)
{
    char text[LONG_BYTES];
    size_t len = chance_below(&made->dice, chance_percent(&made->dice, 10) ? LONG_BYTES : 300);
    size_t i;
    for (i = 0; i < len; i++)
        text[i] = (char)chance_next(&made->dice);
    maker_add(made, text, len);
}

static void add_val(maker *made)
{
    switch (chance_below(&made->dice, 12)) {
    case 0:
        add_long(made);
        break;
    case 1:
        add_odd_bytes(made);
        break;
    case 2:
    case 3:
        add_int(made);
        break;
    case 4:
        add_dbl(made);
        break;
    case 5:
    case 6:
    case 7:
        add_number(made, number_between(made, -20, 100));
        break;
    default:
        add_mem(made);
    }
}

/* --- Numbers */

static const char *const hostile_ints[] = {"9223372036854775807",
                                           "-9223372036854775808",
                                           "9223372036854775808",
                                           "-9223372036854775809",
                                           "9223372036854775806",
                                           "-9223372036854775807",
                                           "4294967296",
                                           "2147483648",
                                           "-2147483649",
                                           "2147483647",
                                           "18446744073709551615",
                                           "18446744073709551616",
                                           "",
                                           " 1",
                                           "1 ",
                                           "+1",
                                           "-0",
                                           "01",
                                           "0x10",
                                           "1.0",
                                           "1e3",
                                           "abc",
                                           "-",
                                           "+",
                                           "99999999999999999999999999999999",
                                           "--1",
                                           "1\n"};

static void add_int(maker *made)
{
    if (chance_percent(&made->dice, 25))
        ADD_ONE_OF(made, hostile_ints);
    else
        add_number(made, number_between(made, -12, 12));
}

void add_cnt(maker *made)
{
    if (chance_percent(&made->dice, 8))
        ADD_ONE_OF(made, hostile_ints);
    else
        add_number(made, number_between(made, chance_percent(&made->dice, 10) ? -3 : 0, 8));
}

static void add_idx(maker *made)
{
    if (chance_percent(&made->dice, 6))
        ADD_ONE_OF(made, hostile_ints);
    else
        add_number(made, number_between(made, -10, 12));
}

/* What INCRBYFLOAT adds: exact in double and in long double alike, however they are added. */
static void add_flt(maker *made)
{
    static const char *const hostile[] = {"nan", "inf",  "-inf", "1e",       "",  " 1",      "1 ",
                                          "abc", "1..2", "--1",  "1e400000", "+", "infinite"};
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 15)) {
        ADD_ONE_OF(made, hostile);
        return;
    }
    if (chance_percent(&made->dice, 15)) {
        snprintf(text, sizeof text, "%de%d", (int)number_between(made, -9, 9),
                 (int)number_between(made, 0, 9));
        maker_add_text(made, text);
        return;
    }
    snprintf(text, sizeof text, "%.10g",
             (double)number_between(made, -100000, 100000) /
                 (double)(1 << number_between(made, 0, 8)));
    maker_add_text(made, text);
}

static void add_dbl(maker *made)
{
    static const char *const hostile[] = {"inf",
                                          "+inf",
                                          "-inf",
                                          "INF",
                                          "Infinity",
                                          "nan",
                                          "NaN",
                                          "-nan",
                                          "1e400",
                                          "-1e400",
                                          "1e308",
                                          "-1e308",
                                          "1e-320",
                                          "1e-400",
                                          "5e-324",
                                          "1.7976931348623157e308",
                                          "",
                                          " 1",
                                          "1 ",
                                          "1e",
                                          "0x10",
                                          "0x1p3",
                                          ".5",
                                          "5.",
                                          "-0",
                                          "-0.0",
                                          "+5",
                                          "1e5",
                                          "abc",
                                          "1,5",
                                          "3.0",
                                          "1e21",
                                          "9007199254740993",
                                          "0.1",
                                          "0.2",
                                          "0.30000000000000004",
                                          "1e15",
                                          "1e16",
                                          "1e17",
                                          "123456789012345678",
                                          "1.1e-7",
                                          "infx",
                                          "1_000"};
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 20))
        ADD_ONE_OF(made, hostile);
    else if (chance_percent(&made->dice, 60))
        add_number(made, number_between(made, -5, 9));
    else {
        snprintf(text, sizeof text, "%.*g", (int)number_between(made, 1, 17),
                 ((double)number_between(made, -1000000, 1000000)) / 1000.0 /
                     (double)number_between(made, 1, 999));
        maker_add_text(made, text);
    }
}

static void add_score(maker *made)
{
    if (chance_percent(&made->dice, 85))
        add_number(made, number_between(made, -3, 6));
    else
        add_dbl(made);
}

/* A bound of a range of scores. */
static void add_rng(maker *made)
{
    static const char *const ends[] = {"-inf", "+inf", "inf", "(-inf", "(+inf", "(", "", "(nan",
                                       "nan",  "( 1",  "((1", "[1",    "(0x2",  "-", "+"};
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 25)) {
        ADD_ONE_OF(made, ends);
    } else if (chance_percent(&made->dice, 25)) {
        snprintf(text, sizeof text, "(%d", (int)number_between(made, -3, 6));
        maker_add_text(made, text);
    } else {
        add_score(made);
    }
}

/* A bound of a range by name. */
static void add_lex(maker *made)
{
    static const char *const ends[] = {"-", "+",     "-",  "+",  "[",  "(",  "",
                                       "a", "[\xff", "(-", "[+", "--", "+x", "-inf"};
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 45)) {
        ADD_ONE_OF(made, ends);
        return;
    }
    snprintf(text, sizeof text, "%cm%d", chance_percent(&made->dice, 50) ? '[' : '(',
             (int)number_between(made, 0, 11));
    maker_add_text(made, text);
}

/* How many of SRANDMEMBER and the like: a large negative number is a large reply. */
static void add_rcnt(maker *made)
{
    static const char *const hostile[] = {
        "9223372036854775807", "9223372036854775808", "-9223372036854775808", "", "abc", "1.5",
        "4294967296"};
    if (chance_percent(&made->dice, 12))
        ADD_ONE_OF(made, hostile);
    else
        add_number(made, number_between(made, -9, 15));
}

/* Where in a string: large ones are either refused or a large reply, so few are between. */
static void add_off(maker *made)
{
    static const char *const hostile[] = {"536870912", "-1", "9223372036854775807",
                                          "",          "x",  "1000"};
    if (chance_percent(&made->dice, 12))
        ADD_ONE_OF(made, hostile);
    else
        add_number(made, number_between(made, 0, 40));
}

/* --- Times: far, past, or none */

static const char *const hostile_times[] = {"0",
                                            "-1",
                                            "-100000000000",
                                            "9223372036854775807",
                                            "-9223372036854775808",
                                            "9223372036854775",
                                            "9223372036854776",
                                            "9223370399119966",
                                            "92233720368547758",
                                            "",
                                            "abc",
                                            "1.5",
                                            "9223372036854775808"};

static void add_ttl(maker *made)
{
    if (chance_percent(&made->dice, 20))
        ADD_ONE_OF(made, hostile_times);
    else
        add_number(made, number_between(made, 100000, 2000000000));
}

static void add_pttl(maker *made)
{
    if (chance_percent(&made->dice, 20))
        ADD_ONE_OF(made, hostile_times);
    else
        add_number(made, number_between(made, 100000000, 2000000000000));
}

static void add_moment(maker *made, long long unit)
{
    switch (chance_below(&made->dice, 8)) {
    case 0:
        ADD_ONE_OF(made, hostile_times);
        break;
    case 1:
        add_number(made, unit * number_between(made, 1, 1000000000));
        break;
    default:
        add_number(made, unit * (4000000000 + 1000000 * number_between(made, 0, 9)));
    }
}

static void add_at(maker *made)
{
    add_moment(made, 1);
}

static void add_pat(maker *made)
{
    add_moment(made, 1000);
}

/* The time-out of a blocking command: for ever, far, wrong, or a moment. */
static void add_to(maker *made)
{
    static const char *const times[] = {"0",       "0",        "0",    "0",    "0.0",
                                        "1000000", "100000.5", "0.01", "0.005"};
    static const char *const hostile[] = {"-1",
                                          "abc",
                                          "",
                                          "inf",
                                          "nan",
                                          "1e30",
                                          "-0.5",
                                          " 0",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "1e300",
                                          "0x0"};
    if (chance_percent(&made->dice, 15))
        ADD_ONE_OF(made, hostile);
    else
        ADD_ONE_OF(made, times);
}

static void add_bms(maker *made)
{
    static const char *const times[] = {"0",
                                        "0",
                                        "0",
                                        "100000000",
                                        "5",
                                        "-1",
                                        "abc",
                                        "",
                                        "0.5",
                                        "9223372036854775807",
                                        "9223372036854775808"};
    ADD_ONE_OF(made, times);
}

/* --- Patterns, channels, ids */

static void add_glob(maker *made)
{
    static const char *const globs[] = {
        "*",   "s*",  "?1",      "[sl]*", "[^s]*", "[s-z]0",  "\\s1",   "*1*",    "",
        "[",   "[]",  "[a",      "\\",    "**",    "*?*",     "s[0-9]", "[z-a]*", "h[^0-2]",
        "S*",  "?",   "??",      "[\\]]", "*\\*",  "[^]x",    "m*1",    "a\\?b",  "{*",
        "[0-", "*[1", "m[1-3]*", "[^^]1", "x[-]",  "[a-\\z]1"};
    ADD_ONE_OF(made, globs);
}

static void add_chan(maker *made)
{
    static const char *const channels[] = {"c1", "c2", "c3", "news.a", "news.b", "news", "", "C1"};
    ADD_ONE_OF(made, channels);
}

static void add_chglob(maker *made)
{
    static const char *const globs[] = {"*",     "c*",    "c?", "news.*", "news*",
                                        "[ab]*", "c[12]", "",   "n"};
    ADD_ONE_OF(made, globs);
}

static void add_xid(maker *made)
{
    static const char *const hostile[] = {"-",
                                          "+",
                                          "-",
                                          "+",
                                          "0",
                                          "0-0",
                                          "18446744073709551615",
                                          "18446744073709551615-18446744073709551615",
                                          "18446744073709551616",
                                          "1-",
                                          "-1",
                                          "a",
                                          "",
                                          "1-1-1",
                                          "(0",
                                          "(-",
                                          "(+",
                                          "$",
                                          "*",
                                          "1-*",
                                          "1 -1",
                                          "(1-18446744073709551615",
                                          "(18446744073709551615-18446744073709551615",
                                          "(0-0",
                                          ">",
                                          "-5-1"};
    char text[TEXT_BYTES];
    long long ms = number_between(made, 0, (long long)made->tick + 2);
    if (chance_percent(&made->dice, 30)) {
        ADD_ONE_OF(made, hostile);
        return;
    }
    if (chance_percent(&made->dice, 40))
        snprintf(text, sizeof text, "%lld", ms);
    else
        snprintf(text, sizeof text, "%s%lld-%d", chance_percent(&made->dice, 20) ? "(" : "", ms,
                 (int)number_between(made, 0, 4));
    maker_add_text(made, text);
}

/* For XADD: mostly a new one. */
static void add_newid(maker *made)
{
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 10)) {
        add_xid(made);
        return;
    }
    made->tick += chance_below(&made->dice, 3);
    if (chance_percent(&made->dice, 40))
        snprintf(text, sizeof text, "%llu-*", (unsigned long long)made->tick);
    else
        snprintf(text, sizeof text, "%llu-%d", (unsigned long long)made->tick,
                 (int)number_between(made, 0, 6));
    maker_add_text(made, text);
}

static void add_cursor(maker *made)
{
    static const char *const cursors[] = {"", "abc", " 0", "0x", "18446744073709551616"};
    if (chance_percent(&made->dice, 93))
        maker_add_text(made, "0");
    else
        ADD_ONE_OF(made, cursors);
}

static void add_db(maker *made)
{
    if (chance_percent(&made->dice, 8))
        ADD_ONE_OF(made, hostile_ints);
    else if (chance_percent(&made->dice, 8))
        add_number(made, number_between(made, -1, 17));
    else
        add_number(made, number_between(made, 0, 2));
}

static void add_id(maker *made)
{
    char text[TEXT_BYTES];
    if (chance_percent(&made->dice, 10)) {
        add_int(made);
        return;
    }
    snprintf(text, sizeof text, "%s%d", ID_MARK, (int)number_between(made, 0, 8));
    maker_add_text(made, text);
}

/* The connections that listen to invalidations. */
static void add_listener(maker *made)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "%s%d", ID_MARK, (int)number_between(made, 7, 8));
    maker_add_text(made, text);
}

static void add_type(maker *made)
{
    static const char *const types[] = {"string", "list",   "hash",     "set", "zset",
                                        "stream", "STRING", "nonsense", ""};
    ADD_ONE_OF(made, types);
}

static void add_events(maker *made)
{
    static const char *const events[] = {"KEA", "AKE",         "Kg$", "El",  "KEA", "x",
                                         "",    "KElshzxetg$", "q",   "KEm", "KEA"};
    ADD_ONE_OF(made, events);
}

void add_junk(maker *made)
{
    static const char *const words[] = {
        "NX",      "XX",      "GT",         "LT",      "CH",        "INCR",    "GET",
        "EX",      "PX",      "WITHSCORES", "LIMIT",   "COUNT",     "MATCH",   "BLOCK",
        "REV",     "BYSCORE", "BYLEX",      "STREAMS", "KEEPTTL",   "PERSIST", "DB",
        "REPLACE", "LEFT",    "RIGHT",      "MIN",     "MAX",       "WEIGHTS", "AGGREGATE",
        "MAXLEN",  "~",       "=",          "junk",    "NOMKSTREAM"};
    switch (chance_below(&made->dice, 4)) {
    case 0:
        add_int(made);
        break;
    case 1:
        add_dbl(made);
        break;
    case 2:
        add_odd_bytes(made);
        break;
    default:
        ADD_ONE_OF(made, words);
    }
}

adder adder_of(const char *name, size_t len)
{
    static const struct {
        const char *name;
        adder add;
    } adders[] = {{"key", add_key},       {"skey", add_skey},
                  {"lkey", add_lkey},     {"hkey", add_hkey},
                  {"ekey", add_ekey},     {"zkey", add_zkey},
                  {"xkey", add_xkey},     {"akey", add_akey},
                  {"ezkey", add_ezkey},   {"ykey", add_ykey},
                  {"val", add_val},       {"mem", add_mem},
                  {"bigmem", add_bigmem}, {"int", add_int},
                  {"cnt", add_cnt},       {"idx", add_idx},
                  {"flt", add_flt},       {"dbl", add_dbl},
                  {"score", add_score},   {"rng", add_rng},
                  {"lex", add_lex},       {"rcnt", add_rcnt},
                  {"off", add_off},       {"ttl", add_ttl},
                  {"pttl", add_pttl},     {"at", add_at},
                  {"pat", add_pat},       {"to", add_to},
                  {"bms", add_bms},       {"glob", add_glob},
                  {"chan", add_chan},     {"chglob", add_chglob},
                  {"xid", add_xid},       {"newid", add_newid},
                  {"cursor", add_cursor}, {"db", add_db},
                  {"id", add_id},         {"listener", add_listener},
                  {"type", add_type},     {"events", add_events},
                  {"junk", add_junk}};
    size_t i;
    for (i = 0; i < COUNT_OF(adders); i++)
        if (strlen(adders[i].name) == len && memcmp(adders[i].name, name, len) == 0)
            return adders[i].add;
    die("a rule names \"%.*s\", which is not known", (int)len, name);
}
