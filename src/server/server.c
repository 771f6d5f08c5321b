/* The server as a whole: making it, and what time brings. */

#include "server/server.h"

#include "base/error.h"
#include "base/platform.h"
#include "server/dispatch.h"
#include "server/evict.h"
#include "server/log.h"
#include "server/pubsub.h"
#include "server/pause.h"
#include "server/session.h"
#include "server/tracking.h"
#include "server/wait.h"

#define SCI_SERVER_DATABASES 16
#define SCI_SERVER_CLIENTS 10000
#define SCI_SERVER_BULK_BYTES ((size_t)512 << 20)
#define SCI_SERVER_REQUEST_BYTES ((size_t)1 << 30)
#define SCI_SERVER_OUTPUT_BYTES ((size_t)64 << 20)
#define SCI_SERVER_REWRITE_BYTES ((size_t)64 << 20)
/* What a tick may take of expiry and of tidying before it lets others in. */
#define SCI_SERVER_SLICE_NS 1000000
#define SCI_SERVER_TIDY_STEPS 128

SCI_PRIVATE void sci_server_log(sc_server *server, sc_log_level level, const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    if (!server->logger.write_line || level > server->logger.level)
        return;
    va_start(arguments, format);
    (void)sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    server->logger.write_line(server->logger.user, level, text);
}

/* xorshift128+ (Vigna, "Further scramblings of Marsaglia's xorshift generators", 2014): for samples
   and SRANDMEMBER, no secret. */
SCI_PRIVATE uint64_t sci_random_u64(sc_server *server)
{
    uint64_t a = server->random_state[0];
    const uint64_t b = server->random_state[1];
    server->random_state[0] = b;
    a ^= a << 23;
    server->random_state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return server->random_state[1] + b;
}

SCI_PRIVATE size_t sci_random_below(sc_server *server, size_t bound)
{
    sci_assert(bound > 0);
    return (size_t)(sci_random_u64(server) % bound);
}

/* The tables that were given, or the platform's. */
static sc_status sci_server_take_tables(sc_server *server, const sc_server_config *config,
                                        sc_random *random)
{
    if (config->clock)
        server->clock = *config->clock;
    else if (!sci_platform_clock(&server->clock))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no clock: set sc_server_config.clock");
    if (config->random)
        *random = *config->random;
    else if (!sci_platform_random(random))
        return sc_fail(SC_ERR_ARGUMENT,
                       "this build has no random numbers: set sc_server_config.random");
    if (config->logger)
        server->logger = *config->logger;
    if (server->logger.level == 0)
        server->logger.level = SC_LOG_WARNING;
    return SC_OK;
}

static size_t sci_server_or(size_t chosen, size_t standard)
{
    return chosen ? chosen : standard;
}

static sc_status sci_server_resolve(sc_server *server)
{
    sc_server_config *config = &server->config;
    if (config->databases < 0 || config->databases > SCI_SERVER_CLIENTS)
        return sc_fail(SC_ERR_ARGUMENT, "sc_server_config.databases is %d, not between 1 and %d",
                       config->databases, SCI_SERVER_CLIENTS);
    if ((unsigned)config->eviction > (unsigned)SC_EVICTION_VOLATILE_TTL)
        return sc_fail(SC_ERR_ARGUMENT, "sc_server_config.eviction is %d, which is no policy",
                       (int)config->eviction);
    if ((unsigned)config->sync > (unsigned)SC_SYNC_NEVER)
        return sc_fail(SC_ERR_ARGUMENT, "sc_server_config.sync is %d, which is no sc_sync",
                       (int)config->sync);
    if (config->databases == 0)
        config->databases = SCI_SERVER_DATABASES;
    config->max_clients = sci_server_or(config->max_clients, SCI_SERVER_CLIENTS);
    config->max_bulk_bytes = sci_server_or(config->max_bulk_bytes, SCI_SERVER_BULK_BYTES);
    config->max_bulk_bytes = sci_min_size(config->max_bulk_bytes, (size_t)UINT32_MAX / 2);
    config->max_request_bytes = sci_server_or(config->max_request_bytes, SCI_SERVER_REQUEST_BYTES);
    config->max_output_bytes = sci_server_or(config->max_output_bytes, SCI_SERVER_OUTPUT_BYTES);
    config->rewrite_min_bytes = sci_server_or(config->rewrite_min_bytes, SCI_SERVER_REWRITE_BYTES);
    return SC_OK;
}

