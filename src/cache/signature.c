/* Signatures of argument lists. Both writers walk ordered trees without recursion. */

#include "cache/signature.h"

#include "base/error.h"
#include "base/number.h"
#include "base/sha1.h"
#include "cache/arg.h"
#include "cache/json_tree.h"

/* MARK: - Characters out */

static sc_status sci_signature_character(sci_bytes *out, uint32_t c)
{
    char utf8[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = len; i > 1; i--, c >>= 6)
        utf8[i - 1] = (char)(0x80 | (c & 0x3f));
    utf8[0] = (char)(leads[len] | c);
    return sci_bytes_append(out, sc_bytes(utf8, len));
}

static sc_status sci_signature_double(sci_bytes *out, double number)
{
    char text[SCI_DOUBLE_TEXT_BYTES];
    size_t len = sci_double_to_text(number, text);
    return sci_bytes_append(out, sc_bytes(text, len));
}

static const char *sci_signature_literal(unsigned kind)
{
    return kind == SCI_JSON_TRUE ? "true" : kind == SCI_JSON_FALSE ? "false" : "null";
}

/* MARK: - sigmund */

/* Containers at this depth and below, the argument list being at 0, are left out. */
#define SCI_SIGMUND_DEPTH 10

typedef struct sci_sigmund {
    sci_bytes *out;
    uint32_t high; /* a high surrogate that came last, or 0: JavaScript joins it with a low one that
                      comes next, even in another string */
} sci_sigmund;

static sc_status sci_sigmund_settle(sci_sigmund *sigmund)
{
    if (!sigmund->high)
        return SC_OK;
    sigmund->high = 0;
    return sci_bytes_append_text(sigmund->out, "\xEF\xBF\xBD"); /* U+FFFD */
}

static sc_status sci_sigmund_bytes(sci_sigmund *sigmund, sc_slice bytes)
{
    if (bytes.len == 0)
        return SC_OK;
    sc_status status = sci_sigmund_settle(sigmund);
    return status == SC_OK ? sci_bytes_append(sigmund->out, bytes) : status;
}

static sc_status sci_sigmund_character(sci_sigmund *sigmund, uint32_t c)
{
    if (sigmund->high && sci_is_low_surrogate(c)) {
        c = sci_join_surrogates(sigmund->high, c);
        sigmund->high = 0;
        return sci_signature_character(sigmund->out, c);
    }
    sc_status status = sci_sigmund_settle(sigmund);
    if (status != SC_OK)
        return status;
    if (sci_is_high_surrogate(c)) {
        sigmund->high = c;
        return SC_OK;
    }
    return sci_signature_character(sigmund->out, sci_is_low_surrogate(c) ? 0xfffd : c);
}

static sc_status sci_sigmund_string(sci_sigmund *sigmund, sc_slice raw, bool is_plain)
{
    if (is_plain)
        return sci_sigmund_bytes(sigmund, raw);
    sci_characters characters = sci_characters_of_json(raw, false);
    sc_status status = SC_OK;
    uint32_t c;
    while (status == SC_OK && (c = sci_characters_next(&characters)) != SCI_CHARACTER_END)
        status = sci_sigmund_character(sigmund, c);
    return status;
}

static sc_status sci_sigmund_double(sci_sigmund *sigmund, double number)
{
    sc_status status = sci_sigmund_settle(sigmund);
    return status == SC_OK ? sci_signature_double(sigmund->out, number) : status;
}

static sc_status sci_sigmund_integer(sci_sigmund *sigmund, int64_t number)
{
    sc_status status = sci_sigmund_settle(sigmund);
    return status == SC_OK ? sci_bytes_append_i64(sigmund->out, number) : status;
}

static sc_status sci_sigmund_scalar(sci_sigmund *sigmund, const sci_tree *tree,
                                    const sci_tree_node *node)
{
    sc_slice raw = sci_tree_raw(tree, node);
    double number;

    if (node->kind == SCI_JSON_STRING)
        return sci_sigmund_string(sigmund, raw, node->is_raw_plain);
    if (node->kind != SCI_JSON_NUMBER)
        return sci_sigmund_bytes(sigmund, sc_text(sci_signature_literal(node->kind)));
    if (!sci_text_to_double(raw, &number))
        return sc_fail(SC_ERR_ARGUMENT, "%.*s is no number", (int)sci_min_size(raw.len, 40),
                       raw.data);
    return sci_sigmund_double(sigmund, number);
}

