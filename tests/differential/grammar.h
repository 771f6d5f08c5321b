#pragma once
/* Makes commands from rules such as "SET skey val [( NX | XX )] [KEEPTTL]".

   Words in capitals, digits and signs stand for themselves (sometimes in another case), and so does
   what is between quotes; words in lower case are drawn: see draw.c for their names. "( a | b )" is one of both, "[ a ]" perhaps;
   a star behind a word, ")" or "]" means up to three times, a plus once to three times, "**" up
   to two hundred times. "#key" is a number and so many keys, "%key" the keys without the number,
   "=dbl" as many as the last of these. */

#include "words.h"

#define MAKER_WORDS 1024

typedef struct maker {
    chance dice;
    arena *memory;
    word words[MAKER_WORDS];
    size_t count;
    size_t list_len; /* of the last # or % */
    uint64_t tick;   /* grows, for stream ids */
} maker;

/* One command into maker->words. */
void maker_expand(maker *made, const char *rule);
/* Spoil it: a word is missing, doubled, foreign... The name stays. */
void maker_spoil(maker *made);
void maker_add(maker *made, const char *bytes, size_t len);
void maker_add_text(maker *made, const char *text);
/* Move the words out of the maker, into its arena. */
const word *maker_take(maker *made);
