#pragma once
/* Replies: where they end, and whether two are the same. */

#include "commands.h"

typedef struct reply {
    const char *at; /* as it came */
    size_t len;
} reply;

/* The length of the first reply; 0: it is not whole; SIZE_MAX: no reply begins so. */
size_t reply_end(const char *bytes, size_t len);

bool reply_equal(reply a, reply b);
bool reply_matches(mode how, reply a, reply b);

bool reply_is(reply one, const char *bytes); /* exactly these */
bool reply_begins(reply one, const char *bytes);
bool reply_is_error(reply one);
bool reply_is_nil(reply one);
bool reply_is_integer(reply one, int64_t *number);
/* The elements of an array; NULL when it is none. The caller frees. */
reply *reply_elements(reply array, size_t *count);
/* The bytes of a bulk or simple string. */
word reply_text(reply one);
/* Sort by bytes. */
void replies_sort(reply *list, size_t count);

/* As redis-cli prints, in few words. */
void reply_print(FILE *file, reply one);
