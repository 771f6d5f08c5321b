/* Containers of commands. */

#include "server/subcommand.h"

#include "base/error.h"

SCI_PRIVATE const sci_subcommand *sci_subcommand_find(const sci_command *command, sc_slice word)
{
    static const struct {
        const char *name;
        sci_subcommand_list (*list)(void);
    } containers[] = {
        {"acl", sci_acl_subcommands},         {"client", sci_client_subcommands},
        {"command", sci_command_subcommands}, {"config", sci_config_subcommands},
        {"debug", sci_debug_subcommands},     {"latency", sci_latency_subcommands},
        {"memory", sci_memory_subcommands},   {"object", sci_object_subcommands},
        {"pubsub", sci_pubsub_subcommands},   {"script", sci_script_subcommands},
        {"slowlog", sci_slowlog_subcommands}, {"xinfo", sci_xinfo_subcommands},
    };
    for (size_t i = 0; i < SCI_COUNT(containers); i++) {
        if (strcmp(containers[i].name, command->name) != 0)
            continue;
        sci_subcommand_list list = containers[i].list();
        for (size_t k = 0; k < list.count; k++)
            if (sci_word_is(word, list.at[k].name))
                return &list.at[k];
    }
    return NULL;
}

SCI_PRIVATE void sci_subcommand_run(sci_call *call)
{
    sci_assert(call->subcommand);
    call->subcommand->run(call);
}

SCI_PRIVATE void sci_command_full_name(const sci_command *command, const sci_subcommand *subcommand,
                                       char text[SCI_COMMAND_FULL_NAME_BYTES])
{
    (void)sci_format(text, SCI_COMMAND_FULL_NAME_BYTES, "%s%s%s", command->name,
                     subcommand ? "|" : "", subcommand ? subcommand->name : "");
}

/* --- Answers */

/* What is repeated of a word that is not understood. */
#define SCI_SUBCOMMAND_SHOWN_BYTES 128

static void sci_answer_try_help(sci_call *call, const char *what)
{
    char upper[SCI_COMMAND_FULL_NAME_BYTES];
    size_t len = 0;
    sc_slice word = call->argv[1];
    for (const char *at = call->command->name; *at && len < sizeof upper - 1; at++)
        upper[len++] = (char)(*at >= 'a' && *at <= 'z' ? *at - ('a' - 'A') : *at);
    upper[len] = '\0';
    sci_answer_error(call, "ERR unknown subcommand%s '%.*s'. Try %s HELP.", what,
                     (int)sci_min_size(word.len, SCI_SUBCOMMAND_SHOWN_BYTES), word.data, upper);
}

SCI_PRIVATE void sci_answer_unknown_subcommand(sci_call *call)
{
    sci_answer_try_help(call, "");
}

SCI_PRIVATE void sci_answer_wrong_subcommand(sci_call *call)
{
    sci_answer_try_help(call, " or wrong number of arguments for");
}

SCI_PRIVATE void sci_answer_wrong_arity(sci_call *call)
{
    char name[SCI_COMMAND_FULL_NAME_BYTES];
    sci_command_full_name(call->command, call->subcommand, name);
    sci_answer_error(call, "ERR wrong number of arguments for '%s' command", name);
}

SCI_PRIVATE void sci_answer_help(sci_call *call, const char *const *lines, size_t count)
{
    sci_answer_array(call, count + 2);
    for (size_t i = 0; i < count; i++)
        sci_answer_simple(call, lines[i]);
    sci_answer_simple(call, "HELP");
    sci_answer_simple(call, "    Prints this help.");
}
