/* Replies. */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

#define SECONDS_TOLERANCE 60
#define PRINTED_BYTES 600
#define PRINTED_ELEMENTS 40

/* The end of the line at `at`, behind its CR LF; 0: it is not whole. */
static size_t line_end(const char *bytes, size_t len, size_t at)
{
    const char *found = (const char *)memchr(bytes + at, '\n', len - at);
    return found ? (size_t)(found - bytes) + 1 : 0;
}

size_t reply_end(const char *bytes, size_t len)
{
    size_t at = 0;
    size_t wanted = 1;
    while (wanted > 0) {
        size_t line = at < len ? line_end(bytes, len, at) : 0;
        long long number;
        char type = at < len ? bytes[at] : '\0';
        if (type && !strchr("+-:$*", type))
            return SIZE_MAX;
        if (!line)
            return 0;
        wanted--;
        number = strtoll(bytes + at + 1, NULL, 10);
        at = line;
        if (type == '*' && number > 0)
            wanted += (size_t)number;
        if (type == '$' && number >= 0)
            at += (size_t)number + 2;
        if (at > len)
            return 0;
    }
    return at;
}

bool reply_equal(reply a, reply b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

bool reply_is(reply one, const char *bytes)
{
    return one.len == strlen(bytes) && memcmp(one.at, bytes, one.len) == 0;
}

bool reply_begins(reply one, const char *bytes)
{
    return one.len >= strlen(bytes) && memcmp(one.at, bytes, strlen(bytes)) == 0;
}

bool reply_is_error(reply one)
{
    return one.len > 0 && *one.at == '-';
}

bool reply_is_nil(reply one)
{
    return reply_is(one, "$-1\r\n") || reply_is(one, "*-1\r\n");
}

bool reply_is_integer(reply one, int64_t *number)
{
    if (one.len < 2 || *one.at != ':')
        return false;
    *number = strtoll(one.at + 1, NULL, 10);
    return true;
}

reply *reply_elements(reply array, size_t *count)
{
    long long announced;
    size_t at;
    size_t i;
    reply *list;
    *count = 0;
    if (array.len == 0 || *array.at != '*')
        return NULL;
    announced = strtoll(array.at + 1, NULL, 10);
    if (announced < 0)
        return NULL;
    list = (reply *)calloc((size_t)announced + 1, sizeof *list);
    if (!list)
        die("no memory");
    at = line_end(array.at, array.len, 0);
    for (i = 0; i < (size_t)announced; i++) {
        list[i].at = array.at + at;
        list[i].len = reply_end(array.at + at, array.len - at);
        at += list[i].len;
    }
    *count = (size_t)announced;
    return list;
}

word reply_text(reply one)
{
    word text = {"", 0};
    size_t line;
    if (one.len == 0 || reply_is_nil(one))
        return text;
    line = line_end(one.at, one.len, 0);
    if (*one.at == '$') {
        text.at = one.at + line;
        text.len = one.len - line - 2;
    } else {
        text.at = one.at + 1;
        text.len = line - 3;
    }
    return text;
}

static int compare_replies(const void *a, const void *b)
{
    const reply *left = (const reply *)a;
    const reply *right = (const reply *)b;
    int order = memcmp(left->at, right->at, left->len < right->len ? left->len : right->len);
    if (order)
        return order;
    return left->len < right->len ? -1 : left->len > right->len;
}

void replies_sort(reply *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof *list, compare_replies);
}

/* Element 2 i and 2 i + 1 stand behind each other: one slice has both. */
static size_t join_pairs(reply *list, size_t count)
{
    size_t i;
    if (count % 2)
        return count;
    for (i = 0; i < count / 2; i++) {
        list[i].at = list[2 * i].at;
        list[i].len = list[2 * i].len + list[2 * i + 1].len;
    }
    return count / 2;
}

static bool matches_unordered(reply a, reply b, bool is_paired)
{
    size_t counts[2];
    reply *lists[2];
    size_t i;
    bool is_equal;
    lists[0] = reply_elements(a, &counts[0]);
    lists[1] = reply_elements(b, &counts[1]);
    is_equal = lists[0] && lists[1] && counts[0] == counts[1];
    for (i = 0; is_equal && i < 2; i++) {
        if (is_paired)
            counts[i] = join_pairs(lists[i], counts[i]);
        replies_sort(lists[i], counts[i]);
    }
    for (i = 0; is_equal && i < counts[0]; i++)
        is_equal = reply_equal(lists[0][i], lists[1][i]);
    free(lists[0]);
    free(lists[1]);
    return is_equal;
}

static bool matches_time(reply a, reply b, int64_t tolerance)
{
    int64_t left;
    int64_t right;
    return reply_is_integer(a, &left) && reply_is_integer(b, &right) && left > 0 && right > 0 &&
           left - right <= tolerance && right - left <= tolerance;
}