/* The name of a member, or an element's index. `*is_hidden`: names that begin with `_` are left
 * out. */
static sc_status sci_sigmund_name(sci_sigmund *sigmund, const sci_tree *tree,
                                  const sci_tree_node *node, size_t *index, bool *is_hidden)
{
    *is_hidden = false;
    if (!node->is_member)
        return sci_sigmund_integer(sigmund, (int64_t)(*index)++);
    sci_characters name = sci_tree_name(tree, node);
    *is_hidden = sci_characters_next(&name) == '_';
    if (*is_hidden)
        return SC_OK;
    return sci_sigmund_string(sigmund, sc_bytes(tree->text.data + node->name_at, node->name_len),
                              node->is_name_plain);
}

/* One node without those below it; `*is_entered` when they come next. */
static sc_status sci_sigmund_node(sci_sigmund *sigmund, const sci_tree *tree,
                                  const sci_tree_node *node, unsigned level, size_t *index,
                                  bool *is_entered)
{
    bool is_hidden = false;
    sc_status status = SC_OK;
    *is_entered = false;
    if (level > 1)
        status = sci_sigmund_name(sigmund, tree, node, index, &is_hidden);
    if (status != SC_OK || is_hidden)
        return status;
    if (node->kind != SCI_JSON_ARRAY_BEGIN && node->kind != SCI_JSON_OBJECT_BEGIN)
        return sci_sigmund_scalar(sigmund, tree, node);
    if (level >= SCI_SIGMUND_DEPTH)
        return SC_OK;
    *is_entered = node->first != SCI_TREE_NONE;
    return sci_sigmund_bytes(sigmund, sc_text("{"));
}

/* The node after `*at` and all below it: the next in its container or, where that ends, the next
   after the container. False when there is none. */
static bool sci_sigmund_advance(const sci_tree *tree, uint32_t *at, unsigned *level)
{
    for (; tree->nodes[*at].next == SCI_TREE_NONE; (*level)--) {
        if (*level == 1)
            return false;
        *at = tree->nodes[*at].parent;
    }
    *at = tree->nodes[*at].next;
    return true;
}

static sc_status sci_sigmund_tree(sci_sigmund *sigmund, const sci_tree *tree)
{
    size_t indices[SCI_SIGMUND_DEPTH + 1]; /* the next element's, a level */
    unsigned level = 1;                    /* level 0 is the argument list */
    uint32_t at = 0;
    for (;;) {
        const sci_tree_node *node = &tree->nodes[at];
        bool is_entered;
        sc_status status =
            sci_sigmund_node(sigmund, tree, node, level, &indices[level], &is_entered);
        if (status != SC_OK)
            return status;
        if (is_entered) {
            at = node->first;
            indices[++level] = 0;
        } else if (!sci_sigmund_advance(tree, &at, &level)) {
            return SC_OK;
        }
    }
}

static sc_status sci_sigmund_arg(sci_sigmund *sigmund, const sc_arg *arg)
{
    sci_tree tree;
    sc_status status;

    switch (arg->kind) {
    case SCI_ARG_NULL:
        return sci_sigmund_bytes(sigmund, sc_text("null"));
    case SCI_ARG_BOOL:
        return sci_sigmund_bytes(sigmund, sc_text(arg->integer ? "true" : "false"));
    case SCI_ARG_INTEGER:
        return sci_sigmund_integer(sigmund, arg->integer);
    case SCI_ARG_DOUBLE:
        return sci_sigmund_double(sigmund, arg->number);
    case SCI_ARG_BYTES:
        return sci_sigmund_bytes(sigmund, arg->bytes);
    case SCI_ARG_JSON:
        status = sci_tree_build(&tree, &sigmund->out->memory, arg->bytes, SCI_TREE_JAVASCRIPT);
        if (status != SC_OK)
            return status;
        status = sci_sigmund_tree(sigmund, &tree);
        sci_tree_free(&tree);
        return status;
    default:
        return sc_fail(SC_ERR_ARGUMENT, "it was not made by one of the sc_arg functions");
    }
}

/* MARK: - Canonical */

/* A JSON number as 0.DIGITS x 10^point. */
typedef struct sci_canonical_number {
    const char
        *first;       /* the first digit that is not 0, or NULL; a `.` may stand among the digits */
    const char *last; /* the last such digit */
    int64_t count;    /* digits from first to last */
    int64_t point;
    bool is_negative;
} sci_canonical_number;

/* Longest exponent that cannot overflow `point`. */
#define SCI_CANONICAL_EXPONENT_DIGITS 15

