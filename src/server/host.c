/* A server's loop, its thread, and the places where it listens. */

#include "server/host.h"

#include "base/error.h"
#include "net/address.h"
#include "server/log.h"
#include "server/session.h"

/* How long the thread pauses when its poller has failed. */
#define SCI_HOST_PAUSE_NS (10 * (int64_t)SCI_SERVER_NS_PER_MS)

/* The log first: who is cut off may want to serve in this one's place, and finds the log free, and
   then nobody who listens. */
static void sci_host_end_service(sci_host *host)
{
    sc_server *server = host->server;
    sci_mutex_lock(&server->lock);
    if (server->log)
        sci_log_close(server->log);
    server->log = NULL;
    sci_mutex_unlock(&server->lock);
    for (size_t i = 0; i < host->door_count; i++) {
        sci_timer_cancel(host->loop, &host->doors[i].pause);
        if (host->doors[i].listener)
            sci_watch_retire(host->loop, &host->doors[i].watch);
    }
    sci_visits_end(host);
}

/* The server was stopped: from now on nobody, clients in the process included, has anything executed.
 */
static void sci_host_stop(sci_host *host)
{
    sc_server *server = host->server;
    host->is_stopping = true;
    sci_mutex_lock(&server->lock);
    for (sci_link *link = server->sessions.next; link != &server->sessions; link = link->next) {
        sci_session *session = SCI_CONTAINER(link, sci_session, link);
        sci_session_end(session);
        sci_session_notify(session);
    }
    sci_mutex_unlock(&server->lock);
    sci_host_end_service(host);
}

static void sci_host_turn(sci_hook *hook)
{
    sci_host *host = SCI_CONTAINER(hook, sci_host, hook);
    sci_visits_turn(host);
    if (!host->is_stopping && sci_atomic_load_acquire(&host->server->is_stopped))
        sci_host_stop(host);
}

static sc_status sci_host_own_loop(sci_host *host, const sc_server_config *config)
{
    sc_poller poller;
    if (config->poller)
        poller = *config->poller;
    else if (!sc_platform_poller(&poller))
        return sc_fail(SC_ERR_ARGUMENT, "this build has no poller: set sc_server_config.poller");
    sc_status status = sci_loop_init(&host->own, &host->memory, &host->server->clock, &poller);
    host->has_own_loop = status == SC_OK;
    host->loop = &host->own;
    return status;
}

SCI_PRIVATE sc_status sci_host_create(sc_server *server, const sc_server_config *config,
                                      sci_loop *loop)
{
    sci_host *host = (sci_host *)sci_alloc_zeroed(&server->memory, sizeof *host);
    if (!host)
        return SC_ERR_MEMORY;
    host->server = server;
    host->memory = server->memory;
    host->loop = loop;
    host->hook.run = sci_host_turn;
    sci_list_init(&host->visits);
    sci_list_init(&host->due);
    sc_status status = loop ? SC_OK : sci_host_own_loop(host, config);
    if (status != SC_OK) {
        sci_free(&host->memory, host, sizeof *host);
        return status;
    }
    if (config->listener)
        host->table = *config->listener;
    else
        (void)sc_platform_listener(&host->table); /* missing where something is to listen */
    sci_minder_begin(&host->minder, server, host->loop);
    sci_hook_add(host->loop, &host->hook);
    server->host = host;
    return SC_OK;
}

/* --- Places */

static bool sci_path_is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || sci_is_digit(c) ||
           memchr("/-._~", c, 5) != NULL;
}

static char *sci_door_make_url(const sc_memory *memory, const sc_address *address)
{
    char text[SCI_ADDRESS_TEXT_BYTES];
    char url[3 * SC_PATH_BYTES + 16];
    size_t len;
    sci_address_to_text(address, text);
    if (address->family != SC_FAMILY_UNIX) {
        len = sci_format(url, sizeof url, "redis://%s", text);
        return sci_copy_text(memory, sc_bytes(url, len));
    }
    len = sci_format(url, sizeof url, "unix://");
    for (const char *at = text; *at; at++) {
        if (sci_path_is_plain(*at))
            url[len++] = *at;
        else
            len += sci_format(url + len, sizeof url - len, "%%%x%x", (unsigned char)*at >> 4,
                              (unsigned char)*at & 15u);
    }
    return sci_copy_text(memory, sc_bytes(url, len));
}

static void sci_door_release(sci_watch *watch)
{
    sci_door *door = SCI_CONTAINER(watch, sci_door, watch);
    door->host->table.shut(door->listener, true);
    door->listener = NULL;
}

