#pragma once
/* The words that rules name in lower case. */

#include "grammar.h"

typedef void (*adder)(maker *made);

/* What adds the word of this name. Dies when there is none. */
adder adder_of(const char *name, size_t len);

void add_number(maker *made, long long number);
void add_cnt(maker *made); /* a small count */
void add_key(maker *made);
void add_junk(maker *made);
