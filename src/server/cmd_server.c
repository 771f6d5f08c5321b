/* Commands about the server as a whole: emptying and exchanging databases, time, saving, ending,
   and what Redis has that is not here, answered so that clients are content. */

#include "base/error.h"
#include "server/commands.h"
#include "server/host.h"
#include "server/log.h"
#include "server/server.h"
#include "server/session.h"
#include "server/subcommand.h"
#include "server/tracking.h"
#include "server/transaction.h"
#include "server/wait.h"

/* --- Databases */

static void sci_command_dbsize(sci_call *call)
{
    sci_answer_i64(call, (int64_t)sci_db_count(call->db));
}

/* `db` NULL: all. */
static void sci_flush(sci_call *call, sci_db *db)
{
    sc_server *server = call->server;
    if (call->argc > 2 || (call->argc == 2 && !sci_word_is(call->argv[1], "async") &&
                           !sci_word_is(call->argv[1], "sync"))) {
        sci_answer_syntax_error(call);
        return;
    }
    if (server->log)
        sci_log_before_flush(server->log, db);
    sci_watch_flushed(server, db);
    sci_tracking_flushed(server, call->session);
    for (int i = 0; i < server->db_count; i++)
        if (!db || db == &server->dbs[i])
            sci_db_clear(&server->dbs[i]);
    call->changes++;
    sci_answer_ok(call);
}

static void sci_command_flushdb(sci_call *call)
{
    sci_flush(call, call->db);
}

static void sci_command_flushall(sci_call *call)
{
    sci_flush(call, NULL);
}

/* argv[i] as a number that fits C's int, since that is what Redis takes. */
static bool sci_swapdb_arg(sci_call *call, size_t i, const char *which, int64_t *index)
{
    if (sci_text_to_i64(call->argv[i], index) && *index >= INT32_MIN && *index <= INT32_MAX)
        return true;
    sci_answer_error(call, "ERR invalid %s DB index", which);
    return false;
}

static void sci_swapdb(sci_call *call, sci_db *a, sci_db *b)
{
    sc_server *server = call->server;
    const int a_index = a->index, b_index = b->index;
    if (server->log)
        sci_log_before_swap(server->log, a, b);
    sci_watch_flushed(server, a);
    sci_watch_flushed(server, b);
    const sci_db held = *a; /* not before: a look at a database may change its table */
    *a = *b;
    *b = held;
    a->index = a_index;
    b->index = b_index;
    /* Again: for keys that have come. */
    sci_watch_flushed(server, a);
    sci_watch_flushed(server, b);
    sci_wait_db_changed(server, a);
    sci_wait_db_changed(server, b);
}

static void sci_command_swapdb(sci_call *call)
{
    sc_server *server = call->server;
    int64_t a, b;
    if (!sci_swapdb_arg(call, 1, "first", &a) || !sci_swapdb_arg(call, 2, "second", &b))
        return;
    if (a < 0 || a >= server->db_count || b < 0 || b >= server->db_count) {
        sci_answer_error(call, "ERR DB index is out of range");
        return;
    }
    if (a != b)
        sci_swapdb(call, &server->dbs[a], &server->dbs[b]);
    call->changes++;
    sci_answer_ok(call);
}

/* --- Time and saving */

static void sci_command_time(sci_call *call)
{
    sci_answer_array(call, 2);
    sci_answer_i64_bulk(call, call->now_ms / 1000);
    sci_answer_i64_bulk(call, call->now_ms % 1000 * 1000);
}

static void sci_command_lastsave(sci_call *call)
{
    sci_answer_i64(call, call->server->stats.saved_ms / 1000);
}

/* What is kept, is kept in the log. */
static bool sci_save_has_log(sci_call *call)
{
    if (call->server->log)
        return true;
    sci_answer_error(call, "ERR this server keeps its data in memory alone: "
                           "sc_server_config.log_path names a log");
    return false;
}

/* Write out what the log has not got yet; a transaction is, as a whole, when it is over. */
static bool sci_save(sci_call *call)
{
    const char *words = "";
    if (call->is_in_transaction || sci_log_commit(call->server->log) == SC_OK) {
        call->server->stats.saved_ms = call->now_ms;
        return true;
    }
    (void)sci_log_failed_ms(call->server->log, &words);
    sci_answer_error(call, "ERR the log cannot be written: %s", words);
    return false;
}

static void sci_command_save(sci_call *call)
{
    if (sci_save_has_log(call) && sci_save(call))
        sci_answer_ok(call);
}

static void sci_command_bgsave(sci_call *call)
{
    if (call->argc > 2 || (call->argc == 2 && !sci_word_is(call->argv[1], "schedule")))
        sci_answer_syntax_error(call);
    else if (sci_save_has_log(call) && sci_save(call))
        sci_answer_simple(call, "Background saving started");
}

