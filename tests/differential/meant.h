#pragma once
/* The differences that are meant. The manual has the same list. */

#include "reply.h"

/* Why these replies may differ; NULL: they may not. Counts. */
const char *meant_reason(const step *what, reply redis, reply ours);
/* Why a command is not served, by its name ("get", "client|list"); NULL: no reason is known. */
const char *meant_absence(const char *name);
/* How often each was met. */
void meant_print(FILE *file);
