/* The public functions of a server: what its configuration means, opening, closing. */

#include "server/host.h"

#include "base/error.h"
#include "net/address.h"
#include "net/url.h"
#include "server/log.h"
#include "server/open.h"
#include "server/pubsub.h"
#include "server/session.h"

/* Longest URL of a place. */
#define SCI_PLACE_BYTES (3 * SC_PATH_BYTES + 16)

/* --- The list of places */

/* A place says where and nothing else. */
static sc_status sci_place_check(const sci_url *url, const char *text, const sc_listener *listener)
{
    const char *excess = NULL;
    if (url->user || url->password)
        excess = "user and password: set sc_server_config.password";
    else if (url->db != 0)
        excess = "database";
    else if (url->name || url->timeout_ms >= 0 || url->connect_timeout_ms >= 0)
        excess = "options";
    if (excess)
        return sc_fail(SC_ERR_URL, "sc_server_config.listen_on: \"%s\": a place has no %s", text,
                       excess);
    if (url->scheme == SCI_SCHEME_EMBEDDED)
        return sc_fail(SC_ERR_URL, "sc_server_config.listen_on: \"%s\" is no place", text);
    if (url->scheme == SCI_SCHEME_REDISS && !listener)
        return sc_fail(SC_ERR_UNSUPPORTED,
                       "sc_server_config.listen_on: rediss:// needs a listener of TLS: set "
                       "sc_server_config.listener");
    return SC_OK;
}

static sc_status sci_place_resolve(const sci_url *url, sc_address *address)
{
    if (url->scheme == SCI_SCHEME_UNIX)
        return sci_address_unix(url->path, address);
    const char *host = strcmp(url->host, "localhost") == 0 ? "127.0.0.1" : url->host;
    if (sci_address_parse(host, url->port, address))
        return SC_OK;
    return sc_fail(
        SC_ERR_URL,
        "sc_server_config.listen_on: \"%s\" is no numeric address: names are not looked up, "
        "but localhost",
        url->host);
}

static sc_status sci_place_parse(const sc_memory *memory, sc_slice word,
                                 const sc_server_config *config, sc_address *address)
{
    char text[SCI_PLACE_BYTES];
    sci_url url;
    if (word.len >= sizeof text)
        return sc_fail(SC_ERR_URL, "sc_server_config.listen_on: a place of %zu characters",
                       word.len);
    (void)sci_format(text, sizeof text, "%.*s", (int)word.len, word.data);
    sc_status status = sci_url_parse_place(memory, text, &url);
    if (status != SC_OK) {
        char why[SC_ERROR_TEXT_BYTES];
        (void)sci_format(why, sizeof why, "%s", sc_error_text());
        return sc_fail(status, "sc_server_config.listen_on: %s", why);
    }
    status = sci_place_check(&url, text, config->listener);
    if (status == SC_OK)
        status = sci_place_resolve(&url, address);
    sci_url_free(&url);
    return status;
}

static bool sci_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static sc_status sci_places_parse(const sc_memory *memory, const sc_server_config *config,
                                  sci_places *places)
{
    const char *at = config->listen_on ? config->listen_on : "";
    places->count = 0;
    for (;;) {
        while (sci_is_blank(*at))
            at++;
        const char *start = at;
        while (*at && !sci_is_blank(*at))
            at++;
        if (at == start)
            return SC_OK;
        if (places->count == SCI_HOST_DOORS)
            return sc_fail(SC_ERR_ARGUMENT, "sc_server_config.listen_on names more than %d places",
                           SCI_HOST_DOORS);
        sc_status status = sci_place_parse(memory, sc_bytes(start, (size_t)(at - start)), config,
                                           &places->at[places->count]);
        if (status != SC_OK)
            return status;
        places->count++;
    }
}

SCI_PRIVATE bool sci_place_is_public(const sc_address *address)
{
    static const uint8_t loopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (address->family == SC_FAMILY_IPV4)
        return address->ip[0] != 127;
    return address->family == SC_FAMILY_IPV6 &&
           memcmp(address->ip, loopback6, sizeof loopback6) != 0;
}

static sc_status sci_places_check(const sci_places *places, const sc_server_config *config)
{
    for (size_t i = 0; i < places->count; i++) {
        char text[SCI_ADDRESS_TEXT_BYTES];
        if (!sci_place_is_public(&places->at[i]) || (config->password && config->password[0]))
            continue;
        sci_address_to_text(&places->at[i], text);
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_server_config.listen_on: %s can be reached from other hosts: set "
                       "sc_server_config.password",
                       text);
    }
    return SC_OK;
}

/* --- Opening */

static sc_status sci_server_open_log(sc_server *server, const sc_server_config *config)
{
    sci_log_config log;
    sc_files files;
    if (!config->log_path)
        return SC_OK;
    if (config->files)
        files = *config->files;
    else if (!sc_platform_files(&files))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no files: set sc_server_config.files");
    log.path = config->log_path;
    log.sync = server->config.sync;
    log.repair = config->repair;
    log.rewrite_min_bytes = server->config.rewrite_min_bytes;
    log.files = &files;
    return sci_log_open(server, &log, &server->log);
}

static sc_status sci_server_set_notify(sc_server *server, const sc_server_config *config)
{
    sc_slice letters = sc_text(config->notify);
    if (sci_events_from_text(letters, &server->notified_events))
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT, "sc_server_config.notify is \"%s\"; it wants letters of \"%s\"",
                   config->notify, SCI_EVENT_LETTERS);
}

