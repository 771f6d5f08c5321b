#pragma once
/* Doubles as C's library reads and prints them. */

#include "base/prelude.h"

#define SCI_SEVENTEEN_TEXT_BYTES 25 /* "-2.2250738585072014e-308" and a NUL */

/* As C's strtod in its own locale, the whole slice: also "+1", ".5", "1.", "0x1.8p3", "inf" and
   "infinity" in any case; no blanks, never NaN. What is too large or too small for a double is an
   infinity or a zero, and *is_out_of_range. */
SCI_PRIVATE bool sci_text_to_double_as_c(sc_slice text, double *number, bool *is_out_of_range);
/* As C's "%.17g", and its length: "0.10000000000000001", "1e+17", "-0", "-inf", "nan". */
SCI_PRIVATE size_t sci_double_to_text_17(double number, char text[SCI_SEVENTEEN_TEXT_BYTES]);