/* The number after `e`; `text` is empty when there is none. False when it is too long. */
static bool sci_canonical_number_exponent(sc_slice text, int64_t *exponent)
{
    size_t at = 0;
    bool is_negative = text.len > 0 && text.data[0] == '-';

    *exponent = 0;
    if (text.len > 0 && (is_negative || text.data[0] == '+'))
        at++;
    while (at < text.len && text.data[at] == '0')
        at++;
    if (text.len - at > SCI_CANONICAL_EXPONENT_DIGITS)
        return false;
    for (; at < text.len; at++)
        *exponent = *exponent * 10 + (text.data[at] - '0');
    if (is_negative)
        *exponent = -*exponent;
    return true;
}

/* `raw` is a number as JSON writes it. */
static sc_status sci_canonical_number_parse(sc_slice raw, sci_canonical_number *decimal)
{
    const char *end = raw.data + raw.len;
    const char *at = raw.data;
    int64_t digits = 0;      /* seen so far */
    int64_t whole = -1;      /* digits before the `.` */
    int64_t first_digit = 0; /* the index of *first among the digits */
    int64_t last_digit = 0;
    int64_t exponent = 0;

    decimal->is_negative = *at == '-';
    decimal->first = NULL;
    decimal->last = NULL;
    decimal->count = 0;
    decimal->point = 0;
    for (at += decimal->is_negative; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            whole = digits;
            continue;
        }
        if (*at != '0') {
            if (!decimal->first) {
                decimal->first = at;
                first_digit = digits;
            }
            decimal->last = at;
            last_digit = digits;
        }
        digits++;
    }
    size_t exponent_len = at < end ? (size_t)(end - at) - 1 : 0;
    if (decimal->first &&
        !sci_canonical_number_exponent(sc_bytes(end - exponent_len, exponent_len), &exponent))
        return sc_fail(SC_ERR_LIMIT, "a number's exponent has more than %d digits",
                       SCI_CANONICAL_EXPONENT_DIGITS);
    decimal->count = last_digit - first_digit + 1;
    decimal->point = (whole < 0 ? digits : whole) - first_digit + exponent;
    return SC_OK;
}

/* `count` digits from `*from` on, stepping over a `.`; zeros where there are no more. Returns the
 * end. */
static char *sci_canonical_number_digits(char *to, const sci_canonical_number *decimal,
                                         const char **from, int64_t count)
{
    for (; count > 0 && *from <= decimal->last; ++*from) {
        if (**from == '.')
            continue;
        *to++ = **from;
        count--;
    }
    for (; count > 0; count--)
        *to++ = '0';
    return to;
}

/* Room for a sign, zeros, the point and an exponent. */
#define SCI_CANONICAL_NUMBER_EXTRA_BYTES 64

/* Laid out as ECMA-262 section 6.1.6.1.20 does, where `count` is its k and `point` its n. */
static sc_status sci_canonical_number_append(sci_bytes *out, const sci_canonical_number *decimal)
{
    const int64_t k = decimal->count;
    const int64_t n = decimal->point;
    const bool has_exponent = n > 21 || n <= -6;
    const int64_t before_point = has_exponent ? 1 : n;
    const char *from = decimal->first;

    if (!decimal->first)
        return sci_bytes_append_char(out, '0');
    sc_status status = sci_bytes_reserve(out, (size_t)k + SCI_CANONICAL_NUMBER_EXTRA_BYTES);
    if (status != SC_OK)
        return status;
    char *to = out->data + out->end;
    if (decimal->is_negative)
        *to++ = '-';
    if (before_point > 0) {
        to = sci_canonical_number_digits(to, decimal, &from, before_point);
        if (k > before_point)
            *to++ = '.';
        to = sci_canonical_number_digits(to, decimal, &from, k - before_point);
    } else {
        memcpy(to, "0.00000", 7);
        to += 2 - before_point;
        to = sci_canonical_number_digits(to, decimal, &from, k);
    }
    out->end = (size_t)(to - out->data);
    if (!has_exponent)
        return SC_OK;
    status = sci_bytes_append_text(out, n > 0 ? "e+" : "e");
    return status == SC_OK ? sci_bytes_append_i64(out, n - 1) : status;
}

