/* Rules to words. */
#include "grammar.h"
#include "draw.h"

#include <ctype.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_BYTES 64

void maker_add(maker *made, const char *bytes, size_t len)
{
    if (made->count < MAKER_WORDS)
        made->words[made->count++] = arena_word(made->memory, bytes, len);
}

void maker_add_text(maker *made, const char *text)
{
    maker_add(made, text, strlen(text));
}

const word *maker_take(maker *made)
{
    word *taken = (word *)arena_take(made->memory, (made->count + 1) * sizeof *taken);
    memcpy(taken, made->words, made->count * sizeof *taken);
    return taken;
}

/* --- Rules */

static void expand(maker *made, const char *at, const char *end);

static void add_literal(maker *made, const char *text, size_t len)
{
    char copy[TEXT_BYTES];
    size_t i;
    bool changes = chance_percent(&made->dice, 8);
    if (len >= sizeof copy)
        die("a word of a rule is too long");
    for (i = 0; i < len; i++)
        copy[i] = changes && chance_percent(&made->dice, 50) ? (char)tolower((unsigned char)text[i])
                                                             : text[i];
    maker_add(made, copy, len);
}

static void expand_word(maker *made, const char *text, size_t len)
{
    size_t i;
    if (*text == '\'') {
        maker_add(made, text + 1, len - 2);
        return;
    }
    if (!islower((unsigned char)text[len - 1])) {
        add_literal(made, text, len);
        return;
    }
    if (*text == '#' || *text == '%') {
        made->list_len = 1 + chance_below(&made->dice, 3);
        if (*text == '#') {
            if (chance_percent(&made->dice, 92))
                add_number(made, (long long)made->list_len);
            else
                add_cnt(made);
        }
    }
    if (!strchr("#%=", *text)) {
        adder_of(text, len)(made);
        return;
    }
    for (i = 0; i < made->list_len; i++)
        adder_of(text + 1, len - 1)(made);
}

/* Behind the bracket that closes the one at `at`. */
static const char *close_of(const char *at, const char *end)
{
    int depth = 0;
    for (; at < end; at++) {
        if (*at == '(' || *at == '[')
            depth++;
        if (*at == ')' || *at == ']')
            depth--;
        if (depth == 0)
            return at + 1;
    }
    die("a rule has no closing bracket");
}

/* One of the alternatives between the brackets. */
static void expand_choice(maker *made, const char *at, const char *end)
{
    const char *starts[32];
    size_t count = 0;
    size_t chosen;
    const char *c;
    int depth = 0;
    starts[count++] = at;
    for (c = at; c < end; c++) {
        depth += *c == '(' || *c == '[';
        depth -= *c == ')' || *c == ']';
        if (*c == '|' && depth == 0 && count < COUNT_OF(starts) - 1)
            starts[count++] = c + 1;
    }
    starts[count] = end + 1;
    chosen = chance_below(&made->dice, count);
    expand(made, starts[chosen], starts[chosen + 1] - 1);
}

static size_t draw_times(maker *made, const char **at, const char *end, bool is_optional)
{
    size_t stars = 0;
    if (*at < end && **at == '+') {
        (*at)++;
        return 1 + chance_below(&made->dice, 3);
    }
    for (; *at < end && **at == '*'; (*at)++)
        stars++;
    if (stars == 2)
        return chance_below(&made->dice, 200);
    if (stars == 1)
        return chance_below(&made->dice, 4);
    return is_optional ? chance_below(&made->dice, 2) : 1;
}

static void expand(maker *made, const char *at, const char *end)
{
    while (at < end) {
        const char *start = at;
        const char *stop;
        size_t times;
        if (*at == ' ') {
            at++;
            continue;
        }
        if (*at == '(' || *at == '[') {
            stop = close_of(at, end);
            at = stop;
            times = draw_times(made, &at, end, *start == '[');
            while (times-- > 0)
                expand_choice(made, start + 1, stop - 1);
            continue;
        }
        while (at < end && *at != ' ' && (at == start || (*at != '*' && *at != '+')))
            at++;
        stop = at;
        times = draw_times(made, &at, end, false);
        while (times-- > 0)
            expand_word(made, start, (size_t)(stop - start));
    }
}

void maker_expand(maker *made, const char *rule)
{
    made->count = 0;
    made->list_len = 1;
    expand(made, rule, rule + strlen(rule));
}

static void maker_remove(maker *made, size_t i)
{
    memmove(&made->words[i], &made->words[i + 1], (made->count - i - 1) * sizeof made->words[0]);
    made->count--;
}

/* Put the word that an adder makes in the place of word `i`. */
static void maker_replace(maker *made, size_t i, adder add)
{
    add(made);
    made->words[i] = made->words[made->count - 1];
    made->count--;
}

void maker_spoil(maker *made)
{
    size_t i;
    if (made->count >= MAKER_WORDS - 1)
        return;
    if (made->count < 2) {
        add_junk(made);
        return;
    }
    i = 1 + chance_below(&made->dice, made->count - 1);
    switch (chance_below(&made->dice, 7)) {
    case 0:
        maker_remove(made, i);
        break;
    case 1:
        made->words[made->count] = made->words[i];
        made->count++;
        break;
    case 2:
        add_junk(made);
        break;
    case 3:
        maker_replace(made, i, add_junk);
        break;
    case 4:
        maker_replace(made, i, add_key);
        break;
    case 5:
        made->count = i;
        break;
    default: {
        size_t other = 1 + chance_below(&made->dice, made->count - 1);
        word kept = made->words[i];
        made->words[i] = made->words[other];
        made->words[other] = kept;
    }
    }
}
