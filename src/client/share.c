/* The server that the processes of a host share. */

#include "client/share.h"

#include "base/error.h"
#include "net/address.h"
#include "net/posix_private.h"
#include "server/pipe.h"

/* What is put after the url's path. */
#define SCI_SHARE_SOCKET ".sock"
#define SCI_SHARE_LOG ".log"

/* A stream of either kind. */
typedef struct sci_share_stream {
    sc_memory memory;
    const sc_transport *table;
    void *inner; /* owned */
} sci_share_stream;

/* --- Where */

static void sci_share_free(sci_share *share)
{
    sc_memory memory = share->memory;
    sci_free_text(&memory, share->log_path);
    sci_free(&memory, share, sizeof *share);
}

/* The paths beside the url's. */
static sc_status sci_share_place(sci_share *share, const char *path)
{
    char socket_path[SC_PATH_BYTES];
    size_t len = strlen(path);
    if (len + sizeof SCI_SHARE_SOCKET > sizeof socket_path)
        return sc_fail(SC_ERR_URL,
                       "embedded:%.*s: with \"" SCI_SHARE_SOCKET
                       "\" the path is too long for a Unix socket, at most %d bytes are possible",
                       (int)sci_min_size(len, SC_PATH_BYTES), path,
                       SC_PATH_BYTES - (int)sizeof SCI_SHARE_SOCKET);
    (void)sci_format(socket_path, sizeof socket_path, "%s" SCI_SHARE_SOCKET, path);
    share->places.count = 1;
    share->log_path = (char *)sci_resize(&share->memory, NULL, 0, len + sizeof SCI_SHARE_LOG);
    if (!share->log_path)
        return SC_ERR_MEMORY;
    (void)sci_format(share->log_path, len + sizeof SCI_SHARE_LOG, "%s" SCI_SHARE_LOG, path);
    return sci_address_unix(socket_path, &share->places.at[0]);
}

static const char *sci_share_socket(const sci_share *share)
{
    return share->places.at[0].path;
}

#ifndef SMARTCACHE_NO_POSIX

/* Nobody but this user, and root, can have put anything there. */
static sc_status sci_share_check(const sci_share *share)
{
    sc_status status = sci_posix_check_folder(sci_share_socket(share));
    if (status == SC_OK)
        status = sci_posix_check_owner(sci_share_socket(share));
    if (status == SC_OK)
        status = sci_posix_check_owner(share->log_path);
    return status;
}

static sc_status sci_share_check_peer(const sci_share *share, sc_descriptor descriptor)
{
    return sci_posix_check_peer(descriptor, sci_share_socket(share));
}

#else

static sc_status sci_share_check(const sci_share *share)
{
    return sc_fail(SC_ERR_UNSUPPORTED,
                   "%s: a server is shared by Unix sockets, which this build does not have "
                   "(SMARTCACHE_NO_POSIX)",
                   sci_share_socket(share));
}

static sc_status sci_share_check_peer(const sci_share *share, sc_descriptor descriptor)
{
    (void)share;
    (void)descriptor;
    return SC_OK;
}

#endif

SCI_PRIVATE sc_status sci_share_open(sc_client *client, const sc_server_config *config,
                                     sci_share **share)
{
    sci_share *self = (sci_share *)sci_alloc_zeroed(&client->memory, sizeof *self);
    if (!self)
        return SC_ERR_MEMORY;
    self->client = client;
    self->memory = client->memory;
    self->config = *config;
    self->clock = *config->clock;
    self->config.clock = &self->clock;
    (void)sc_platform_transport(&self->outer);
    sc_status status = sci_share_place(self, client->url.path);
    if (status == SC_OK)
        status = sci_share_check(self);
    if (status != SC_OK) {
        sci_share_free(self);
        return status;
    }
    self->config.log_path = self->log_path;
#ifdef SMARTCACHE_NO_THREADS
    self->config.polled = true;
#endif
    *share = self;
    return SC_OK;
}

/* --- Becoming the server */

static sc_status sci_share_become(sci_share *share, sci_loop *loop, sc_server **server)
{
    sc_status status = sci_share_check(share);
    if (status == SC_OK)
        status = sci_server_open_at(&share->config, &share->places, loop, server);
    if (status == SC_HELD)
        sci_error_text_add(", and does not listen at %s: it loads the log, or is stuck, or is gone "
                           "while a process that it forked keeps the lock",
                           sci_share_socket(share));
    return status;
}

static void *sci_share_run(void *argument)
{
    sci_share *share = (sci_share *)argument;
    share->status = sci_share_become(share, NULL, &share->opened);
    (void)sci_format(share->words, sizeof share->words, "%s", sc_error_text());
    sci_atomic_store_release(&share->is_done, 1);
    return NULL;
}

/* Take what the thread has done. SC_HELD: it is at it. */
static sc_status sci_share_harvest(sci_share *share)
{
    if (!sci_atomic_load_acquire(&share->is_done))
        return sc_fail(SC_HELD, "%s: the log is being loaded", share->log_path);
    sci_thread_join(&share->thread);
    share->has_thread = false;
    share->server = share->opened;
    share->opened = NULL;
    (void)sci_format(share->held, sizeof share->held, "%s",
                     share->status == SC_HELD ? share->words : "");
    if (share->status != SC_OK)
        sci_error_text_set(share->words, strlen(share->words));
    return share->status;
}

/* Nobody serves. SC_OK: this process does now; SC_HELD: somebody will. */
static sc_status sci_share_take_over(sci_share *share)
{
    if (share->has_thread)
        return sci_share_harvest(share);
    sci_atomic_store_relaxed(&share->is_done, 0);
    share->has_thread =
        !share->config.polled && sci_thread_start(&share->thread, sci_share_run, share) == SC_OK;
    if (share->has_thread)
        return sc_fail(SC_HELD, "%s", share->held[0] ? share->held : "about to serve");
    if (!share->config.polled)
        return SC_ERR_MEMORY;
    return sci_share_become(share, &share->client->loop, &share->server);
}

