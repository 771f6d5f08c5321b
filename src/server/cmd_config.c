/* CONFIG: what of Redis's configuration exists here, and what is fixed. */

#include "base/error.h"
#include "server/commands.h"
#include "server/host.h"
#include "server/log.h"
#include "server/open.h"
#include "server/pubsub.h"
#include "server/server.h"
#include "server/subcommand.h"
#include "server/words.h"

typedef struct sci_parameter sci_parameter;

struct sci_parameter {
    const char *name; /* lower case */
    /* The value as a bulk. */
    void (*answer)(sci_call *call, const sci_parameter *parameter);
    /* Set it, or (`is_trial`) only look whether it can be. Returns what is wrong, or NULL. NULL: it
       is as it is. */
    const char *(*set)(sc_server *server, const sci_parameter *parameter, sc_slice value,
                       bool is_trial);
    const char *text; /* a fixed value; or what is wrong with one that is not possible */
    size_t offset;    /* of a size_t in sc_server_config */
    uint64_t least, most;
};

/* --- Kinds of values */

static void sci_parameter_answer_text(sci_call *call, const sci_parameter *parameter)
{
    sci_answer_text(call, parameter->text);
}

static size_t *sci_parameter_size(sc_server *server, const sci_parameter *parameter)
{
    return (size_t *)(void *)((char *)&server->config + parameter->offset);
}

static void sci_parameter_answer_size(sci_call *call, const sci_parameter *parameter)
{
    sci_answer_i64_bulk(call, (int64_t)*sci_parameter_size(call->server, parameter));
}

static const char *sci_parameter_take_size(sc_server *server, const sci_parameter *parameter,
                                           uint64_t number, bool is_trial)
{
    if (number < parameter->least || number > parameter->most || number > SIZE_MAX)
        return parameter->text;
    if (!is_trial)
        *sci_parameter_size(server, parameter) = (size_t)number;
    return NULL;
}

static const char *sci_parameter_set_bytes(sc_server *server, const sci_parameter *parameter,
                                           sc_slice value, bool is_trial)
{
    uint64_t number;
    if (!sci_bytes_from_text(value, &number))
        return "argument must be a memory value";
    return sci_parameter_take_size(server, parameter, number, is_trial);
}

static const char *sci_parameter_set_count(sc_server *server, const sci_parameter *parameter,
                                           sc_slice value, bool is_trial)
{
    int64_t number;
    if (!sci_text_to_i64(value, &number))
        return "argument couldn't be parsed into an integer";
    return sci_parameter_take_size(server, parameter, (uint64_t)number, is_trial);
}

/* --- One by one */

static void sci_parameter_answer_eviction(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_text(call, sci_eviction_to_text(call->server->config.eviction));
}

static const char *sci_parameter_set_eviction(sc_server *server, const sci_parameter *parameter,
                                              sc_slice value, bool is_trial)
{
    sc_eviction eviction;
    if (!sci_eviction_from_text(value, &eviction))
        return parameter->text;
    if (!is_trial)
        server->config.eviction = eviction;
    return NULL;
}

static void sci_parameter_answer_events(sci_call *call, const sci_parameter *parameter)
{
    char text[SCI_EVENTS_TEXT_BYTES];
    (void)parameter;
    sci_answer_bulk(call, sc_bytes(text, sci_events_to_text(call->server->notified_events, text)));
}

static const char *sci_parameter_set_events(sc_server *server, const sci_parameter *parameter,
                                            sc_slice value, bool is_trial)
{
    unsigned events;
    if (!sci_events_from_text(value, &events))
        return parameter->text;
    if (!is_trial)
        server->notified_events = events;
    return NULL;
}

static void sci_parameter_answer_appendonly(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_text(call, call->server->log ? "yes" : "no");
}

static const char *sci_parameter_set_appendonly(sc_server *server, const sci_parameter *parameter,
                                                sc_slice value, bool is_trial)
{
    const bool is_yes = sci_word_is(value, "yes");
    (void)is_trial;
    if (!is_yes && !sci_word_is(value, "no"))
        return parameter->text;
    return is_yes == (server->log != NULL)
               ? NULL
               : "a server has its log from the beginning (sc_server_config.log_path), or none";
}

