#pragma once
/* Commands that are made of others, as CONFIG of CONFIG GET and CONFIG SET. */

#include "server/command.h"

typedef struct sci_subcommand {
    const char *name; /* lower case */
    void (*run)(sci_call *call);
    int arity; /* as a command's: all words count, those before the name too */
} sci_subcommand;

/* Run the one that argv[1] names, or answer why not. */
SCI_PRIVATE void sci_subcommand_run(sci_call *call, const sci_subcommand *subcommands,
                                    size_t count);
