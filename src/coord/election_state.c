/* Elections: campaigning, leading, stopping, and the callbacks. */

#include "coord/election.h"

#include "client/conn.h"
#include "client/life.h"

SCI_PRIVATE void sci_election_step_soon(sc_election *election)
{
    sci_loop *loop = &election->client->loop;
    if (!election->is_closed && !election->client->is_closing)
        sci_timer_arm(loop, &election->step_timer, sci_loop_now_ns(loop));
}

SCI_PRIVATE void sci_election_post(sc_election *election)
{
    if (election->is_posted || election->is_closed)
        return;
    election->is_posted = true;
    sci_election_retain(election);
    sci_loop_post(&election->client->loop, &election->post);
}

static void sci_election_tell_listeners(sc_election *election, bool is_elected)
{
    for (sci_link *link = election->listeners.next, *next; link != &election->listeners;
         link = next) {
        sci_election_listener *listener = SCI_CONTAINER(link, sci_election_listener, link);
        next = link->next;
        listener->changed(listener, is_elected);
    }
}

/* Campaigning. */

/* The wish is given anew to the lock: what it was before has ended. */
static void sci_election_clear_wish(sc_election *election)
{
    sci_wish *wish = &election->wish;
    sc_value_release(wish->words);
    wish->words = NULL;
    wish->is_async = true;
    wish->is_done = false;
    wish->status = SC_OK;
}

static void sci_election_contend(sc_election *election)
{
    sc_lock *lock = election->lock;
    sci_election_clear_wish(election);
    election->state = SCI_ELECTION_CONTENDING;
    lock->config.no_renewal = false;
    lock->is_hasty = false;
    lock->deadline_ns = SCI_NEVER;
    lock->acquirer = &election->wish;
    sci_lock_begin(lock);
}

SCI_PRIVATE void sci_election_go_on(sc_election *election)
{
    if (election->state == SCI_ELECTION_IDLE && election->wants && !election->is_closed &&
        !election->client->is_closing)
        sci_election_contend(election);
}

/* The attempt has failed: again a little later, not all at once. */
static void sci_election_retry(sc_election *election)
{
    sc_client *client = election->client;
    int64_t bound_ms = sci_min_i64(election->config.poll_ms, SCI_ELECTION_RETRY_MS);
    int64_t delay_ms = 1 + (int64_t)(sci_life_random(client) % (uint64_t)bound_ms);
    if (election->lock->is_hasty || client->is_closing)
        return;
    sci_timer_arm(&client->loop, &election->step_timer,
                  sci_loop_now_ns(&client->loop) + delay_ms * SCI_NS_PER_MS);
}

/* Leading. */

static int64_t sci_election_stop_ns(const sc_election *election)
{
    return election->lock->until_ns - election->config.stop_margin_ms * SCI_NS_PER_MS;
}

/* The lease was taken, or renewed. */
static void sci_election_lead_on(sc_election *election)
{
    int64_t stop_ns = sci_election_stop_ns(election);
    sci_election_show(election, stop_ns, election->term);
    sci_timer_arm(&election->client->loop, &election->stop_timer, stop_ns);
}

static void sci_election_lead(sc_election *election)
{
    election->state = SCI_ELECTION_LEADING;
    election->term = election->lock->fence;
    sci_election_lead_on(election);
    if (!election->config.on_elected && election->config.on_resigned)
        election->told_term = election->term;
    election->announces = true;
    sci_election_step_soon(election);
    sci_election_know(election, election->name, election->term);
    if (election->config.on_elected)
        sci_election_post(election);
    sci_election_wake(election);
    sci_election_tell_listeners(election, true);
}

SCI_PRIVATE void sci_election_stop(sc_election *election, sc_resignation reason)
{
    election->state = SCI_ELECTION_STOPPING;
    election->reason = reason;
    election->lock->config.no_renewal = true;
    sci_election_show(election, 0, 0);
    sci_timer_cancel(&election->client->loop, &election->stop_timer);
    election->announces = true;
    election->reads = true;
    if (election->told_term)
        sci_election_post(election);
    sci_election_step_soon(election);
    sci_election_tell_listeners(election, false);
}

SCI_PRIVATE void sci_election_fire_stop(sci_timer *timer)
{
    sc_election *election = SCI_CONTAINER(timer, sc_election, stop_timer);
    if (election->state == SCI_ELECTION_LEADING)
        sci_election_stop(election, SC_RESIGNED_UNRENEWED);
}

/* Why the lock is not held any more. */
static sc_resignation sci_election_reason(const sc_election *election)
{
    const sc_lock *lock = election->lock;
    if (lock->is_hasty)
        return SC_RESIGNED_CLOSED;
    return sci_loop_now_ns(&election->client->loop) < lock->until_ns ? SC_RESIGNED_LOST
                                                                     : SC_RESIGNED_UNRENEWED;
}

