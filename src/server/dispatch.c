/* From words to a command's function. The order of the checks is that of Redis 7. */

#include "server/dispatch.h"

#include "base/error.h"
#include "server/commands.h"
#include "server/evict.h"
#include "server/log.h"
#include "server/pause.h"
#include "server/pubsub.h"
#include "server/session.h"
#include "server/subcommand.h"
#include "server/tracking.h"
#include "server/transaction.h"
#include "server/wait.h"

/* Longest name of a command; longer ones are unknown. */
#define SCI_COMMAND_NAME_BYTES 24
/* What Redis repeats of an unknown command's name and arguments. */
#define SCI_COMMAND_QUOTED_BYTES 128
/* What the log adds to a command's own bytes: headers, MULTI, the checksum. */
#define SCI_COMMAND_LOG_BYTES 256
#define SCI_COMMAND_LOG_WORD_BYTES 16
#define SCI_UNHEARD_KEEP_BYTES 4096
#define SCI_REPLAY_ANSWER_BYTES (SC_ERROR_TEXT_BYTES + 4) /* the longest error */

/* FNV-1a of the lower-case letters: names are few, and nobody chooses them to collide. */
static size_t sci_command_slot(sc_slice name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)(name.data[i] | 0x20)) * 16777619u;
    return (hash ^ (hash >> 15)) & (SCI_SERVER_COMMAND_SLOTS - 1);
}

static void sci_command_index_add(sc_server *server, sci_command_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        size_t slot = sci_command_slot(sc_text(list.at[i].name));
        sci_assert(strlen(list.at[i].name) < SCI_COMMAND_NAME_BYTES);
        while (server->commands[slot])
            slot = (slot + 1) & (SCI_SERVER_COMMAND_SLOTS - 1);
        server->commands[slot] = &list.at[i];
    }
}

SCI_PRIVATE void sci_command_index_init(sc_server *server)
{
    static sci_command_list (*const lists[])(void) = {
        sci_transaction_commands,  sci_script_commands,     sci_pubsub_commands,
        sci_connection_commands,   sci_hash_commands,       sci_set_commands,
        sci_setop_commands,        sci_list_commands,       sci_list_move_commands,
        sci_zset_commands,         sci_zset_range_commands, sci_zset_pop_commands,
        sci_zset_algebra_commands, sci_server_commands,     sci_config_commands,
        sci_info_commands,         sci_command_commands,    sci_string_commands,
        sci_number_commands,       sci_range_commands,      sci_bit_commands,
        sci_keys_commands,         sci_expire_commands,     sci_move_commands,
        sci_stream_commands,
    };
    for (size_t i = 0; i < SCI_COUNT(lists); i++)
        sci_command_index_add(server, lists[i]());
}

SCI_PRIVATE const sci_command *sci_command_find(const sc_server *server, sc_slice name)
{
    if (name.len == 0 || name.len >= SCI_COMMAND_NAME_BYTES)
        return NULL;
    size_t slot = sci_command_slot(name);
    while (server->commands[slot] && !sci_word_is(name, server->commands[slot]->name))
        slot = (slot + 1) & (SCI_SERVER_COMMAND_SLOTS - 1);
    return server->commands[slot];
}

SCI_PRIVATE void sci_call_init(sci_call *call, sc_server *server, sci_session *session,
                               const sci_command *command, const sc_slice *argv, size_t argc)
{
    memset(call, 0, sizeof *call);
    call->server = server;
    call->session = session;
    call->command = command;
    if (command && (command->flags & SCI_CMD_CONTAINER) && argc > 1)
        call->subcommand = sci_subcommand_find(command, argv[1]);
    call->argv = argv;
    call->argc = argc;
    call->now_ms = server->now_ms;
    if (session) {
        /* What a transaction does after it has ended its own session is not answered. */
        bool is_heard = SCI_LIKELY(!session->is_muted && !session->skips_now && !session->is_ended);
        call->db = session->db;
        call->out = is_heard ? &session->out : &server->unheard;
    }
}

