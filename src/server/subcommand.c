/* Commands that are made of others. */

#include "server/subcommand.h"

SCI_PRIVATE void sci_subcommand_run(sci_call *call, const sci_subcommand *subcommands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int arity = subcommands[i].arity;
        if (!sci_word_is(call->argv[1], subcommands[i].name))
            continue;
        if (arity >= 0 ? call->argc == (size_t)arity : call->argc >= (size_t)-arity)
            subcommands[i].run(call);
        else
            sci_answer_error(call, "ERR wrong number of arguments for '%s|%s' command",
                             call->command->name, subcommands[i].name);
        return;
    }
    sci_answer_unknown_subcommand(call);
}