/* A character inside quotes. */
static sc_status sci_canonical_character(sci_bytes *out, uint32_t c)
{
    static const char digits[] = "0123456789abcdef";
    static const char short_escapes[] = "btn\0fr"; /* for 8 to 13; 11 has none */
    char escape[6] = {'\\', 'u', '0', '0', '0', '0'};

    if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != 11)) {
        escape[1] = c >= ' ' ? (char)c : short_escapes[c - 8];
        return sci_bytes_append(out, sc_bytes(escape, 2));
    }
    if (c >= SCI_CHARACTER_BYTE) {
        escape[1] = 'x';
        escape[2] = digits[(c >> 4) & 0xf];
        escape[3] = digits[c & 0xf];
        return sci_bytes_append(out, sc_bytes(escape, 4));
    }
    if (c >= ' ' && !sci_is_high_surrogate(c) && !sci_is_low_surrogate(c))
        return sci_signature_character(out, c);
    for (unsigned i = 0; i < 4; i++)
        escape[2 + i] = digits[(c >> (12 - 4 * i)) & 0xf];
    return sci_bytes_append(out, sc_bytes(escape, 6));
}

static sc_status sci_canonical_string(sci_bytes *out, sci_characters characters)
{
    sc_status status = sci_bytes_append_char(out, '"');
    uint32_t c;
    while (status == SC_OK && (c = sci_characters_next(&characters)) != SCI_CHARACTER_END)
        status = sci_canonical_character(out, c);
    return status == SC_OK ? sci_bytes_append_char(out, '"') : status;
}

static sc_status sci_canonical_double(sci_bytes *out, double number)
{
    const double two_to_63 = 9223372036854775808.0;

    if (number >= -two_to_63 && number < two_to_63) {
        int64_t whole = (int64_t)number;
        if (!((double)whole < number) && !((double)whole > number))
            return sci_bytes_append_i64(out, whole);
    }
    return sci_signature_double(out, number);
}

static sc_status sci_canonical_scalar(sci_bytes *out, const sci_tree *tree,
                                      const sci_tree_node *node)
{
    sc_slice raw = sci_tree_raw(tree, node);
    sci_canonical_number decimal;

    if (node->kind == SCI_JSON_STRING)
        return sci_canonical_string(out, sci_characters_of_json(raw, node->is_raw_plain));
    if (node->kind != SCI_JSON_NUMBER)
        return sci_bytes_append_text(out, sci_signature_literal(node->kind));
    sc_status status = sci_canonical_number_parse(raw, &decimal);
    return status == SC_OK ? sci_canonical_number_append(out, &decimal) : status;
}

/* A member's name, and a scalar or a container's opening bracket. */
static sc_status sci_canonical_enter(sci_bytes *out, const sci_tree *tree,
                                     const sci_tree_node *node)
{
    if (node->is_member) {
        sc_status status = sci_canonical_string(out, sci_tree_name(tree, node));
        if (status == SC_OK)
            status = sci_bytes_append_char(out, ':');
        if (status != SC_OK)
            return status;
    }
    if (node->kind == SCI_JSON_ARRAY_BEGIN)
        return sci_bytes_append_char(out, '[');
    if (node->kind == SCI_JSON_OBJECT_BEGIN)
        return sci_bytes_append_char(out, '{');
    return sci_canonical_scalar(out, tree, node);
}

/* A container's closing bracket; nothing for a scalar. */
static sc_status sci_canonical_leave(sci_bytes *out, const sci_tree_node *node)
{
    if (node->kind == SCI_JSON_ARRAY_BEGIN)
        return sci_bytes_append_char(out, ']');
    if (node->kind == SCI_JSON_OBJECT_BEGIN)
        return sci_bytes_append_char(out, '}');
    return SC_OK;
}

static sc_status sci_canonical_tree(sci_bytes *out, const sci_tree *tree)
{
    uint32_t at = 0;

    for (;;) {
        sc_status status = sci_canonical_enter(out, tree, &tree->nodes[at]);
        if (status != SC_OK)
            return status;
        if (tree->nodes[at].first != SCI_TREE_NONE) {
            at = tree->nodes[at].first;
            continue;
        }
        for (;;) {
            status = sci_canonical_leave(out, &tree->nodes[at]);
            if (status != SC_OK || tree->nodes[at].parent == SCI_TREE_NONE)
                return status;
            if (tree->nodes[at].next != SCI_TREE_NONE)
                break;
            at = tree->nodes[at].parent;
        }
        status = sci_bytes_append_char(out, ',');
        if (status != SC_OK)
            return status;
        at = tree->nodes[at].next;
    }
}