static sc_status sci_server_make_dbs(sc_server *server)
{
    int count = server->config.databases;
    server->dbs = (sci_db *)sci_alloc_zeroed(&server->memory, (size_t)count * sizeof(sci_db));
    if (!server->dbs)
        return SC_ERR_MEMORY;
    server->db_count = count;
    for (int i = 0; i < count; i++)
        sci_db_init(&server->dbs[i], &server->data.table, server->hash_seed, i);
    return SC_OK;
}

/* A name for this run, as INFO tells it. */
static void sci_server_make_id(sc_server *server)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < SCI_SERVER_ID_BYTES - 1; i++, bits >>= 4) {
        if (i % 16 == 0)
            bits = sci_random_u64(server);
        server->run_id[i] = "0123456789abcdef"[bits & 15];
    }
}

static sc_status sci_server_fill(sc_server *server, const sc_server_config *config)
{
    sc_random random = {NULL, NULL};
    uint64_t seeds[4];
    sc_status status = sci_server_take_tables(server, config, &random);
    if (status == SC_OK)
        status = sci_server_resolve(server);
    if (status == SC_OK)
        status = random.fill(random.user, seeds, sizeof seeds);
    if (status != SC_OK)
        return status;
    server->hash_seed.k0 = seeds[0];
    server->hash_seed.k1 = seeds[1];
    server->random_state[0] = seeds[2] | 1; /* a state of zeros would stay one */
    server->random_state[1] = seeds[3];
    server->now_ms = sci_server_wall_ms(server);
    server->stats.started_ms = server->stats.saved_ms = server->now_ms;
    sci_server_make_id(server);
    sci_map_init(&server->waits, &server->memory, server->hash_seed);
    sci_map_init(&server->watched, &server->memory, server->hash_seed);
    for (int kind = 0; kind < SCI_CHANNEL_KINDS; kind++)
        sci_map_init(&server->channels[kind], &server->memory, server->hash_seed);
    sci_map_init(&server->sessions_by_id, &server->memory, server->hash_seed);
    sci_command_index_init(server);
    sci_script_names_init(server);
    if (config->password && config->password[0]) {
        server->password = sci_copy_text(&server->memory, sc_text(config->password));
        if (!server->password)
            return SC_ERR_MEMORY;
    }
    return sci_server_make_dbs(server);
}

SCI_PRIVATE sc_status sci_server_take_memory(const sc_server_config *config, sc_memory *memory)
{
    if (config->memory)
        *memory = *config->memory;
    else if (!sci_platform_memory(memory))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no memory: set sc_server_config.memory");
    return SC_OK;
}

SCI_PRIVATE sc_status sci_server_create(const sc_server_config *config, sc_server **server)
{
    sc_server_config none;
    sc_memory memory;
    *server = NULL;
    memset(&none, 0, sizeof none);
    if (!config)
        config = &none;
    sc_status status = sci_server_take_memory(config, &memory);
    if (status != SC_OK)
        return status;
    sc_server *created = (sc_server *)sci_alloc_zeroed(&memory, sizeof *created);
    if (!created)
        return SC_ERR_MEMORY;
    created->memory = memory;
    created->config = *config;
    sci_counted_init(&created->data, &memory);
    sci_list_init(&created->sessions);
    sci_list_init(&created->ready_keys);
    sci_list_init(&created->resumed);
    sci_list_init(&created->writers);
    sci_list_init(&created->pause.held);
    sci_bytes_init(&created->unheard, &memory);
    sci_list_init(&created->patterns);
    sci_list_init(&created->prefixes);
    sci_list_init(&created->changed_prefixes);
    sci_ticker_init(&created->ticker);
    sci_mutex_init(&created->lock);
    status = sci_server_fill(created, config);
    if (status != SC_OK) {
        sci_server_free(created);
        return status;
    }
    *server = created;
    return SC_OK;
}