static void sci_parameter_answer_sync(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_text(call, sci_sync_to_text(call->server->config.sync));
}

static const char *sci_parameter_set_sync(sc_server *server, const sci_parameter *parameter,
                                          sc_slice value, bool is_trial)
{
    sc_sync when;
    if (!sci_sync_from_text(value, &when))
        return parameter->text;
    if (!is_trial)
        server->config.sync = when;
    return NULL;
}

static void sci_parameter_answer_save(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_text(call, "");
}

static const char *sci_parameter_set_save(sc_server *server, const sci_parameter *parameter,
                                          sc_slice value, bool is_trial)
{
    (void)server;
    (void)is_trial;
    return value.len == 0 ? NULL : parameter->text;
}

static void sci_parameter_answer_databases(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_i64_bulk(call, call->server->db_count);
}

static void sci_parameter_answer_timeout(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_i64_bulk(call, call->server->idle_timeout_s);
}

static const char *sci_parameter_set_timeout(sc_server *server, const sci_parameter *parameter,
                                             sc_slice value, bool is_trial)
{
    int64_t seconds;
    if (!sci_text_to_i64(value, &seconds) || seconds < 0 || seconds > INT32_MAX)
        return parameter->text;
    if (!is_trial) {
        server->idle_timeout_s = seconds;
        server->idle_look_ns = 0;
    }
    return NULL;
}

static void sci_parameter_answer_password(sci_call *call, const sci_parameter *parameter)
{
    (void)parameter;
    sci_answer_text(call, call->server->password ? call->server->password : "");
}

static bool sci_server_is_public(const sc_server *server)
{
    for (size_t i = 0; server->host && i < server->host->door_count; i++)
        if (sci_place_is_public(&server->host->doors[i].address))
            return true;
    return false;
}

static const char *sci_parameter_set_password(sc_server *server, const sci_parameter *parameter,
                                              sc_slice value, bool is_trial)
{
    char *copy = NULL;
    (void)parameter;
    if (value.len == 0 && sci_server_is_public(server))
        return "a server that other hosts can reach needs a password";
    if (value.len > 0 && memchr(value.data, '\0', value.len))
        return "a password has no NUL";
    if (is_trial)
        return NULL;
    if (value.len > 0 && !(copy = sci_copy_text(&server->memory, value)))
        return "out of memory";
    sci_free_secret_text(&server->memory, server->password);
    server->password = copy;
    return NULL;
}

static void sci_parameter_answer_port(sci_call *call, const sci_parameter *parameter)
{
    const sci_door *door = sci_server_door(call->server, false);
    (void)parameter;
    sci_answer_i64_bulk(call, door ? door->address.port : 0);
}

static void sci_parameter_answer_unixsocket(sci_call *call, const sci_parameter *parameter)
{
    const sci_door *door = sci_server_door(call->server, true);
    (void)parameter;
    sci_answer_text(call, door ? door->address.path : "");
}

static void sci_parameter_answer_output_limit(sci_call *call, const sci_parameter *parameter)
{
    char text[160];
    const size_t most = call->server->config.max_output_bytes;
    (void)parameter;
    (void)sci_format(text, sizeof text, "normal %zu 0 0 slave %zu 0 0 pubsub %zu 0 0", most, most,
                     most);
    sci_answer_text(call, text);
}

/* --- The table */

#define SCI_FIXED(name, value)                                                                     \
    {                                                                                              \
        name, sci_parameter_answer_text, NULL, value, 0, 0, 0                                      \
    }
#define SCI_CONFIG_MOST_BULK_BYTES (UINT32_MAX / 2)

