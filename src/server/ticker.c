/* The server's tick: run when it is due by whoever waits in a loop, and now and then by those who
   bring commands, since nobody may be waiting. */

#include "server/ticker.h"

#include "base/number.h"
#include "server/log.h"
#include "server/server.h"

/* Expiry and the like may be so much late when a command brings them: a tick only then finds out
   when they are due. */
#define SCI_TICKER_PERIOD_NS (20 * SCI_SERVER_NS_PER_MS)
/* So many batches of commands are worth a look at the clock. */
#define SCI_TICKER_UNLOOKED 64

SCI_PRIVATE void sci_ticker_init(sci_ticker *ticker)
{
    ticker->due_ns = INT64_MAX;
    ticker->is_far = true;
    sci_list_init(&ticker->minders);
}

static void sci_ticker_set(sci_ticker *ticker, int64_t due_ns, int64_t now_ns)
{
    ticker->due_ns = due_ns;
    ticker->is_far = due_ns - now_ns > SCI_TICKER_PERIOD_NS;
    ticker->unlooked = 0;
}

SCI_PRIVATE void sci_ticker_run(sc_server *server)
{
    int64_t due_ns = sci_server_tick(server);
    sci_server_commit(server);
    if (server->log) /* the tick itself may have written, what expired */
        due_ns = sci_min_i64(due_ns, sci_log_run_syncs(server->log));
    sci_ticker_set(&server->ticker, due_ns, sci_server_now_ns(server));
}

/* Who waits is to look again when the tick is due. */
static void sci_ticker_hasten(sc_server *server, int64_t due_ns, int64_t now_ns)
{
    sci_ticker *ticker = &server->ticker;
    sci_ticker_set(ticker, sci_min_i64(due_ns, ticker->due_ns), now_ns);
    for (sci_link *link = ticker->minders.next; link != &ticker->minders; link = link->next)
        sci_loop_interrupt(SCI_CONTAINER(link, sci_minder, link)->loop);
}

SCI_PRIVATE void sci_ticker_note(sc_server *server)
{
    sci_ticker *ticker = &server->ticker;
    const sci_heap_node *timeout = sci_heap_first(&server->timeouts);
    bool is_sooner = timeout && timeout->key < ticker->due_ns;
    if (SCI_LIKELY(!ticker->is_far && !is_sooner && ++ticker->unlooked < SCI_TICKER_UNLOOKED))
        return;
    int64_t now_ns = sci_server_now_ns(server);
    ticker->unlooked = 0;
    if (now_ns >= ticker->due_ns)
        sci_ticker_run(server);
    else if (is_sooner)
        sci_ticker_hasten(server, sci_min_i64(timeout->key, now_ns + SCI_TICKER_PERIOD_NS), now_ns);
    else if (ticker->is_far)
        sci_ticker_hasten(server, now_ns + SCI_TICKER_PERIOD_NS, now_ns);
}

static void sci_minder_fire(sci_timer *timer)
{
    SCI_CONTAINER(timer, sci_minder, timer)->is_due = true; /* the hook runs next */
}

static void sci_minder_turn(sci_hook *hook)
{
    sci_minder *minder = SCI_CONTAINER(hook, sci_minder, hook);
    sc_server *server = minder->server;
    sci_mutex_lock(&server->lock);
    if (minder->is_due && sci_server_now_ns(server) >= server->ticker.due_ns)
        sci_ticker_run(server);
    int64_t due_ns = server->ticker.due_ns;
    sci_mutex_unlock(&server->lock);
    minder->is_due = false;
    if (due_ns == INT64_MAX)
        sci_timer_cancel(minder->loop, &minder->timer);
    else if (!sci_timer_is_armed(&minder->timer) || minder->timer.node.key != due_ns)
        sci_timer_arm(minder->loop, &minder->timer, due_ns);
}

SCI_PRIVATE void sci_minder_begin(sci_minder *minder, sc_server *server, sci_loop *loop)
{
    memset(minder, 0, sizeof *minder);
    minder->server = server;
    minder->loop = loop;
    minder->hook.run = sci_minder_turn;
    minder->timer.fire = sci_minder_fire;
    sci_hook_add(loop, &minder->hook);
    sci_list_init(&minder->link);
    sci_mutex_lock(&server->lock);
    sci_list_append(&server->ticker.minders, &minder->link);
    sci_mutex_unlock(&server->lock);
    sci_minder_turn(&minder->hook);
}

SCI_PRIVATE void sci_minder_end(sci_minder *minder)
{
    sci_mutex_lock(&minder->server->lock);
    sci_list_remove(&minder->link);
    sci_mutex_unlock(&minder->server->lock);
    sci_timer_cancel(minder->loop, &minder->timer);
    sci_hook_remove(&minder->hook);
}