SCI_PRIVATE void sci_server_free(sc_server *server)
{
    sc_memory memory = server->memory;
    while (!sci_list_is_empty(&server->sessions))
        sci_session_close(SCI_CONTAINER(server->sessions.next, sci_session, link));
    if (server->log)
        sci_log_close(server->log);
    for (int i = 0; i < server->db_count; i++)
        sci_db_clear(&server->dbs[i]);
    sci_free(&memory, server->dbs, (size_t)server->db_count * sizeof(sci_db));
    sci_bytes_free(&server->unheard);
    sci_map_free(&server->waits);
    sci_map_free(&server->watched);
    for (int kind = 0; kind < SCI_CHANNEL_KINDS; kind++)
        sci_map_free(&server->channels[kind]);
    sci_tracking_forget_keys(server);
    sci_map_free(&server->sessions_by_id);
    sci_free_secret_text(&memory, server->password);
    sci_mutex_free(&server->lock);
    sci_free(&memory, server, sizeof *server);
}

/* --- Time */

static int64_t sci_server_expire(sc_server *server, int64_t now_ns)
{
    if (server->is_expiry_lazy)
        return INT64_MAX;
    if (sci_pause_is_on(server))
        return INT64_MAX; /* nothing goes meanwhile */
    int64_t delay_ms = sci_expire_slice(server, SCI_SERVER_SLICE_NS);
    if (delay_ms < 0)
        return INT64_MAX;
    if (delay_ms > (INT64_MAX - now_ns) / SCI_SERVER_NS_PER_MS)
        return INT64_MAX;
    return now_ns + delay_ms * SCI_SERVER_NS_PER_MS;
}

static int64_t sci_server_tidy(sc_server *server, int64_t now_ns)
{
    bool has_more = false;
    for (int i = 0; i < server->db_count; i++)
        has_more |= sci_db_tidy(&server->dbs[i], SCI_SERVER_TIDY_STEPS);
    return has_more ? now_ns : INT64_MAX;
}

static bool sci_session_is_idle(const sci_session *session)
{
    const sc_server *server = session->server;
    return !session->is_internal && !session->is_ended && !sci_wait_is_on(session) &&
           !sci_pubsub_is_subscribed(session) &&
           (server->now_ms - session->active_ms) / 1000 > server->idle_timeout_s;
}

/* Once a second, end those that ask for nothing. */
static int64_t sci_server_end_idle(sc_server *server, int64_t now_ns)
{
    if (server->idle_timeout_s == 0)
        return INT64_MAX;
    if (now_ns < server->idle_look_ns)
        return server->idle_look_ns;
    for (sci_link *link = server->sessions.next; link != &server->sessions; link = link->next) {
        sci_session *session = SCI_CONTAINER(link, sci_session, link);
        if (sci_session_is_idle(session)) {
            sci_session_end(session);
            sci_session_notify(session);
        }
    }
    server->idle_look_ns = now_ns + 1000 * (int64_t)SCI_SERVER_NS_PER_MS;
    return server->idle_look_ns;
}

SCI_PRIVATE int64_t sci_server_tick(sc_server *server)
{
    int64_t now_ns = sci_server_now_ns(server);
    server->now_ms = sci_server_wall_ms(server);
    int64_t due_ns = sci_server_expire(server, now_ns);
    sci_wait_expire(server, now_ns);
    const sci_heap_node *timeout = sci_heap_first(&server->timeouts);
    if (timeout)
        due_ns = sci_min_i64(due_ns, timeout->key);
    due_ns = sci_min_i64(due_ns, sci_pause_tick(server, now_ns));
    due_ns = sci_min_i64(due_ns, sci_server_tidy(server, now_ns));
    due_ns = sci_min_i64(due_ns, sci_server_end_idle(server, now_ns));
    if (server->log)
        due_ns = sci_min_i64(due_ns, sci_log_tick(server->log, now_ns));
    return due_ns;
}

SCI_PRIVATE void sci_server_commit(sc_server *server)
{
    sci_tracking_tell_prefixes(server);
    if (!server->log)
        return;
    sc_status status = sci_log_commit(server->log);
    for (sci_link *link; (link = sci_list_take_first(&server->writers)) != NULL;) {
        sci_session *session = SCI_CONTAINER(link, sci_session, writer);
        if (status == SC_OK)
            continue;
        session->is_broken = true; /* nobody may take a lost write for done */
        sci_session_end(session);
        sci_session_notify(session);
    }
}
