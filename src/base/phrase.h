#pragma once
/* A short text that a person wrote, and a place in it. For the parsers of small languages: what
   they refuse they refuse with the offset and with what was expected there. */

#include "base/prelude.h"

typedef struct sci_phrase {
    const char *what; /* "cron expression": how messages begin */
    sc_slice text;
    size_t at; /* offset of the next byte */
} sci_phrase;

/* The next byte, or -1 at the end. */
SCI_PRIVATE int sci_phrase_peek(const sci_phrase *phrase);
/* Move past `c` if it is next. */
SCI_PRIVATE bool sci_phrase_take(sci_phrase *phrase, char c);
/* A decimal number of 0 to `most`, leading zeros and all. False: there is none, or it is greater;
   the place is as it was. */
SCI_PRIVATE bool sci_phrase_number(sci_phrase *phrase, int most, int *number);
/* SC_ERR_ARGUMENT: `expected` is not what stands at the place. */
SCI_PRIVATE sc_status sci_phrase_fail(const sci_phrase *phrase, const char *expected);
/* SC_ERR_ARGUMENT: `why` the thing at the place is wrong, a sentence without its end. */
SCI_PRIVATE sc_status sci_phrase_refuse(const sci_phrase *phrase, const char *why);