static const sci_parameter sci_parameters[] = {
    {"maxmemory", sci_parameter_answer_size, sci_parameter_set_bytes,
     "argument must be a memory value", offsetof(sc_server_config, max_memory_bytes), 0, INT64_MAX},
    {"maxmemory-policy", sci_parameter_answer_eviction, sci_parameter_set_eviction,
     "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-fifo, "
     "volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-fifo, allkeys-random, "
     "noeviction",
     0, 0, 0},
    {"notify-keyspace-events", sci_parameter_answer_events, sci_parameter_set_events,
     "Invalid event class character. Use '" SCI_EVENT_LETTERS "'.", 0, 0, 0},
    {"appendonly", sci_parameter_answer_appendonly, sci_parameter_set_appendonly,
     "argument must be 'yes' or 'no'", 0, 0, 0},
    {"appendfsync", sci_parameter_answer_sync, sci_parameter_set_sync,
     "argument(s) must be one of the following: everysec, always, no", 0, 0, 0},
    {"save", sci_parameter_answer_save, sci_parameter_set_save,
     "there are no snapshots: a log (sc_server_config.log_path) keeps everything", 0, 0, 0},
    {"databases", sci_parameter_answer_databases, NULL, NULL, 0, 0, 0},
    {"maxclients", sci_parameter_answer_size, sci_parameter_set_count,
     "argument must be between 1 and 4294967295 inclusive", offsetof(sc_server_config, max_clients),
     1, UINT32_MAX},
    {"timeout", sci_parameter_answer_timeout, sci_parameter_set_timeout,
     "argument must be between 0 and 2147483647 inclusive", 0, 0, 0},
    {"requirepass", sci_parameter_answer_password, sci_parameter_set_password, NULL, 0, 0, 0},
    {"proto-max-bulk-len", sci_parameter_answer_size, sci_parameter_set_bytes,
     "argument must be between 1048576 and 2147483647 inclusive",
     offsetof(sc_server_config, max_bulk_bytes), 1048576, SCI_CONFIG_MOST_BULK_BYTES},
    {"client-query-buffer-limit", sci_parameter_answer_size, sci_parameter_set_bytes,
     "argument must be between 1048576 and 9223372036854775807 inclusive",
     offsetof(sc_server_config, max_request_bytes), 1048576, INT64_MAX},
    {"client-output-buffer-limit", sci_parameter_answer_output_limit, NULL, NULL, 0, 0, 0},
    {"auto-aof-rewrite-min-size", sci_parameter_answer_size, sci_parameter_set_bytes,
     "argument must be a memory value", offsetof(sc_server_config, rewrite_min_bytes), 0,
     INT64_MAX},
    {"port", sci_parameter_answer_port, NULL, NULL, 0, 0, 0},
    {"unixsocket", sci_parameter_answer_unixsocket, NULL, NULL, 0, 0, 0},
    SCI_FIXED("auto-aof-rewrite-percentage", "100"),
    SCI_FIXED("cluster-enabled", "no"),
    SCI_FIXED("daemonize", "no"),
    SCI_FIXED("hash-max-listpack-entries", "128"),
    SCI_FIXED("hash-max-listpack-value", "64"),
    SCI_FIXED("io-threads", "1"),
    SCI_FIXED("latency-monitor-threshold", "0"),
    SCI_FIXED("lua-time-limit", "0"),
    SCI_FIXED("replica-read-only", "yes"),
    SCI_FIXED("slowlog-log-slower-than", "-1"),
    SCI_FIXED("slowlog-max-len", "0"),
    SCI_FIXED("zset-max-listpack-entries", "128"),
    SCI_FIXED("zset-max-listpack-value", "64"),
};

static const sci_parameter *sci_parameter_find(sc_slice name)
{
    for (size_t i = 0; i < SCI_COUNT(sci_parameters); i++)
        if (sci_word_is(name, sci_parameters[i].name))
            return &sci_parameters[i];
    return NULL;
}

/* --- CONFIG */

static bool sci_config_is_asked(const sci_call *call, const sci_parameter *parameter)
{
    for (size_t i = 2; i < call->argc; i++)
        if (sci_glob_match(call->argv[i], sc_text(parameter->name), true))
            return true;
    return false;
}

