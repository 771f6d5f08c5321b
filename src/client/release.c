/* Giving up what a client holds when the process ends. */

#include "api/signal.h"

#include "base/error.h"
#include "client/conn.h"
#include "net/posix_signal.h"

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_THREADS)

/* Owned by the client's list. */
typedef struct sci_release {
    sci_signal_hook signal_hook;
    sci_close_hook close_hook;
    sc_client *client;
} sci_release;

static void sci_release_retain(void *owner)
{
    sci_client_retain((sc_client *)owner);
}

static void sci_release_give_up(void *owner)
{
    sc_client *client = (sc_client *)owner;
    if (sci_client_enter(client) == SC_OK) {
        (void)sci_client_say_last_words(client);
        sci_client_leave(client);
    }
    sci_client_release(client);
}

/* Not only until it is sent: see sci_client_say_last_words. */
static void sci_release_await(void *owner, int64_t *left_ms)
{
    sc_client *client = (sc_client *)owner;
    if (*left_ms > 0 && sci_client_enter(client) == SC_OK) {
        int64_t begin_ns = sci_loop_now_ns(&client->loop);
        bool is_awaited = client->shared->state == SCI_CONN_READY && client->shared->slot_count > 0;
        sci_client_leave(client);
        if (is_awaited)
            (void)sci_client_ping(client, *left_ms);
        *left_ms -= (sci_loop_now_ns(&client->loop) - begin_ns) / SCI_NS_PER_MS;
    }
    sci_client_release(client);
}

static void sci_release_closing(sci_close_hook *hook)
{
    sci_release *release = SCI_CONTAINER(hook, sci_release, close_hook);
    sci_signals_remove(&release->signal_hook);
    sci_free(&release->client->memory, release, sizeof *release);
}

static bool sci_release_is_there(const sc_client *client)
{
    for (const sci_link *link = client->close_hooks.next; link != &client->close_hooks;
         link = link->next)
        if (SCI_CONTAINER(link, sci_close_hook, link)->closing == sci_release_closing)
            return true;
    return false;
}

static sc_status sci_release_make(sc_client *client)
{
    if (sci_release_is_there(client))
        return SC_OK;
    sci_release *release = (sci_release *)sci_alloc_zeroed(&client->memory, sizeof *release);
    if (!release)
        return SC_ERR_MEMORY;
    release->client = client;
    release->close_hook.closing = sci_release_closing;
    release->signal_hook.owner = client;
    release->signal_hook.retain = sci_release_retain;
    release->signal_hook.give_up = sci_release_give_up;
    release->signal_hook.await = sci_release_await;
    sc_status status = sci_signals_add(&release->signal_hook);
    if (status != SC_OK) {
        sci_free(&client->memory, release, sizeof *release);
        return status;
    }
    sci_list_init(&release->close_hook.link);
    sci_list_append(&client->close_hooks, &release->close_hook.link);
    return SC_OK;
}

SC_API sc_status sc_release_on_signal(sc_client *client)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    status = sci_release_make(client);
    sci_client_leave(client);
    return status;
}

#else

SC_API sc_status sc_release_on_signal(sc_client *client)
{
    (void)client;
    return sc_fail(SC_ERR_UNSUPPORTED,
                   "sc_release_on_signal needs POSIX and threads, which this build has not");
}

#endif