SCI_PRIVATE void sci_election_lock_changed(sc_lock *lock)
{
    sc_election *election = (sc_election *)lock->config.user;
    sci_list_remove(&election->wish.post.link); /* its end is known now */
    switch (election->state) {
    case SCI_ELECTION_CONTENDING:
        if (lock->is_held)
            sci_election_lead(election);
        else if (!lock->acquirer)
            sci_election_retry(election);
        return;
    case SCI_ELECTION_LEADING:
        if (lock->is_held)
            sci_election_lead_on(election);
        else
            sci_election_stop(election, sci_election_reason(election));
        return;
    case SCI_ELECTION_LEAVING:
        if (!lock->releaser)
            sci_election_step_soon(election);
        return;
    case SCI_ELECTION_IDLE:
    case SCI_ELECTION_STOPPING:
        return;
    }
}

/* Steps. */

static void sci_election_stopped(sc_election *election)
{
    election->state = SCI_ELECTION_IDLE;
    sci_election_wake(election);
    sci_election_step_soon(election); /* to say that nobody leads */
    sci_election_go_on(election);
}

/* Who was told to stop has: the lock is given back. */
static void sci_election_leave(sc_election *election)
{
    sc_lock *lock = election->lock;
    if (!lock->is_held) {
        sci_election_stopped(election);
        return;
    }
    sci_election_clear_wish(election);
    election->state = SCI_ELECTION_LEAVING;
    lock->releaser = &election->wish;
    sci_lock_leave(lock);
}

static void sci_election_step(sc_election *election)
{
    sci_election_speak(election);
    sci_election_look(election);
    if (election->is_closed) /* asking lets go of the lock */
        return;
    switch (election->state) {
    case SCI_ELECTION_IDLE:
        sci_election_go_on(election);
        return;
    case SCI_ELECTION_CONTENDING:
        if (election->lock->acquirer || election->lock->is_held)
            return;
        election->state = SCI_ELECTION_IDLE;
        sci_election_go_on(election);
        return;
    case SCI_ELECTION_STOPPING:
        if (!election->told_term && !election->is_telling)
            sci_election_leave(election);
        return;
    case SCI_ELECTION_LEAVING:
        if (!election->lock->releaser)
            sci_election_stopped(election);
        return;
    case SCI_ELECTION_LEADING:
        return;
    }
}

SCI_PRIVATE void sci_election_fire_step(sci_timer *timer)
{
    sc_election *election = SCI_CONTAINER(timer, sc_election, step_timer);
    sci_election_retain(election);
    if (!election->is_closed)
        sci_election_step(election);
    sci_election_release(election);
}

/* Callbacks. */

static void sci_election_call(sc_election *election, sc_resignation reason, int64_t term)
{
    const sc_election_config *config = &election->config;
    sc_client *client = election->client;
    sc_value *leader = NULL;
    int64_t leader_term = election->leader_term;
    if (!reason && !term) {
        election->has_news = false;
        leader = election->leader ? sc_value_retain(election->leader) : NULL;
    }
    election->is_telling = true;
    sci_client_unlock(client);
    if (reason)
        config->on_resigned(config->user, election, reason);
    else if (term)
        config->on_elected(config->user, election, term);
    else
        config->on_leader_changed(config->user, election, sc_value_bytes(leader), leader_term);
    sc_value_release(leader);
    sci_loop_lock(&client->loop);
    election->is_telling = false;
    sci_election_wake(election);
}

/* The next callback that is owed; false: none. What is over before it was told is left out. */
static bool sci_election_tell_next(sc_election *election)
{
    bool is_leading = election->state == SCI_ELECTION_LEADING;
    int64_t told_term = election->told_term;
    if (election->is_closed)
        return false;
    if (told_term && !(is_leading && told_term == election->term)) {
        if (election->config.on_resigned)
            sci_election_call(election, election->reason, 0);
        election->told_term = 0;
        return true;
    }
    if (is_leading && !told_term && election->config.on_elected) {
        election->told_term = election->term;
        sci_election_call(election, (sc_resignation)0, election->term);
        return true;
    }
    if (!election->has_news)
        return false;
    sci_election_call(election, (sc_resignation)0, 0);
    return true;
}

SCI_PRIVATE void sci_election_tell(sci_post *post)
{
    sc_election *election = SCI_CONTAINER(post, sc_election, post);
    sc_client *client = election->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    election->is_posted = false;
    while (sci_election_tell_next(election))
        continue;
    if (!election->is_closed && !client->is_closing)
        sci_election_step(election);
    sci_election_release(election);
    sci_client_unlock(client);
    sci_client_release(client);
}
