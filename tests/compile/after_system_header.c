/* A system header comes first, so that feature-test macros of ours come too late: either what the
   compiler was told is enough, or the program is told what to do. */
#include <stdio.h>
#include <string.h>

#include "implement.c"
