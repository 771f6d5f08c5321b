/* COMMAND: the table of commands, for clients that ask for it. */

#include "base/error.h"
#include "server/commands.h"
#include "server/dispatch.h"
#include "server/server.h"
#include "server/subcommand.h"

/* --- Keys of a command */

/* Commands that say how many keys follow. */
typedef struct sci_counted_keys {
    const char *name;
    int first; /* a key of its own, or 0 */
    int number_at;
    int least; /* keys */
} sci_counted_keys;

static const sci_counted_keys *sci_counted_keys_find(const sci_command *command)
{
    static const sci_counted_keys all[] = {
        {"zunion", 0, 1, 1},      {"zinter", 0, 1, 1},      {"zdiff", 0, 1, 1},
        {"zintercard", 0, 1, 1},  {"zmpop", 0, 1, 1},       {"bzmpop", 0, 2, 1},
        {"zunionstore", 1, 2, 1}, {"zinterstore", 1, 2, 1}, {"zdiffstore", 1, 2, 1},
        {"sintercard", 0, 1, 1},  {"lmpop", 0, 1, 1},       {"blmpop", 0, 2, 1},
        {"eval", 0, 2, 0},        {"evalsha", 0, 2, 0},
    };
    for (size_t i = 0; i < SCI_COUNT(all); i++)
        if (strcmp(all[i].name, command->name) == 0)
            return &all[i];
    return NULL;
}

/* Words of a call, one after the other: keys[0] and every `step`-th. */
typedef struct sci_keys {
    size_t first, count, step;
    size_t own; /* a key before them, or 0 */
} sci_keys;

static bool sci_keys_of_streams(const sc_slice *argv, size_t argc, sci_keys *keys)
{
    for (size_t i = 1; i < argc; i++) {
        if (!sci_word_is(argv[i], "streams"))
            continue;
        keys->first = i + 1;
        keys->count = (argc - i - 1) / 2;
        return keys->count > 0; /* also where an id too few follows */
    }
    return false;
}

static bool sci_keys_of_counted(const sci_counted_keys *counted, const sc_slice *argv, size_t argc,
                                sci_keys *keys)
{
    const size_t at = (size_t)counted->number_at;
    int64_t count;
    if (at >= argc || !sci_text_to_i64(argv[at], &count) || count < counted->least ||
        (uint64_t)count > argc - at - 1)
        return false;
    keys->own = (size_t)counted->first;
    keys->first = at + 1;
    keys->count = (size_t)count;
    return true;
}

/* False: the words do not fit the command. */
static bool sci_keys_find(const sci_command *command, const sc_slice *argv, size_t argc,
                          sci_keys *keys)
{
    const sci_counted_keys *counted = sci_counted_keys_find(command);
    memset(keys, 0, sizeof *keys);
    keys->step = 1;
    if (counted)
        return sci_keys_of_counted(counted, argv, argc, keys);
    if (strcmp(command->name, "xread") == 0)
        return sci_keys_of_streams(argv, argc, keys);
    if (command->first_key == 0)
        return true;
    const size_t first = (size_t)command->first_key;
    const size_t end = command->last_key < 0 ? argc + 1 - (size_t)-command->last_key
                                             : (size_t)command->last_key + 1;
    keys->first = first;
    keys->step = (size_t)command->key_step;
    keys->count = end > first ? (end - first + keys->step - 1) / keys->step : 0;
    return end <= argc;
}

static bool sci_command_moves_keys(const sci_command *command)
{
    return sci_counted_keys_find(command) || strcmp(command->name, "xread") == 0;
}

/* --- What is told of one */

static void sci_command_answer_flags(sci_call *call, const sci_command *command)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{SCI_CMD_WRITE, "write"},       {SCI_CMD_READONLY, "readonly"},
                 {SCI_CMD_DENYOOM, "denyoom"},   {SCI_CMD_ADMIN, "admin"},
                 {SCI_CMD_PUBSUB, "pubsub"},     {SCI_CMD_NOSCRIPT, "noscript"},
                 {SCI_CMD_BLOCKING, "blocking"}, {SCI_CMD_LOADING, "loading"},
                 {SCI_CMD_STALE, "stale"},       {SCI_CMD_FAST, "fast"},
                 {SCI_CMD_NO_AUTH, "no_auth"},   {SCI_CMD_NO_MULTI, "no_multi"}};
    size_t count = 0;
    const size_t mark = sci_answer_array_begin(call);
    for (size_t i = 0; i < SCI_COUNT(names); i++) {
        if (command->flags & names[i].flag) {
            sci_answer_simple(call, names[i].name);
            count++;
        }
    }
    if (sci_command_moves_keys(command)) {
        sci_answer_simple(call, "movablekeys");
        count++;
    }
    sci_answer_array_end(call, mark, count);
}