SCI_PRIVATE void sci_call_run(sci_call *call)
{
    sc_server *server = call->server;
    sci_session *session = call->session;
    sci_db *db = call->db;
    call->command->run(call);
    if (session && (call->command->flags & SCI_CMD_READONLY) && session->tracking.is_on)
        sci_tracking_note_read(call);
    if (call->changes == 0 || call->is_loading)
        return;
    if (session && server->log && !sci_link_is_in_list(&session->writer))
        sci_list_append(&server->writers, &session->writer);
    if (server->log && !call->is_log_replaced)
        sci_log_append(server->log, db->index, call->argv, call->argc);
}

SCI_PRIVATE bool sci_call_has_arity(sci_call *call)
{
    int arity = call->subcommand ? call->subcommand->arity : call->command->arity;
    if (arity >= 0 ? call->argc == (size_t)arity : call->argc >= (size_t)-arity)
        return true;
    sci_answer_wrong_arity(call);
    return false;
}

static void sci_command_unknown(sci_call *call)
{
    char quoted[SCI_COMMAND_QUOTED_BYTES + 8];
    size_t len = 0;
    for (size_t i = 1; i < call->argc && len < SCI_COMMAND_QUOTED_BYTES; i++) {
        size_t word = sci_min_size(call->argv[i].len, SCI_COMMAND_QUOTED_BYTES - len);
        len +=
            sci_format(quoted + len, sizeof quoted - len, "'%.*s' ", (int)word, call->argv[i].data);
    }
    sci_answer_error(call, "ERR unknown command '%.*s', with args beginning with: %.*s",
                     (int)sci_min_size(call->argv[0].len, SCI_COMMAND_QUOTED_BYTES),
                     call->argv[0].data, (int)len, quoted);
}

static size_t sci_call_log_bytes(const sci_call *call)
{
    size_t bytes = SCI_COMMAND_LOG_BYTES + call->argc * SCI_COMMAND_LOG_WORD_BYTES;
    for (size_t i = 0; i < call->argc; i++)
        bytes += call->argv[i].len;
    if (call->session)
        bytes += sci_bytes_len(&call->session->transaction.queued);
    return bytes;
}

static bool sci_call_may_write(sci_call *call, unsigned flags)
{
    sc_server *server = call->server;
    bool has_room = sci_evict_make_room(server);
    if ((flags & SCI_CMD_DENYOOM) && !has_room) {
        sci_answer_error(call, "OOM command not allowed when used memory > 'maxmemory'.");
        return false;
    }
    if (!(flags & SCI_CMD_WRITE) || !server->log ||
        sci_log_admit(server->log, sci_call_log_bytes(call)) == SC_OK)
        return true;
    sci_answer_error(call, "MISCONF Errors writing to the log: %s", sc_error_text());
    return false;
}

static bool sci_call_fits_subscription(sci_call *call)
{
    char name[SCI_COMMAND_FULL_NAME_BYTES];
    if (!sci_pubsub_is_subscribed(call->session) || (call->command->flags & SCI_CMD_PUBSUB))
        return true;
    sci_command_full_name(call->command, call->subcommand, name);
    sci_answer_error(call,
                     "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                     "/ RESET are allowed in this context",
                     name);
    return false;
}

/* Flags of a command, those of all that it would execute included. */
static unsigned sci_call_flags(const sci_call *call)
{
    unsigned flags = call->command->flags;
    if (call->command->flags & SCI_CMD_EXEC)
        flags |= call->session->transaction.flags;
    return flags;
}

static bool sci_call_is_allowed(sci_call *call)
{
    const sci_session *session = call->session;
    unsigned flags = sci_call_flags(call);
    if (!sci_call_has_arity(call))
        return false;
    if (!session->is_authenticated && !(flags & SCI_CMD_NO_AUTH)) {
        sci_answer_error(call, "NOAUTH Authentication required.");
        return false;
    }
    if (session->transaction.is_open && (flags & SCI_CMD_NO_MULTI)) {
        sci_answer_error(call, "ERR Command not allowed inside a transaction");
        return false;
    }
    if ((flags & (SCI_CMD_WRITE | SCI_CMD_DENYOOM)) && !sci_call_may_write(call, flags))
        return false;
    return sci_call_fits_subscription(call);
}

