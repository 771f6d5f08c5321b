#pragma once
/* The shortest list that still differs. */

#include "run.h"

/* `list` differs, as runner->found says. Removes what is not needed and returns the new count; at
   the end runner->found is that of the short list. Steps that are changed are made in `memory`. */
size_t shrink(run *runner, const step **list, size_t count, arena *memory);