/* ACL categories, as far as flags tell them. */
static const struct {
    unsigned flag;
    const char *name;
} sci_command_categories[] = {{SCI_CMD_WRITE, "write"},      {SCI_CMD_READONLY, "read"},
                              {SCI_CMD_ADMIN, "admin"},      {SCI_CMD_ADMIN, "dangerous"},
                              {SCI_CMD_PUBSUB, "pubsub"},    {SCI_CMD_FAST, "fast"},
                              {SCI_CMD_BLOCKING, "blocking"}};

static void sci_command_answer_categories(sci_call *call, const sci_command *command)
{
    char text[32];
    size_t count = 0;
    const size_t mark = sci_answer_array_begin(call);
    for (size_t i = 0; i < SCI_COUNT(sci_command_categories); i++) {
        if (!(command->flags & sci_command_categories[i].flag))
            continue;
        (void)sci_format(text, sizeof text, "@%s", sci_command_categories[i].name);
        sci_answer_simple(call, text);
        count++;
    }
    if (!(command->flags & SCI_CMD_FAST)) {
        sci_answer_simple(call, "@slow");
        count++;
    }
    sci_answer_array_end(call, mark, count);
}

/* A map of Redis's key specifications: "index" and "range", or "index" and "keynum". */
static void sci_command_answer_key_spec(sci_call *call, const sci_command *command, int index,
                                        const char *type, const char *const names[3],
                                        const int values[3])
{
    sci_answer_array(call, 6);
    sci_answer_text(call, "flags");
    sci_answer_array(call, 1);
    sci_answer_simple(call, command->flags & SCI_CMD_WRITE ? "RW" : "RO");
    sci_answer_text(call, "begin_search");
    sci_answer_array(call, 4);
    sci_answer_text(call, "type");
    sci_answer_text(call, "index");
    sci_answer_text(call, "spec");
    sci_answer_array(call, 2);
    sci_answer_text(call, "index");
    sci_answer_i64(call, index);
    sci_answer_text(call, "find_keys");
    sci_answer_array(call, 4);
    sci_answer_text(call, "type");
    sci_answer_text(call, type);
    sci_answer_text(call, "spec");
    sci_answer_array(call, 6);
    for (size_t i = 0; i < 3; i++) {
        sci_answer_text(call, names[i]);
        sci_answer_i64(call, values[i]);
    }
}

static void sci_command_answer_key_specs(sci_call *call, const sci_command *command)
{
    static const char *const range_names[3] = {"lastkey", "keystep", "limit"};
    static const char *const number_names[3] = {"keynumidx", "firstkey", "keystep"};
    static const int number_values[3] = {0, 1, 1};
    const sci_counted_keys *counted = sci_counted_keys_find(command);
    sci_answer_array(call, (command->first_key > 0 ? 1u : 0u) + (counted ? 1u : 0u));
    if (command->first_key > 0) {
        int values[3] = {0, command->key_step, 0};
        values[0] =
            command->last_key < 0 ? command->last_key : command->last_key - command->first_key;
        sci_command_answer_key_spec(call, command, command->first_key, "range", range_names,
                                    values);
    }
    if (counted)
        sci_command_answer_key_spec(call, command, counted->number_at, "keynum", number_names,
                                    number_values);
}

/* As of Redis 7: ten elements. */
static void sci_command_answer_info(sci_call *call, const sci_command *command)
{
    sci_answer_array(call, 10);
    sci_answer_text(call, command->name);
    sci_answer_i64(call, command->arity);
    sci_command_answer_flags(call, command);
    sci_answer_i64(call, command->first_key);
    sci_answer_i64(call, command->last_key);
    sci_answer_i64(call, command->key_step);
    sci_command_answer_categories(call, command);
    sci_answer_array(call, 0); /* tips */
    sci_command_answer_key_specs(call, command);
    sci_answer_array(call, 0); /* subcommands */
}

/* --- Subcommands */

static size_t sci_command_count_all(const sc_server *server)
{
    size_t count = 0;
    for (size_t i = 0; i < SCI_SERVER_COMMAND_SLOTS; i++)
        count += server->commands[i] != NULL;
    return count;
}

static void sci_command_answer_all(sci_call *call)
{
    sci_answer_array(call, sci_command_count_all(call->server));
    for (size_t i = 0; i < SCI_SERVER_COMMAND_SLOTS; i++)
        if (call->server->commands[i])
            sci_command_answer_info(call, call->server->commands[i]);
}

static void sci_command_count(sci_call *call)
{
    sci_answer_i64(call, (int64_t)sci_command_count_all(call->server));
}

static void sci_command_info_of(sci_call *call)
{
    if (call->argc == 2) {
        sci_command_answer_all(call);
        return;
    }
    sci_answer_array(call, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        const sci_command *command = sci_command_find(call->server, call->argv[i]);
        if (command)
            sci_command_answer_info(call, command);
        else
            sci_answer_nil(call, SCI_NIL_ARRAY);
    }
}