/* --- Streams */

static sc_status sci_share_dial_inside(sci_share *share, void **stream)
{
    sci_pipe_transport(&share->inside, share->server);
    return share->inside.dial(share->server, &share->memory, &share->places.at[0], NULL, stream);
}

/* SC_ERR_CONNECT: nobody is there. */
static sc_status sci_share_dial_socket(sci_share *share, void **stream)
{
    const sc_transport *table = &share->outer;
    sc_status status = table->dial(table->user, &share->memory, &share->places.at[0], NULL, stream);
    if (status != SC_OK)
        return status;
    status = sci_share_check_peer(share, table->descriptor(*stream));
    if (status == SC_OK)
        return SC_OK;
    table->hangup(*stream, true);
    return SC_ERR_IO;
}

/* After SHUTDOWN this process serves no more, until somebody dials again. */
static sc_status sci_share_mind_stop(sci_share *share)
{
    sc_server *server = share->server;
    if (!server || !sci_atomic_load_acquire(&server->is_stopped))
        return SC_OK;
    sci_mutex_lock(&server->lock);
    bool is_idle = sci_list_is_empty(&server->sessions);
    sci_mutex_unlock(&server->lock);
    if (!is_idle)
        return sc_fail(SC_HELD, "%s: the server is being stopped", sci_share_socket(share));
    sc_server_close(server);
    share->server = NULL;
    return SC_OK;
}

static sc_status sci_share_dial_inner(sci_share *share, sci_share_stream *stream)
{
    sc_status status = sci_share_mind_stop(share);
    if (status != SC_OK)
        return status;
    if (!share->server && !share->has_thread) {
        status = sci_share_check(share);
        if (status != SC_OK)
            return status;
        stream->table = &share->outer;
        status = sci_share_dial_socket(share, &stream->inner);
        if (status != SC_ERR_CONNECT)
            return status;
    }
    if (!share->server)
        status = sci_share_take_over(share);
    if (status != SC_OK)
        return status;
    stream->table = &share->inside;
    return sci_share_dial_inside(share, &stream->inner);
}

static sc_status sci_share_dial(void *user, const sc_memory *memory, const sc_address *address,
                                const char *host, void **stream)
{
    sci_share *share = (sci_share *)user;
    (void)address;
    (void)host;
    *stream = NULL;
    sci_share_stream *self = (sci_share_stream *)sci_alloc_zeroed(memory, sizeof *self);
    if (!self)
        return SC_ERR_MEMORY;
    self->memory = *memory;
    sc_status status = sci_share_dial_inner(share, self);
    if (status != SC_OK) {
        sci_free(memory, self, sizeof *self);
        return status;
    }
    *stream = self;
    return SC_OK;
}

static sc_status sci_share_progress(void *stream, unsigned *interest)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    sc_status status = self->table->progress(self->inner, interest);
    return status == SC_ERR_CONNECT ? SC_HELD : status; /* who served is gone: dial again */
}

static sc_status sci_share_transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    return self->table->transmit(self->inner, data, len, sent);
}

static sc_status sci_share_receive(void *stream, void *buffer, size_t cap, size_t *received)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    return self->table->receive(self->inner, buffer, cap, received);
}

static sc_status sci_share_receive_soon(void *stream, void *buffer, size_t cap, size_t *received)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    if (!self->table->receive_soon)
        return self->table->receive(self->inner, buffer, cap, received);
    return self->table->receive_soon(self->inner, buffer, cap, received);
}

static bool sci_share_pending(void *stream)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    return self->table->pending && self->table->pending(self->inner);
}

static sc_descriptor sci_share_descriptor(void *stream)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    return self->table->descriptor(self->inner);
}

static void sci_share_attend(void *stream, void (*ready)(void *user), void *user)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    if (self->table->attend)
        self->table->attend(self->inner, ready, user);
}

static void sci_share_hangup(void *stream, bool orderly)
{
    sci_share_stream *self = (sci_share_stream *)stream;
    sc_memory memory = self->memory;
    self->table->hangup(self->inner, orderly);
    sci_free(&memory, self, sizeof *self);
}

SCI_PRIVATE void sci_share_transport(sci_share *share, sc_transport *table)
{
    memset(table, 0, sizeof *table);
    table->user = share;
    table->dial = sci_share_dial;
    table->progress = sci_share_progress;
    table->transmit = sci_share_transmit;
    table->receive = sci_share_receive;
    table->receive_soon = sci_share_receive_soon;
    table->pending = sci_share_pending;
    table->descriptor = sci_share_descriptor;
    table->hangup = sci_share_hangup;
    table->attend = sci_share_attend;
}

/* --- The end */

SCI_PRIVATE void sci_share_close(sci_share *share)
{
    if (!share)
        return;
    if (share->has_thread) {
        sci_thread_join(&share->thread);
        share->server = share->opened;
    }
    bool is_guest = share->server && share->server->host && !share->server->host->has_own_loop;
    if (is_guest)
        sci_loop_lock(&share->client->loop);
    sc_server_close(share->server);
    if (is_guest)
        sci_loop_unlock(&share->client->loop);
    sci_share_free(share);
}

SCI_PRIVATE void sci_share_after_fork(sci_share *share)
{
    share->has_thread = false;
    share->opened = NULL;
    if (share->server)
        sc_server_close(share->server); /* it notices the fork */
    share->server = NULL;
}