static void sci_command_bgrewriteaof(sci_call *call)
{
    if (!sci_save_has_log(call))
        return;
    sc_status status = sci_log_rewrite(call->server->log);
    if (status == SC_OK)
        sci_answer_simple(call, "Background append only file rewriting started");
    else if (status == SC_HELD)
        sci_answer_error(call, "ERR Background append only file rewriting already in progress");
    else
        sci_answer_error(call, "ERR %s", sc_error_text());
}

/* --- Ending */

#define SCI_SHUTDOWN_SAVE 1u
#define SCI_SHUTDOWN_NOSAVE 2u
#define SCI_SHUTDOWN_ABORT 4u
#define SCI_SHUTDOWN_NOW 8u
#define SCI_SHUTDOWN_FORCE 16u

/* False: syntax error. */
static bool sci_shutdown_parse(const sci_call *call, unsigned *flags)
{
    static const char *const words[] = {"save", "nosave", "abort", "now", "force"};
    *flags = 0;
    for (size_t i = 1; i < call->argc; i++) {
        size_t word = 0;
        while (word < SCI_COUNT(words) && !sci_word_is(call->argv[i], words[word]))
            word++;
        if (word == SCI_COUNT(words))
            return false;
        *flags |= 1u << word;
    }
    if ((*flags & SCI_SHUTDOWN_SAVE) && (*flags & SCI_SHUTDOWN_NOSAVE))
        return false;
    return !(*flags & SCI_SHUTDOWN_ABORT) || *flags == SCI_SHUTDOWN_ABORT;
}

/* For a server that serves others. One that has no place where it listens is a part of its program,
   which ends it. */
static void sci_command_shutdown(sci_call *call)
{
    sc_server *server = call->server;
    unsigned flags;
    if (!sci_shutdown_parse(call, &flags)) {
        sci_answer_syntax_error(call);
        return;
    }
    if (flags & SCI_SHUTDOWN_ABORT) {
        sci_answer_error(call, "ERR No shutdown in progress.");
        return;
    }
    if (!server->host || server->host->door_count == 0) {
        sci_answer_error(call, "ERR this server lives in a program, which ends it by "
                               "sc_server_close");
        return;
    }
    if (server->log && !(flags & (SCI_SHUTDOWN_NOSAVE | SCI_SHUTDOWN_FORCE)) && !sci_save(call))
        return;
    sc_server_stop(server);
    if (call->session)
        sci_session_end(call->session);
}

/* --- Replication, which is not here */

static void sci_command_wait(sci_call *call)
{
    int64_t replicas, timeout_ms;
    if (!sci_arg_i64(call, 1, &replicas))
        return;
    if (!sci_text_to_i64(call->argv[2], &timeout_ms))
        sci_answer_error(call, "ERR timeout is not an integer or out of range");
    else if (timeout_ms < 0)
        sci_answer_error(call, "ERR timeout is negative");
    else
        sci_answer_i64(call, 0); /* none will come, so there is nothing to wait for */
}

static void sci_command_role(sci_call *call)
{
    sci_answer_array(call, 3);
    sci_answer_text(call, "master");
    sci_answer_i64(call, 0);
    sci_answer_array(call, 0);
}

/* --- Measurements, which are not made */

static void sci_answer_nothing(sci_call *call)
{
    sci_answer_array(call, 0);
}

static void sci_answer_zero(sci_call *call)
{
    sci_answer_i64(call, 0);
}

static void sci_slowlog_get(sci_call *call)
{
    int64_t count;
    if (call->argc > 3)
        sci_answer_syntax_error(call);
    else if (call->argc == 3 && (!sci_text_to_i64(call->argv[2], &count) || count < -1))
        sci_answer_error(call, "ERR count should be greater than or equal to -1");
    else
        sci_answer_array(call, 0);
}