static bool matches_shape(reply a, reply b)
{
    return a.len > 0 && b.len > 0 && *a.at == *b.at && !reply_is_error(a) &&
           reply_is_nil(a) == reply_is_nil(b);
}

/* Line by line, positive integers left out. */
static bool matches_but_ids(reply a, reply b)
{
    size_t at[2] = {0, 0};
    while (at[0] < a.len && at[1] < b.len) {
        size_t ends[2];
        reply left;
        reply right;
        int64_t numbers[2];
        ends[0] = line_end(a.at, a.len, at[0]);
        ends[1] = line_end(b.at, b.len, at[1]);
        if (!ends[0] || !ends[1])
            return false;
        left.at = a.at + at[0];
        left.len = ends[0] - at[0];
        right.at = b.at + at[1];
        right.len = ends[1] - at[1];
        at[0] = ends[0];
        at[1] = ends[1];
        if (reply_equal(left, right))
            continue;
        if (!reply_is_integer(left, &numbers[0]) || !reply_is_integer(right, &numbers[1]) ||
            numbers[0] <= 0 || numbers[1] <= 0)
            return false;
    }
    return at[0] == a.len && at[1] == b.len;
}

/* The value of "name=" in a line of CLIENT LIST. */
static word client_field(word line, const char *name)
{
    size_t len = strlen(name);
    size_t at;
    word value = {"", 0};
    for (at = 0; at + len < line.len; at++) {
        if ((at > 0 && line.at[at - 1] != ' ') || memcmp(line.at + at, name, len) != 0 ||
            line.at[at + len] != '=')
            continue;
        value.at = line.at + at + len + 1;
        while (value.at + value.len < line.at + line.len && value.at[value.len] != ' ' &&
               value.at[value.len] != '\n')
            value.len++;
        break;
    }
    return value;
}

static bool same_client(word a, word b)
{
    static const char *const fields[] = {"name",  "flags", "db",   "sub", "psub",
                                         "multi", "cmd",   "user", "resp"};
    size_t i;
    for (i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        word left = client_field(a, fields[i]);
        word right = client_field(b, fields[i]);
        if (left.len != right.len || memcmp(left.at, right.at, left.len) != 0)
            return false;
    }
    return true;
}

static word next_line(word *text)
{
    const char *end = (const char *)memchr(text->at, '\n', text->len);
    word line = *text;
    if (end)
        line.len = (size_t)(end - text->at) + 1;
    text->at += line.len;
    text->len -= line.len;
    return line;
}

static bool matches_clients(reply a, reply b)
{
    word left = reply_text(a);
    word right = reply_text(b);
    if (a.len == 0 || b.len == 0 || *a.at != '$' || *b.at != '$')
        return false;
    while (left.len > 0 && right.len > 0) {
        word lines[2];
        lines[0] = next_line(&left);
        lines[1] = next_line(&right);
        if (!same_client(lines[0], lines[1]))
            return false;
    }
    return left.len == right.len;
}

bool reply_matches(mode how, reply a, reply b)
{
    if (reply_equal(a, b))
        return true;
    switch (how) {
    case MODE_UNORDERED:
        return matches_unordered(a, b, false);
    case MODE_PAIRS:
        return matches_unordered(a, b, true);
    case MODE_SECONDS:
        return matches_time(a, b, SECONDS_TOLERANCE);
    case MODE_MILLISECONDS:
        return matches_time(a, b, SECONDS_TOLERANCE * 1000);
    case MODE_SHAPE:
        return matches_shape(a, b);
    case MODE_CLIENTS:
        return matches_clients(a, b);
    case MODE_IDS:
        return matches_but_ids(a, b);
    default:
        return false;
    }
}

static void print_elements(FILE *file, reply array)
{
    size_t count;
    size_t i;
    reply *list = reply_elements(array, &count);
    if (!list) {
        fputs("nil array", file);
        return;
    }
    fputc('[', file);
    for (i = 0; i < count && i < PRINTED_ELEMENTS; i++) {
        if (i)
            fputs(", ", file);
        reply_print(file, list[i]);
    }
    fprintf(file, "%s]", count > PRINTED_ELEMENTS ? ", ..." : "");
    free(list);
}

void reply_print(FILE *file, reply one)
{
    word text;
    if (one.len == 0) {
        fputs("(nothing)", file);
        return;
    }
    text = reply_text(one);
    switch (*one.at) {
    case '*':
        print_elements(file, one);
        break;
    case '$':
        if (reply_is_nil(one)) {
            fputs("nil", file);
            break;
        }
        print_quoted(file, text.at, text.len < PRINTED_BYTES ? text.len : PRINTED_BYTES);
        if (text.len > PRINTED_BYTES)
            fprintf(file, "... (%zu bytes)", text.len);
        break;
    case '-':
        fputs("error ", file);
        print_quoted(file, text.at, text.len);
        break;
    case ':':
        fwrite(text.at, 1, text.len, file);
        break;
    default:
        fputc('+', file);
        fwrite(text.at, 1, text.len, file);
    }
}