static void sci_config_get(sci_call *call)
{
    size_t answers = 0;
    size_t mark = sci_answer_array_begin(call);
    for (size_t i = 0; i < SCI_COUNT(sci_parameters); i++) {
        if (!sci_config_is_asked(call, &sci_parameters[i]))
            continue;
        sci_answer_text(call, sci_parameters[i].name);
        sci_parameters[i].answer(call, &sci_parameters[i]);
        answers += 2;
    }
    sci_answer_array_end(call, mark, answers);
}

static bool sci_config_is_repeated(const sci_call *call, size_t at)
{
    for (size_t i = 2; i < at; i += 2)
        if (sci_parameter_find(call->argv[i]) == sci_parameter_find(call->argv[at]))
            return true;
    return false;
}

static void sci_config_refuse(sci_call *call, size_t at, const char *why)
{
    sci_answer_error(call, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
                     (int)call->argv[at].len, call->argv[at].data, why);
}

/* Names first, then values. False after answering what is wrong. */
static bool sci_config_check_names(sci_call *call)
{
    for (size_t i = 2; i < call->argc; i += 2) {
        const sci_parameter *parameter = sci_parameter_find(call->argv[i]);
        if (!parameter) {
            sci_answer_error(call,
                             "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                             (int)call->argv[i].len, call->argv[i].data);
            return false;
        }
        if (!parameter->set || sci_config_is_repeated(call, i)) {
            sci_config_refuse(
                call, i, parameter->set ? "duplicate parameter" : "can't set immutable config");
            return false;
        }
    }
    return true;
}

/* False after answering what is wrong with a value. */
static bool sci_config_set_all(sci_call *call, bool is_trial)
{
    for (size_t i = 2; i < call->argc; i += 2) {
        const sci_parameter *parameter = sci_parameter_find(call->argv[i]);
        const char *why = parameter->set(call->server, parameter, call->argv[i + 1], is_trial);
        if (why) {
            sci_config_refuse(call, i, why);
            return false;
        }
    }
    return true;
}

/* Rooms that have their own copies of what was configured. */
static void sci_config_spread(sc_server *server)
{
    if (server->log)
        sci_log_configure(server->log, server->config.sync, server->config.rewrite_min_bytes);
    for (sci_link *link = server->sessions.next; link != &server->sessions; link = link->next)
        SCI_CONTAINER(link, sci_session, link)->request.limits.max_bulk_bytes =
            server->config.max_bulk_bytes;
}

static void sci_config_set(sci_call *call)
{
    if (call->argc % 2 != 0) {
        sci_answer_syntax_error(call);
        return;
    }
    if (!sci_config_check_names(call) || !sci_config_set_all(call, true) ||
        !sci_config_set_all(call, false))
        return;
    sci_config_spread(call->server);
    sci_answer_ok(call);
}

static void sci_config_resetstat(sci_call *call)
{
    sci_server_stats *stats = &call->server->stats;
    const int64_t started_ms = stats->started_ms, saved_ms = stats->saved_ms;
    memset(stats, 0, sizeof *stats);
    stats->started_ms = started_ms;
    stats->saved_ms = saved_ms;
    sci_answer_ok(call);
}

static void sci_config_rewrite(sci_call *call)
{
    sci_answer_error(call, "ERR The server is running without a config file");
}

static void sci_config_help(sci_call *call)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_config_subcommands(void)
{
    static const sci_subcommand subcommands[] = {{"help", sci_config_help, 2},
                                                 {"get", sci_config_get, -3},
                                                 {"set", sci_config_set, -4},
                                                 {"resetstat", sci_config_resetstat, 2},
                                                 {"rewrite", sci_config_rewrite, 2}};
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

SCI_PRIVATE sci_command_list sci_config_commands(void)
{
    static const sci_command commands[] = {
        {"config", sci_subcommand_run, -2,
         SCI_CMD_ADMIN | SCI_CMD_NOSCRIPT | SCI_CMD_LOADING | SCI_CMD_STALE | SCI_CMD_CONTAINER, 0,
         0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
