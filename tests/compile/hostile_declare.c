/* Declarations in a file whose socket calls are macros. */
#include "hostile.h"

#include "declare.c"
