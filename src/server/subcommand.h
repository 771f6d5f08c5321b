#pragma once
/* Commands that stand under another's name, as CLIENT LIST. */

#include "server/command.h"

struct sci_subcommand {
    const char *name; /* lower case */
    void (*run)(sci_call *call);
    int arity; /* as a command's: all words count, those before the name too */
};

/* One for each container. */
typedef struct sci_subcommand_list {
    const sci_subcommand *at;
    size_t count;
} sci_subcommand_list;

SCI_PRIVATE sci_subcommand_list sci_acl_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_client_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_command_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_config_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_debug_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_latency_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_memory_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_object_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_pubsub_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_script_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_slowlog_subcommands(void);
SCI_PRIVATE sci_subcommand_list sci_xinfo_subcommands(void);

/* The one of that name; NULL: there is none, or the command is no container. */
SCI_PRIVATE const sci_subcommand *sci_subcommand_find(const sci_command *command, sc_slice word);
/* What a container's row runs: call->subcommand. */
SCI_PRIVATE void sci_subcommand_run(sci_call *call);
/* A command's name with its subcommand's (NULL: none), as "client|list", NUL-terminated. */
#define SCI_COMMAND_FULL_NAME_BYTES 48
SCI_PRIVATE void sci_command_full_name(const sci_command *command, const sci_subcommand *subcommand,
                                       char text[SCI_COMMAND_FULL_NAME_BYTES]);
