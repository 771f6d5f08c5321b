/* Chance, words and steps. */
#include "words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ARENA_BLOCK_BYTES 262144
#define SHOWN_BYTES 80
#define FILE_WORDS 1024
#define FILE_LINE_BYTES 65536

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("differential: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

uint64_t chance_next(chance *dice)
{
    uint64_t x = dice->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

size_t chance_below(chance *dice, size_t bound)
{
    return (size_t)(chance_next(dice) % bound);
}

bool chance_percent(chance *dice, unsigned percent)
{
    return chance_below(dice, 100) < percent;
}

bool word_is(word text, const char *name)
{
    return text.len == strlen(name) && strncasecmp(text.at, name, text.len) == 0;
}

bool word_to_i64(word text, int64_t *number)
{
    char copy[24];
    char *end;
    if (text.len == 0 || text.len >= sizeof copy || isspace((unsigned char)text.at[0]))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *number = strtoll(copy, &end, 10);
    return end == copy + text.len;
}

struct arena_block {
    arena_block *next;
    size_t used;
    size_t cap;
};

void *arena_take(arena *memory, size_t bytes)
{
    arena_block *block = memory->blocks;
    void *taken;
    bytes = (bytes + 15) & ~(size_t)15;
    if (!block || block->cap - block->used < bytes) {
        size_t cap = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;
        block = (arena_block *)malloc(sizeof *block + cap);
        if (!block)
            die("no memory");
        block->next = memory->blocks;
        block->used = 0;
        block->cap = cap;
        memory->blocks = block;
    }
    taken = (char *)(block + 1) + block->used;
    block->used += bytes;
    return taken;
}

word arena_word(arena *memory, const char *bytes, size_t len)
{
    char *copy = (char *)arena_take(memory, len + 1);
    word made;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    made.at = copy;
    made.len = len;
    return made;
}

void arena_clear(arena *memory)
{
    while (memory->blocks) {
        arena_block *block = memory->blocks;
        memory->blocks = block->next;
        free(block);
    }
}

void steps_add(steps *list, unsigned line, bool is_raw, const word *argv, size_t argc)
{
    step *made;
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 256;
        list->at = (step *)realloc(list->at, list->cap * sizeof *list->at);
        if (!list->at)
            die("no memory");
    }
    made = &list->at[list->count++];
    made->line = (unsigned char)line;
    made->is_raw = is_raw;
    made->argv = argv;
    made->argc = (unsigned short)argc;
}

void steps_clear(steps *list)
{
    list->count = 0;
    arena_clear(&list->memory);
}

void steps_free(steps *list)
{
    steps_clear(list);
    free(list->at);
    memset(list, 0, sizeof *list);
}

static bool is_plain(const char *bytes, size_t len)
{
    size_t i;
    for (i = 0; i < len; i++)
        if (!isalnum((unsigned char)bytes[i]) && !strchr("-+_.:*@()[$=~,/?", bytes[i]))
            return false;
    return len > 0;
}

void print_quoted(FILE *file, const char *bytes, size_t len)
{
    size_t i;
    fputc('"', file);
    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\r')
            fputs("\\r", file);
        else if (c == '\n')
            fputs("\\n", file);
        else if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 32 || c > 126)
            fprintf(file, "\\x%02x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void print_step(FILE *file, const step *one, size_t longest)
{
    size_t i;
    fprintf(file, "%u%s", one->line, one->is_raw ? " raw" : "");
    for (i = 0; i < one->argc; i++) {
        fputc(' ', file);
        if (!one->is_raw && is_plain(one->argv[i].at, one->argv[i].len))
            fwrite(one->argv[i].at, 1, one->argv[i].len, file);
        else if (one->argv[i].len <= longest)
            print_quoted(file, one->argv[i].at, one->argv[i].len);
        else {
            print_quoted(file, one->argv[i].at, longest);
            fprintf(file, "...(%zu bytes)", one->argv[i].len);
        }
    }
    fputc('\n', file);
}

void step_print(FILE *file, const step *one)
{
    print_step(file, one, SIZE_MAX);
}

void step_show(FILE *file, const step *one)
{
    print_step(file, one, SHOWN_BYTES);
}

static int hex_digit(int c)
{
    if (isdigit(c))
        return c - '0';
    return isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* One word of a line, quoted or not; advances `*at` behind it. */
static word load_word(arena *memory, const char **at)
{
    char *out = (char *)malloc(strlen(*at) + 1);
    const char *c = *at;
    size_t len = 0;
    bool is_quoted = *c == '"';
    word made;
    if (!out)
        die("no memory");
    for (c += is_quoted; *c && (is_quoted ? *c != '"' : !isspace((unsigned char)*c)); c++) {
        if (!is_quoted || *c != '\\') {
            out[len++] = *c;
        } else if (c[1] == 'x' && hex_digit(c[2]) >= 0 && hex_digit(c[3]) >= 0) {
            out[len++] = (char)(hex_digit(c[2]) * 16 + hex_digit(c[3]));
            c += 3;
        } else {
            c++;
            out[len++] = (char)(*c == 'n' ? '\n' : *c == 'r' ? '\r' : *c);
        }
    }
    *at = c + (*c == '"');
    made = arena_word(memory, out, len);
    free(out);
    return made;
}

static void load_step(steps *list, const char *line)
{
    word words[FILE_WORDS];
    size_t count = 0;
    unsigned number = 0;
    word *argv;
    bool is_raw;
    while (isdigit((unsigned char)*line))
        number = number * 10 + (unsigned)(*line++ - '0');
    for (;;) {
        while (isspace((unsigned char)*line))
            line++;
        if (!*line || count == FILE_WORDS)
            break;
        words[count++] = load_word(&list->memory, &line);
    }
    is_raw = count == 2 && word_is(words[0], "raw");
    if (is_raw)
        words[0] = words[--count];
    if (count == 0)
        return;
    argv = (word *)arena_take(&list->memory, count * sizeof *argv);
    memcpy(argv, words, count * sizeof *argv);
    steps_add(list, number, is_raw, argv, count);
}

void steps_load(steps *list, const char *path)
{
    static char line[FILE_LINE_BYTES];
    FILE *file = fopen(path, "r");
    if (!file)
        die("cannot read %s", path);
    while (fgets(line, sizeof line, file))
        if (isdigit((unsigned char)line[0]))
            load_step(list, line);
    fclose(file);
}