static sc_status sci_server_start(sc_server *server, const sc_server_config *config,
                                  const sci_places *places, sci_loop *loop)
{
    /* Without either, whoever brings commands sees to what is due. */
    bool needs_host = config->polled || config->log_path || places->count > 0;
    sc_status status = sci_server_set_notify(server, config);
    if (status == SC_OK)
        status = sci_server_open_log(server, config);
    if (status == SC_OK && needs_host)
        status = sci_host_create(server, config, loop);
    for (size_t i = 0; i < places->count && status == SC_OK; i++)
        status = sci_host_listen(server->host, &places->at[i]);
    if (status == SC_OK && needs_host && !config->polled)
        status = sci_host_start_thread(server->host);
    return status;
}

SCI_PRIVATE sc_status sci_server_open_at(const sc_server_config *config, const sci_places *places,
                                         sci_loop *loop, sc_server **server)
{
    sc_status status = sci_server_create(config, server);
    if (status != SC_OK)
        return status;
    sci_fork_guard_init(&(*server)->fork_guard);
    (*server)->has_fork_guard = true;
    status = sci_server_start(*server, config, places, loop);
    if (status != SC_OK) {
        char words[SC_ERROR_TEXT_BYTES];
        size_t len = sci_format(words, sizeof words, "%s", sc_error_text());
        sc_server_close(*server);
        *server = NULL;
        sci_error_text_set(words, len);
    }
    return status;
}

SC_API sc_status sc_server_open(const sc_server_config *config, sc_server **server)
{
    sc_server_config defaults;
    sci_places places;
    sc_memory memory;
    memset(&defaults, 0, sizeof defaults);
    *server = NULL;
    if (!config)
        config = &defaults;
    sc_status status = sci_server_take_memory(config, &memory);
    if (status == SC_OK)
        status = sci_places_parse(&memory, config, &places);
    if (status == SC_OK)
        status = sci_places_check(&places, config);
    return status == SC_OK ? sci_server_open_at(config, &places, NULL, server) : status;
}

SC_API void sc_server_close(sc_server *server)
{
    if (!server)
        return;
    sci_server_mind_fork(server);
    if (server->host)
        sci_host_free(server->host);
    sci_fork_guard_free(&server->fork_guard);
    if (!server->is_torn)
        sci_server_free(server);
}

SCI_PRIVATE void sci_server_after_fork(sc_server *server)
{
    server->is_torn |= !sci_mutex_try_lock(&server->lock);
    sci_mutex_init(&server->lock);
    sci_list_init(&server->ticker.minders);
    if (server->has_fork_guard)
        sci_fork_guard_reset(&server->fork_guard);
    while (!server->is_torn && !sci_list_is_empty(&server->sessions))
        sci_session_close(SCI_CONTAINER(server->sessions.next, sci_session, link));
    if (server->host)
        sci_host_abandon(server->host, !server->is_torn);
    server->host = NULL;
    if (server->log)
        sci_log_abandon(server->log, !server->is_torn);
    server->log = NULL;
}

SC_API sc_status sc_server_poll(sc_server *server, int64_t timeout_ms)
{
    sc_status status = SC_OK;
    sci_server_mind_fork(server);
    if (!server->host || server->host->has_thread)
        return sc_fail(SC_ERR_ARGUMENT, "the server is not polled: set sc_server_config.polled");
    sci_loop *loop = server->host->loop;
    int64_t wait_ns = timeout_ms < 0 || timeout_ms > INT64_MAX / SCI_SERVER_NS_PER_MS
                          ? -1
                          : timeout_ms * SCI_SERVER_NS_PER_MS;
    sci_loop_lock(loop);
    if (sci_loop_drive_begin(loop)) {
        status = sci_loop_step(loop, wait_ns);
        sci_loop_drive_end(loop);
    }
    sci_loop_unlock(loop);
    return status == SC_OK && sci_atomic_load_acquire(&server->is_stopped) ? SC_END : status;
}

SC_API void sc_server_stop(sc_server *server)
{
    sci_atomic_store_release(&server->is_stopped, 1);
    if (server->host)
        sci_loop_interrupt(server->host->loop);
}

SC_API const char *sc_server_url(const sc_server *server, size_t index)
{
    return server->host && index < server->host->door_count ? server->host->doors[index].url : NULL;
}

SC_API void sc_server_info_get(sc_server *server, sc_server_info *info)
{
    const sci_server_stats *stats = &server->stats;
    memset(info, 0, sizeof *info);
    sci_server_mind_fork(server);
    sci_mutex_lock(&server->lock);
    for (int i = 0; i < server->db_count; i++)
        info->keys += sci_db_count(&server->dbs[i]);
    info->memory_bytes = server->data.used;
    info->clients = server->session_count;
    info->connections = stats->connections;
    info->commands = stats->commands;
    info->hits = stats->hits;
    info->misses = stats->misses;
    info->expired = stats->expired;
    info->evicted = stats->evicted;
    if (server->log) {
        info->log_bytes = sci_log_bytes(server->log);
        info->log_error_ms = sci_log_failed_ms(server->log, NULL);
    }
    sci_mutex_unlock(&server->lock);
}