static sc_status sci_canonical_arg(sci_bytes *out, const sc_arg *arg)
{
    sci_tree tree;
    sc_status status;

    switch (arg->kind) {
    case SCI_ARG_NULL:
        return sci_bytes_append_text(out, "null");
    case SCI_ARG_BOOL:
        return sci_bytes_append_text(out, arg->integer ? "true" : "false");
    case SCI_ARG_INTEGER:
        return sci_bytes_append_i64(out, arg->integer);
    case SCI_ARG_DOUBLE:
        return sci_canonical_double(out, arg->number);
    case SCI_ARG_BYTES:
        return sci_canonical_string(out, sci_characters_of_bytes(arg->bytes));
    case SCI_ARG_JSON:
        status = sci_tree_build(&tree, &out->memory, arg->bytes, SCI_TREE_SORTED);
        if (status != SC_OK)
            return status;
        status = sci_canonical_tree(out, &tree);
        sci_tree_free(&tree);
        return status;
    default:
        return sc_fail(SC_ERR_ARGUMENT, "it was not made by one of the sc_arg functions");
    }
}

/* Replace what is long, `start` bytes after the front, by its head and a hash of all of it. */
static sc_status sci_canonical_shorten(sci_bytes *out, size_t start)
{
    char hex[SCI_SHA1_HEX_BYTES];
    sc_slice text = sci_bytes_slice(out);
    text = sc_bytes(text.data + start, text.len - start);
    if (text.len <= SCI_SIGNATURE_LONG_BYTES)
        return SC_OK;

    size_t head = SCI_SIGNATURE_HEAD_BYTES;
    while ((text.data[head] & 0xc0) == 0x80)
        head--;
    sci_sha1(text, hex);
    sci_bytes_cut(out, start + head, text.len - head);
    sc_status status = sci_bytes_append_char(out, '#');
    return status == SC_OK ? sci_bytes_append(out, sc_bytes(hex, SCI_SIGNATURE_HASH_DIGITS))
                           : status;
}

/* MARK: - Argument lists */

/* Undo what was appended, and say which argument it was about. */
static sc_status sci_signature_fail(sci_bytes *out, size_t start, sc_status status, size_t index,
                                    size_t arg_count)
{
    sci_bytes_cut(out, start, sci_bytes_len(out) - start);
    if (status != SC_ERR_MEMORY)
        sci_error_text_add("; in argument %zu of %zu of a wrapped function", index + 1, arg_count);
    return status;
}

static sc_status sci_signature_check(const sc_arg *args, size_t arg_count)
{
    if (!args && arg_count > 0)
        return sc_fail(SC_ERR_ARGUMENT, "args is NULL, but arg_count is %zu", arg_count);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_signature_sigmund(const sc_arg *args, size_t arg_count, sci_bytes *out)
{
    size_t start = sci_bytes_len(out);
    sci_sigmund sigmund;
    size_t i;

    sc_status status = sci_signature_check(args, arg_count);
    if (status != SC_OK)
        return status;
    sigmund.out = out;
    sigmund.high = 0;
    status = sci_bytes_append_char(out, '{');
    for (i = 0; status == SC_OK && i < arg_count; i++) {
        status = sci_sigmund_integer(&sigmund, (int64_t)i);
        if (status == SC_OK)
            status = sci_sigmund_arg(&sigmund, &args[i]);
        if (status != SC_OK)
            return sci_signature_fail(out, start, status, i, arg_count);
    }
    if (status == SC_OK)
        status = sci_sigmund_settle(&sigmund);
    return status == SC_OK ? SC_OK : sci_signature_fail(out, start, status, i, arg_count);
}

SCI_PRIVATE sc_status sci_signature_canonical(const sc_arg *args, size_t arg_count, sci_bytes *out)
{
    size_t start = sci_bytes_len(out);
    size_t i;

    sc_status status = sci_signature_check(args, arg_count);
    if (status != SC_OK)
        return status;
    status = sci_bytes_append_char(out, '[');
    for (i = 0; status == SC_OK && i < arg_count; i++) {
        if (i > 0)
            status = sci_bytes_append_char(out, ',');
        if (status == SC_OK)
            status = sci_canonical_arg(out, &args[i]);
        if (status != SC_OK)
            return sci_signature_fail(out, start, status, i, arg_count);
    }
    if (status == SC_OK)
        status = sci_bytes_append_char(out, ']');
    if (status == SC_OK)
        status = sci_canonical_shorten(out, start);
    return status == SC_OK ? SC_OK : sci_signature_fail(out, start, status, i, arg_count);
}