/* Of named ones a little; of all nothing, since redis-cli, which asks for that, has them by heart
   for a server that does not know them. */
static void sci_command_docs(sci_call *call)
{
    size_t count = 0;
    if (call->argc == 2) {
        sci_answer_error(call, "ERR COMMAND DOCS wants names here");
        return;
    }
    const size_t mark = sci_answer_array_begin(call);
    for (size_t i = 2; i < call->argc; i++) {
        const sci_command *command = sci_command_find(call->server, call->argv[i]);
        if (!command)
            continue;
        sci_answer_text(call, command->name);
        sci_answer_array(call, 4);
        sci_answer_text(call, "summary");
        sci_answer_text(call, "As in Redis " SCI_SERVER_REDIS_VERSION);
        sci_answer_text(call, "group");
        sci_answer_text(call, command->first_key ? "generic" : "server");
        count += 2;
    }
    sci_answer_array_end(call, mark, count);
}

static void sci_command_getkeys(sci_call *call)
{
    const sc_slice *argv = call->argv + 2;
    const size_t argc = call->argc - 2;
    const sci_command *command = sci_command_find(call->server, argv[0]);
    sci_keys keys;
    if (!command) {
        sci_answer_error(call, "ERR Invalid command specified");
        return;
    }
    if (command->first_key == 0 && !sci_command_moves_keys(command)) {
        sci_answer_error(call, "ERR The command has no key arguments");
        return;
    }
    if (command->arity > 0 ? argc != (size_t)command->arity : argc < (size_t)-command->arity) {
        sci_answer_error(call, "ERR Invalid number of arguments specified for command");
        return;
    }
    if (!sci_keys_find(command, argv, argc, &keys)) {
        sci_answer_error(call, "ERR Invalid arguments specified for command");
        return;
    }
    sci_answer_array(call, keys.count + (keys.own > 0));
    if (keys.own)
        sci_answer_bulk(call, argv[keys.own]);
    for (size_t i = 0; i < keys.count; i++)
        sci_answer_bulk(call, argv[keys.first + i * keys.step]);
}

static bool sci_command_is_in_category(const sci_command *command, sc_slice category)
{
    for (size_t i = 0; i < SCI_COUNT(sci_command_categories); i++)
        if ((command->flags & sci_command_categories[i].flag) &&
            sci_word_is(category, sci_command_categories[i].name))
            return true;
    return !(command->flags & SCI_CMD_FAST) && sci_word_is(category, "slow");
}

/* "FILTERBY kind value" in argv[2..4], or nothing. */
static bool sci_command_is_listed(const sci_call *call, const sci_command *command)
{
    if (call->argc == 2)
        return true;
    if (sci_word_is(call->argv[3], "pattern"))
        return sci_glob_match(call->argv[4], sc_text(command->name), true);
    return sci_word_is(call->argv[3], "aclcat") &&
           sci_command_is_in_category(command, call->argv[4]);
}

static void sci_command_list_names(sci_call *call)
{
    size_t count = 0;
    if (call->argc != 2 &&
        (call->argc != 5 || !sci_word_is(call->argv[2], "filterby") ||
         (!sci_word_is(call->argv[3], "pattern") && !sci_word_is(call->argv[3], "aclcat") &&
          !sci_word_is(call->argv[3], "module")))) {
        sci_answer_syntax_error(call);
        return;
    }
    const size_t mark = sci_answer_array_begin(call);
    for (size_t i = 0; i < SCI_SERVER_COMMAND_SLOTS; i++) {
        const sci_command *command = call->server->commands[i];
        if (command && sci_command_is_listed(call, command)) {
            sci_answer_text(call, command->name);
            count++;
        }
    }
    sci_answer_array_end(call, mark, count);
}

static void sci_command_help(sci_call *call)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "DOCS <command-name> [<command-name> ...]",
        "    Return a little documentation about commands.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "LIST [FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
        "    Return a list of all commands in this server.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_command_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"help", sci_command_help, 2},        {"count", sci_command_count, 2},
        {"info", sci_command_info_of, -2},    {"docs", sci_command_docs, -2},
        {"list", sci_command_list_names, -2}, {"getkeys", sci_command_getkeys, -4}};
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

static void sci_command_command(sci_call *call)
{
    if (call->argc == 1)
        sci_command_answer_all(call);
    else
        sci_subcommand_run(call);
}

SCI_PRIVATE sci_command_list sci_command_commands(void)
{
    static const sci_command commands[] = {
        {"command", sci_command_command, -1, SCI_CMD_LOADING | SCI_CMD_STALE | SCI_CMD_CONTAINER, 0,
         0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