static void sci_slowlog_help(sci_call *call)
{
    static const char *const lines[] = {
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return nothing: this server does not look how long commands take.",
        "LEN",
        "    Return 0.",
        "RESET",
        "    Change nothing.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_slowlog_subcommands(void)
{
    static const sci_subcommand subcommands[] = {{"help", sci_slowlog_help, 2},
                                                 {"get", sci_slowlog_get, -2},
                                                 {"len", sci_answer_zero, 2},
                                                 {"reset", sci_answer_ok, 2}};
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

static void sci_latency_graph(sci_call *call)
{
    sci_answer_error(call, "ERR No samples available for event '%.*s'", (int)call->argv[2].len,
                     call->argv[2].data);
}

static void sci_latency_doctor(sci_call *call)
{
    sci_answer_text(call, "This server measures no latencies.\n");
}

static void sci_latency_help(sci_call *call)
{
    static const char *const lines[] = {
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Say that this server measures no latencies.",
        "HISTOGRAM [<command> ...]",
        "HISTORY <event>",
        "LATEST",
        "    Return nothing.",
        "RESET [<event> ...]",
        "    Return 0.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_latency_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"help", sci_latency_help, 2},      {"latest", sci_answer_nothing, 2},
        {"history", sci_answer_nothing, 3}, {"histogram", sci_answer_nothing, -2},
        {"reset", sci_answer_zero, -2},     {"graph", sci_latency_graph, 3},
        {"doctor", sci_latency_doctor, 2}};
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

/* --- DEBUG, for the tests of clients */

/* Redis sleeps as a whole; here, who asks for it. */
static void sci_debug_sleep(sci_call *call)
{
    double seconds;
    if (!sci_word_to_double(call->argv[2], &seconds) || seconds * 1000 < 1)
        sci_answer_ok(call);
    else
        sci_wait_for_keys(call, NULL, 0, seconds < 1e9 ? (int64_t)(seconds * 1000) : 0, SCI_NIL_OK,
                          call->argv, call->argc);
}

static void sci_debug_set_active_expire(sci_call *call)
{
    call->server->is_expiry_lazy = sci_word_is(call->argv[2], "0");
    sci_answer_ok(call);
}

static void sci_debug_object(sci_call *call)
{
    char text[160];
    const sci_entry *entry = sci_entry_for_read(call, call->argv[2]);
    if (!entry) {
        sci_answer_error(call, "ERR no such key");
        return;
    }
    (void)sci_format(text, sizeof text,
                     "Value at:0x0 refcount:1 encoding:%s serializedlength:%zu lru:0 "
                     "lru_seconds_idle:0",
                     sci_entry_encoding(entry), sci_entry_bytes(entry));
    sci_answer_simple(call, text);
}

static void sci_debug_help(sci_call *call)
{
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "OBJECT <key>",
        "    Show low level info about <key> and its value.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    With 0, what has expired goes only when it is looked up.",
        "SLEEP <seconds>",
        "    Answer this connection so much later. Others are served meanwhile.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_debug_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"help", sci_debug_help, 2},
        {"sleep", sci_debug_sleep, 3},
        {"set-active-expire", sci_debug_set_active_expire, 3},
        {"object", sci_debug_object, -3}};
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

/* --- The table */

#define SCI_SERVER_ASKS (SCI_CMD_FAST | SCI_CMD_LOADING | SCI_CMD_STALE)
#define SCI_SERVER_ADMIN (SCI_CMD_ADMIN | SCI_CMD_NOSCRIPT)
#define SCI_SERVER_REPORTS (SCI_CMD_ADMIN | SCI_CMD_NOSCRIPT | SCI_CMD_LOADING | SCI_CMD_STALE)

SCI_PRIVATE sci_command_list sci_server_commands(void)
{
    static const sci_command commands[] = {
        {"dbsize", sci_command_dbsize, 1, SCI_CMD_READONLY | SCI_CMD_FAST, 0, 0, 0},
        {"flushdb", sci_command_flushdb, -1, SCI_CMD_WRITE, 0, 0, 0},
        {"flushall", sci_command_flushall, -1, SCI_CMD_WRITE, 0, 0, 0},
        {"swapdb", sci_command_swapdb, 3, SCI_CMD_WRITE | SCI_CMD_FAST, 0, 0, 0},
        {"time", sci_command_time, 1, SCI_SERVER_ASKS, 0, 0, 0},
        {"lastsave", sci_command_lastsave, 1, SCI_SERVER_ASKS, 0, 0, 0},
        {"save", sci_command_save, 1, SCI_SERVER_ADMIN | SCI_CMD_NO_MULTI, 0, 0, 0},
        {"bgsave", sci_command_bgsave, -1, SCI_SERVER_ADMIN, 0, 0, 0},
        {"bgrewriteaof", sci_command_bgrewriteaof, 1, SCI_SERVER_ADMIN, 0, 0, 0},
        {"shutdown", sci_command_shutdown, -1, SCI_SERVER_REPORTS | SCI_CMD_NO_MULTI, 0, 0, 0},
        {"wait", sci_command_wait, 3, SCI_CMD_NOSCRIPT, 0, 0, 0},
        {"role", sci_command_role, 1, SCI_SERVER_ASKS | SCI_CMD_NOSCRIPT, 0, 0, 0},
        {"slowlog", sci_subcommand_run, -2, SCI_SERVER_REPORTS | SCI_CMD_CONTAINER, 0, 0, 0},
        {"latency", sci_subcommand_run, -2, SCI_SERVER_REPORTS | SCI_CMD_CONTAINER, 0, 0, 0},
        {"debug", sci_subcommand_run, -2, SCI_SERVER_REPORTS | SCI_CMD_CONTAINER, 0, 0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