SCI_PRIVATE sc_status sci_host_listen(sci_host *host, const sc_address *address)
{
    sci_door *door = &host->doors[host->door_count];
    sci_assert(host->door_count < SCI_HOST_DOORS);
    if (!host->table.open)
        return sc_fail(SC_ERR_ARGUMENT,
                       "this build has no listener: set sc_server_config.listener");
    if (!host->buffer)
        host->buffer = (char *)sci_resize(&host->memory, NULL, 0, SCI_HOST_RECEIVE_BYTES);
    if (!host->buffer)
        return SC_ERR_MEMORY;
    door->host = host;
    door->address = *address;
    sc_status status =
        host->table.open(host->table.user, &host->memory, &door->address, &door->listener);
    if (status != SC_OK)
        return status;
    door->url = sci_door_make_url(&host->memory, &door->address);
    if (!door->url) {
        host->table.shut(door->listener, true);
        door->listener = NULL;
        return SC_ERR_MEMORY;
    }
    host->door_count++;
    door->watch.descriptor = host->table.descriptor(door->listener);
    door->watch.settle = sci_door_settle;
    door->watch.release = sci_door_release;
    sci_watch_add(host->loop, &door->watch);
    sci_watch_want(host->loop, &door->watch, SC_READABLE);
    return SC_OK;
}

/* --- The thread */

static void *sci_host_run(void *argument)
{
    sci_host *host = (sci_host *)argument;
    sci_gate pause;
    sci_gate_init(&pause);
    sci_loop_lock(host->loop);
    while (!host->is_stopping) {
        sc_status status = SC_OK;
        if (sci_loop_drive_begin(host->loop)) {
            status = sci_loop_step(host->loop, -1);
            sci_loop_drive_end(host->loop);
        }
        if (status == SC_OK)
            continue;
        sci_loop_unlock(host->loop);
        sci_gate_wait(&pause, sci_gate_ticket(&pause), SCI_HOST_PAUSE_NS);
        sci_loop_lock(host->loop);
    }
    sci_loop_unlock(host->loop);
    sci_gate_free(&pause);
    return NULL;
}

SCI_PRIVATE sc_status sci_host_start_thread(sci_host *host)
{
    sc_status status = sci_thread_start(&host->thread, sci_host_run, host);
    host->has_thread = status == SC_OK;
    return status;
}

static void sci_host_stop_thread(sci_host *host)
{
    if (!host->has_thread)
        return;
    sci_loop_lock(host->loop);
    host->is_stopping = true;
    sci_loop_wake(host->loop);
    sci_loop_unlock(host->loop);
    sci_thread_join(&host->thread);
    host->has_thread = false;
}

/* --- The end */

static void sci_host_free_block(sci_host *host)
{
    sc_memory memory = host->memory;
    for (size_t i = 0; i < host->door_count; i++)
        sci_free_text(&memory, host->doors[i].url);
    sci_free(&memory, host->buffer, host->buffer ? SCI_HOST_RECEIVE_BYTES : 0);
    host->server->host = NULL;
    sci_free(&memory, host, sizeof *host);
}

SCI_PRIVATE void sci_host_free(sci_host *host)
{
    sci_host_stop_thread(host);
    if (host->has_own_loop)
        sci_loop_lock(host->loop);
    sci_host_end_service(host);
    sci_hook_remove(&host->hook);
    sci_minder_end(&host->minder);
    if (host->has_own_loop) {
        sci_loop_unlock(host->loop);
        sci_loop_free(&host->own);
    }
    sci_host_free_block(host);
}

SCI_PRIVATE void sci_host_abandon(sci_host *host, bool is_intact)
{
    for (size_t i = 0; i < host->door_count; i++)
        host->table.shut(host->doors[i].listener, false);
    for (sci_link *link = host->visits.next, *next; link != &host->visits; link = next) {
        sci_visit *visit = SCI_CONTAINER(link, sci_visit, link);
        next = link->next;
        host->table.streams.hangup(visit->stream, false);
        if (is_intact)
            sci_free(&host->memory, visit, sizeof *visit);
    }
    if (host->has_own_loop)
        host->own.poller_table.destroy(host->own.poller);
    if (is_intact)
        sci_host_free_block(host);
}

SCI_PRIVATE const sci_door *sci_server_door(const sc_server *server, bool is_unix)
{
    const sci_host *host = server->host;
    for (size_t i = 0; host && i < host->door_count; i++)
        if ((host->doors[i].address.family == SC_FAMILY_UNIX) == is_unix)
            return &host->doors[i];
    return NULL;
}