static bool sci_call_is_queued(const sci_call *call)
{
    return call->session->transaction.is_open && !(call->command->flags & SCI_CMD_UNQUEUED);
}

/* False after answering that there is no such command. */
static bool sci_call_is_known(sci_call *call)
{
    if (!call->command) {
        sci_command_unknown(call);
        return false;
    }
    if (call->subcommand || !(call->command->flags & SCI_CMD_CONTAINER) || call->argc == 1)
        return true;
    sci_answer_unknown_subcommand(call);
    return false;
}

/* After a command that was answered, queued, refused or put off. */
static void sci_call_done(const sci_call *call)
{
    sci_session *session = call->session;
    sci_bytes *unheard = &call->server->unheard;
    if (SCI_UNLIKELY(sci_bytes_len(unheard) > 0))
        sci_bytes_reset(unheard, SCI_UNHEARD_KEEP_BYTES);
    if (sci_pause_holds(session))
        return;
    sci_tracking_command_done(session, call->command);
    if (!sci_wait_is_on(session))
        sci_session_answered(session);
}

SCI_PRIVATE void sci_command_dispatch(sci_session *session, const sc_slice *argv, size_t argc)
{
    sc_server *server = session->server;
    const sci_command *command = sci_command_find(server, argv[0]);
    sci_call call;
    sci_call_init(&call, server, session, command, argv, argc);
    server->stats.commands++;
    session->commands++;
    const size_t answered = sci_bytes_len(call.out);
    bool is_known = sci_call_is_known(&call);
    session->last_command = is_known ? command : NULL;
    session->last_subcommand = call.subcommand;
    if (!is_known || !sci_call_is_allowed(&call))
        sci_transaction_refuse(&call, answered);
    else if (sci_pause_stops(server, sci_call_flags(&call)))
        sci_pause_hold(&call);
    else if (sci_call_is_queued(&call))
        sci_transaction_queue(&call);
    else
        sci_call_run(&call);
    sci_call_done(&call);
    if (!sci_list_is_empty(&server->ready_keys))
        sci_wait_serve(server);
}

/* --- From the log */

/* What a command answered while the log is loaded: an error means that it is not ours, unless it is
   for want of memory (sci_answer_no_memory). */
static sc_status sci_replay_judge(const sci_call *call)
{
    sc_slice answer = sci_bytes_slice(call->out);
    if (answer.len == 0 || answer.data[0] != '-')
        return SC_OK;
    if (answer.len > 4 && memcmp(answer.data, "-OOM", 4) == 0)
        return sc_fail(SC_ERR_MEMORY, "out of memory: %s could not be executed",
                       call->command->name);
    return sc_fail(SC_ERR_PROTOCOL, "%s was answered by \"%.*s\"", call->command->name,
                   (int)sci_min_size(answer.len - 3, SCI_COMMAND_QUOTED_BYTES), answer.data + 1);
}

SCI_PRIVATE sc_status sci_command_replay(sc_server *server, int *db, const sc_slice *argv,
                                         size_t argc)
{
    sci_call call;
    sci_bytes out;
    const sci_command *command = sci_command_find(server, argv[0]);
    if (!command)
        return sc_fail(SC_ERR_PROTOCOL, "unknown command \"%.*s\"",
                       (int)sci_min_size(argv[0].len, SCI_COMMAND_QUOTED_BYTES), argv[0].data);
    if (!(command->flags & (SCI_CMD_WRITE | SCI_CMD_REPLAYED)))
        return sc_fail(SC_ERR_PROTOCOL, "%s, which changes nothing", command->name);
    sci_bytes_init(&out, &server->memory);
    /* So that an error always has room. */
    if (sci_bytes_reserve(&out, SCI_REPLAY_ANSWER_BYTES) != SC_OK)
        return SC_ERR_MEMORY;
    sci_call_init(&call, server, NULL, command, argv, argc);
    call.out = &out;
    call.db = &server->dbs[*db];
    call.is_loading = true;
    call.is_in_transaction = true;
    if (sci_call_has_arity(&call))
        sci_call_run(&call);
    sc_status status = sci_replay_judge(&call);
    *db = call.db->index; /* SELECT */
    sci_bytes_free(&out);
    return status;
}
