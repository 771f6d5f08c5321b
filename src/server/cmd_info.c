/* INFO, and MEMORY: what a server tells of itself, in Redis's form. */

#include "base/error.h"
#include "server/commands.h"
#include "server/host.h"
#include "server/log.h"
#include "server/server.h"
#include "server/subcommand.h"
#include "server/wait.h"
#include "server/words.h"

#define SCI_INFO_LINE_BYTES 512
#define SCI_INFO_HUMAN_BYTES 32
/* Expiry times that the average TTL is taken from. */
#define SCI_INFO_TTL_SAMPLES 64

/* The text grows here; without memory it stays as it is, and `status` says so. */
typedef struct sci_info {
    const sc_server *server;
    sci_bytes text;
    sc_status status;
} sci_info;

static void sci_info_add(sci_info *info, const char *format, ...) SC_PRINTF(2, 3);

static void sci_info_add(sci_info *info, const char *format, ...)
{
    char line[SCI_INFO_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(line, sizeof line, format, arguments);
    va_end(arguments);
    if (info->status == SC_OK)
        info->status = sci_bytes_append(&info->text, sc_bytes(line, len));
    if (info->status == SC_OK)
        info->status = sci_bytes_append(&info->text, sc_bytes("\r\n", 2));
}

/* "1.50M", as Redis writes sizes for people. */
static const char *sci_info_human(uint64_t bytes, char text[SCI_INFO_HUMAN_BYTES])
{
    static const char units[] = "KMGTP";
    size_t unit = 0;
    uint64_t size = 1024;
    if (bytes < size) {
        (void)sci_format(text, SCI_INFO_HUMAN_BYTES, "%lluB", (unsigned long long)bytes);
        return text;
    }
    for (; bytes / 1024 >= size && unit + 2 < sizeof units; unit++)
        size *= 1024;
    const uint64_t rest = (bytes % size * 100 + size / 2) / size;
    const uint64_t whole = bytes / size + rest / 100;
    (void)sci_format(text, SCI_INFO_HUMAN_BYTES, "%llu.%u%u%c", (unsigned long long)whole,
                     (unsigned)(rest % 100 / 10), (unsigned)(rest % 10), units[unit]);
    return text;
}

static void sci_info_size(sci_info *info, const char *name, uint64_t bytes)
{
    char human[SCI_INFO_HUMAN_BYTES];
    sci_info_add(info, "%s:%llu", name, (unsigned long long)bytes);
    sci_info_add(info, "%s_human:%s", name, sci_info_human(bytes, human));
}

static void sci_info_number(sci_info *info, const char *name, uint64_t number)
{
    sci_info_add(info, "%s:%llu", name, (unsigned long long)number);
}

/* --- Sections */

static void sci_info_server(sci_info *info)
{
    const sc_server *server = info->server;
    const sci_door *port = sci_server_door(server, false);
    const int64_t now_ms = sci_server_wall_ms(server);
    const int64_t up_s = sci_max_i64(now_ms - server->stats.started_ms, 0) / 1000;
    sci_info_add(info, "redis_version:%s", SCI_SERVER_REDIS_VERSION);
    sci_info_add(info, "server_name:smartcache");
    sci_info_add(info, "smartcache_version:%s", SC_VERSION_TEXT);
    sci_info_add(info, "redis_mode:standalone");
    sci_info_number(info, "arch_bits", sizeof(void *) * 8);
    sci_info_add(info, "run_id:%s", server->run_id);
    sci_info_add(info, "tcp_port:%u", port ? (unsigned)port->address.port : 0u);
    sci_info_add(info, "server_time_usec:%lld", (long long)now_ms * 1000);
    sci_info_add(info, "uptime_in_seconds:%lld", (long long)up_s);
    sci_info_add(info, "uptime_in_days:%lld", (long long)up_s / (24 * 60 * 60));
}

static void sci_info_clients(sci_info *info)
{
    const sc_server *server = info->server;
    size_t internal = 0, waiting = 0, tracking = 0;
    for (const sci_link *link = server->sessions.next; link != &server->sessions;
         link = link->next) {
        const sci_session *session = SCI_CONTAINER(link, sci_session, link);
        internal += session->is_internal;
        waiting += sci_wait_is_on(session);
        tracking += session->tracking.is_on;
    }
    sci_info_number(info, "connected_clients", server->session_count - internal);
    sci_info_add(info, "cluster_connections:0");
    sci_info_number(info, "maxclients", server->config.max_clients);
    sci_info_number(info, "blocked_clients", waiting);
    sci_info_number(info, "tracking_clients", tracking);
}

static void sci_info_memory(sci_info *info)
{
    const sc_server *server = info->server;
    sci_info_size(info, "used_memory", server->data.used);
    sci_info_size(info, "used_memory_peak", server->data.peak);
    sci_info_number(info, "used_memory_dataset", server->data.used);
    sci_info_size(info, "maxmemory", server->config.max_memory_bytes);
    sci_info_add(info, "maxmemory_policy:%s", sci_eviction_to_text(server->config.eviction));
    sci_info_add(info, "mem_allocator:sc_memory");
}

static void sci_info_persistence(sci_info *info)
{
    const sc_server *server = info->server;
    const char *words = NULL;
    const int64_t failed_ms = server->log ? sci_log_failed_ms(server->log, &words) : 0;
    sci_info_add(info, "loading:0");
    sci_info_add(info, "async_loading:0");
    sci_info_add(info, "rdb_changes_since_last_save:0");
    sci_info_add(info, "rdb_bgsave_in_progress:0");
    sci_info_add(info, "rdb_last_save_time:%lld", (long long)server->stats.saved_ms / 1000);
    sci_info_add(info, "rdb_last_bgsave_status:ok");
    sci_info_number(info, "aof_enabled", server->log != NULL);
    sci_info_number(info, "aof_rewrite_in_progress",
                    server->log && sci_log_is_rewriting(server->log));
    sci_info_add(info, "aof_rewrite_scheduled:0");
    sci_info_add(info, "aof_last_bgrewrite_status:ok");
    sci_info_add(info, "aof_last_write_status:%s", failed_ms ? "err" : "ok");
    if (!server->log)
        return;
    sci_info_number(info, "aof_current_size", sci_log_bytes(server->log));
    if (failed_ms)
        sci_info_add(info, "aof_last_write_error:%s", words);
}

static void sci_info_stats(sci_info *info)
{
    const sc_server *server = info->server;
    const sci_server_stats *stats = &server->stats;
    sci_info_number(info, "total_connections_received", stats->connections);
    sci_info_number(info, "total_commands_processed", stats->commands);
    sci_info_number(info, "total_net_input_bytes", stats->bytes_in);
    sci_info_number(info, "total_net_output_bytes", stats->bytes_out);
    sci_info_number(info, "rejected_connections", stats->rejected);
    sci_info_number(info, "expired_keys", stats->expired);
    sci_info_number(info, "evicted_keys", stats->evicted);
    sci_info_number(info, "keyspace_hits", stats->hits);
    sci_info_number(info, "keyspace_misses", stats->misses);
    sci_info_number(info, "pubsub_channels", server->channels[SCI_CHANNEL].count);
    sci_info_number(info, "pubsub_patterns", server->channels[SCI_PATTERN].count);
    sci_info_number(info, "pubsubshard_channels", server->channels[SCI_SHARD_CHANNEL].count);
}

static void sci_info_replication(sci_info *info)
{
    sci_info_add(info, "role:master");
    sci_info_add(info, "connected_slaves:0");
    sci_info_add(info, "master_failover_state:no-failover");
    sci_info_add(info, "master_replid:%s", info->server->run_id);
    sci_info_add(info, "master_repl_offset:0");
    sci_info_add(info, "repl_backlog_active:0");
}

static void sci_info_cluster(sci_info *info)
{
    sci_info_add(info, "cluster_enabled:0");
}

static int64_t sci_info_average_ttl(const sci_db *db, int64_t now_ms)
{
    const size_t step = db->expiry_count / SCI_INFO_TTL_SAMPLES + 1;
    int64_t sum = 0, samples = 0;
    for (size_t i = 0; i < db->expiry_count; i += step, samples++)
        sum += sci_min_i64(sci_max_i64(db->expiries[i].at_ms - now_ms, 0),
                           INT64_MAX / (2 * SCI_INFO_TTL_SAMPLES));
    return samples ? sum / samples : 0;
}

static void sci_info_keyspace(sci_info *info)
{
    const sc_server *server = info->server;
    for (int i = 0; i < server->db_count; i++) {
        const sci_db *db = &server->dbs[i];
        if (sci_db_count(db) > 0)
            sci_info_add(info, "db%d:keys=%zu,expires=%zu,avg_ttl=%lld", i, sci_db_count(db),
                         db->expiry_count,
                         (long long)sci_info_average_ttl(db, sci_server_wall_ms(server)));
    }
}

static void sci_info_nothing(sci_info *info)
{
    (void)info;
}

/* --- INFO */

typedef struct sci_info_section {
    const char *name; /* lower case */
    const char *title;
    void (*write_lines)(sci_info *info);
    bool is_extra; /* only where it is asked for, or all are */
} sci_info_section;

static const sci_info_section sci_info_sections[] = {
    {"server", "Server", sci_info_server, false},
    {"clients", "Clients", sci_info_clients, false},
    {"memory", "Memory", sci_info_memory, false},
    {"persistence", "Persistence", sci_info_persistence, false},
    {"stats", "Stats", sci_info_stats, false},
    {"replication", "Replication", sci_info_replication, false},
    {"modules", "Modules", sci_info_nothing, false},
    {"commandstats", "Commandstats", sci_info_nothing, true},
    {"errorstats", "Errorstats", sci_info_nothing, false},
    {"latencystats", "Latencystats", sci_info_nothing, true},
    {"cluster", "Cluster", sci_info_cluster, false},
    {"keyspace", "Keyspace", sci_info_keyspace, false},
};

static bool sci_info_is_asked(const sci_call *call, const sci_info_section *section)
{
    for (size_t i = 1; i < call->argc; i++) {
        const sc_slice word = call->argv[i];
        if (sci_word_is(word, section->name) || sci_word_is(word, "all") ||
            sci_word_is(word, "everything") || (!section->is_extra && sci_word_is(word, "default")))
            return true;
    }
    return call->argc == 1 && !section->is_extra;
}

static void sci_command_info(sci_call *call)
{
    sci_info info;
    info.server = call->server;
    info.status = SC_OK;
    sci_bytes_init(&info.text, &call->server->memory);
    for (size_t i = 0; i < SCI_COUNT(sci_info_sections); i++) {
        const sci_info_section *section = &sci_info_sections[i];
        if (!sci_info_is_asked(call, section))
            continue;
        if (sci_bytes_len(&info.text) > 0)
            sci_info_add(&info, "%s", "");
        sci_info_add(&info, "# %s", section->title);
        section->write_lines(&info);
    }
    if (info.status == SC_OK)
        sci_answer_bulk(call, sci_bytes_slice(&info.text));
    else
        sci_answer_no_memory(call);
    sci_bytes_free(&info.text);
}

/* --- MEMORY */

static void sci_memory_usage(sci_call *call)
{
    int64_t samples;
    for (size_t i = 3; i < call->argc; i += 2) {
        if (call->argc - i < 2 || !sci_word_is(call->argv[i], "samples")) {
            sci_answer_syntax_error(call);
            return;
        }
        if (!sci_arg_i64(call, i + 1, &samples))
            return;
        if (samples < 0) {
            sci_answer_syntax_error(call);
            return;
        }
    }
    /* A question of an administrator: the key is not used by it. */
    const sci_entry *entry = sci_db_find(call->db, call->argv[2]);
    if (entry)
        sci_answer_i64(call, (int64_t)sci_entry_bytes(entry));
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_memory_stats(sci_call *call)
{
    const sc_server *server = call->server;
    size_t keys = 0;
    for (int i = 0; i < server->db_count; i++)
        keys += sci_db_count(&server->dbs[i]);
    const struct {
        const char *name;
        size_t value;
    } numbers[] = {{"peak.allocated", server->data.peak},
                   {"total.allocated", server->data.used},
                   {"startup.allocated", 0},
                   {"keys.count", keys},
                   {"keys.bytes-per-key", keys ? server->data.used / keys : 0},
                   {"dataset.bytes", server->data.used}};
    sci_answer_array(call, 2 * SCI_COUNT(numbers));
    for (size_t i = 0; i < SCI_COUNT(numbers); i++) {
        sci_answer_text(call, numbers[i].name);
        sci_answer_i64(call, (int64_t)numbers[i].value);
    }
}

static void sci_memory_doctor(sci_call *call)
{
    sci_answer_text(call, "What is used is what the data take: INFO memory tells it.\n");
}

static void sci_memory_malloc_stats(sci_call *call)
{
    sci_answer_text(call, "The program's own allocator has no statistics here.\n");
}

static void sci_memory_help(sci_call *call)
{
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_memory_subcommands(void)
{
    static const sci_subcommand subcommands[] = {{"help", sci_memory_help, 2},
                                                 {"usage", sci_memory_usage, -3},
                                                 {"stats", sci_memory_stats, 2},
                                                 {"doctor", sci_memory_doctor, 2},
                                                 {"malloc-stats", sci_memory_malloc_stats, 2},
                                                 {"purge", sci_answer_ok, 2}};
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

SCI_PRIVATE sci_command_list sci_info_commands(void)
{
    static const sci_command commands[] = {
        {"info", sci_command_info, -1, SCI_CMD_LOADING | SCI_CMD_STALE, 0, 0, 0},
        {"memory", sci_subcommand_run, -2, SCI_CMD_READONLY | SCI_CMD_CONTAINER, 2, 2, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
