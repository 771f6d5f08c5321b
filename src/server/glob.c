/* Glob patterns. Only the last star that was met is gone back to: what an earlier one could take
   instead, that one can too. */

#include "server/command.h"

typedef struct sci_glob {
    const char *at;
    const char *end;
    bool ignores_case;
} sci_glob;

static inline int sci_glob_fold(const sci_glob *glob, char c)
{
    /* Signed, as Redis compares ranges on the machines that it mostly runs on. */
    int code = (signed char)c;
    return glob->ignores_case && code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
}

static bool sci_glob_range(const sci_glob *glob, char first, char last, char c)
{
    if ((signed char)first > (signed char)last) {
        char swapped = first;
        first = last;
        last = swapped;
    }
    int code = sci_glob_fold(glob, c);
    return code >= sci_glob_fold(glob, first) && code <= sci_glob_fold(glob, last);
}

/* A set, from behind its bracket; the pattern moves behind it. One that is not closed ends with the
   pattern. */
static bool sci_glob_set(sci_glob *glob, char c)
{
    bool is_negated = glob->at < glob->end && *glob->at == '^';
    bool is_in = false;
    if (is_negated)
        glob->at++;
    for (; glob->at < glob->end && *glob->at != ']'; glob->at++) {
        ptrdiff_t rest = glob->end - glob->at;
        if (rest >= 2 && *glob->at == '\\') {
            glob->at++;
            is_in |= *glob->at == c;
        } else if (rest >= 3 && glob->at[1] == '-') {
            is_in |= sci_glob_range(glob, glob->at[0], glob->at[2], c);
            glob->at += 2;
        } else {
            is_in |= sci_glob_fold(glob, *glob->at) == sci_glob_fold(glob, c);
        }
    }
    if (glob->at < glob->end)
        glob->at++;
    return is_in != is_negated;
}

/* One element of the pattern, other than a star, and one byte. The pattern moves behind it. */
static bool sci_glob_one(sci_glob *glob, char c)
{
    char first = *glob->at++;
    if (first == '?')
        return true;
    if (first == '[')
        return sci_glob_set(glob, c);
    if (first == '\\' && glob->at < glob->end)
        first = *glob->at++;
    return sci_glob_fold(glob, first) == sci_glob_fold(glob, c);
}

SCI_PRIVATE bool sci_glob_match(sc_slice pattern, sc_slice text, bool ignores_case)
{
    sci_glob glob;
    const char *star = NULL;  /* behind the last one */
    const char *taken = NULL; /* the text from where it was tried to go on behind that star */
    const char *at = text.data;
    const char *end = text.data + text.len;
    glob.at = pattern.data;
    glob.end = pattern.data + pattern.len;
    glob.ignores_case = ignores_case;
    /* Redis has it so: only the empty pattern matches the empty text. */
    if (text.len == 0)
        return pattern.len == 0;
    while (at < end) {
        if (glob.at < glob.end && *glob.at == '*') {
            star = ++glob.at;
            taken = at;
            if (star == glob.end)
                return true;
        } else if (glob.at < glob.end && sci_glob_one(&glob, *at)) {
            at++;
        } else if (star) {
            glob.at = star;
            at = ++taken;
        } else {
            return false;
        }
    }
    while (glob.at < glob.end && *glob.at == '*')
        glob.at++;
    return glob.at == glob.end;
}
