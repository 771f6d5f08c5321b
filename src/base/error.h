#pragma once
/* This thread's detail text. sc_fail (public) is the usual way to set it. */

#include "base/prelude.h"

/* As vsnprintf, with the conversions that sc_fail documents. Always NUL-terminates when cap > 0;
   returns the length written, without the NUL. */
#include <stdarg.h>
SCI_PRIVATE size_t sci_format_list(char *out, size_t cap, const char *format, va_list arguments);
SCI_PRIVATE size_t sci_format(char *out, size_t cap, const char *format, ...) SC_PRINTF(3, 4);

/* Put words that were kept from another thread's failure into this thread's detail text. */
SCI_PRIVATE void sci_error_text_set(const char *text, size_t len);
/* Append to the text that is there. */
SCI_PRIVATE void sci_error_text_add(const char *format, ...) SC_PRINTF(1, 2);

/* SC_ERR_ARGUMENT, and words, unless the field of that struct is within bounds. */
SCI_PRIVATE sc_status sci_check_ms(const char *options, const char *field, int64_t ms,
                                   int64_t least, int64_t most);
