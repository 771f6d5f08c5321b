/* What all timers of the public interface share. */

#include "cache/alarm.h"

#include "base/error.h"
#include "client/wait.h"

/* --- Making and ending */

static void sci_alarm_fire(sci_timer *timer)
{
    sci_alarm *alarm = SCI_CONTAINER(timer, sci_alarm, timer);
    if (!alarm->kind->ring(alarm))
        return;
    alarm->is_posted = true;
    sci_loop_post(&alarm->client->loop, &alarm->post);
}

static void sci_alarm_unmake(sci_alarm *alarm)
{
    sc_memory memory = alarm->client->memory;
    if (alarm->kind->end)
        alarm->kind->end(alarm);
    sci_free(&memory, alarm, alarm->kind->size);
}

/* The client closes, and callbacks that were due have returned. */
static void sci_alarms_free_if_over(sci_alarms *alarms)
{
    sc_client *client = alarms->client;
    if (!client->is_closing || !sci_list_is_empty(&alarms->all))
        return;
    client->alarms = NULL;
    sci_list_remove(&alarms->close_hook.link);
    sci_list_remove(&alarms->fork_hook.link);
    sci_map_free(&alarms->by_id);
    sci_free(&client->memory, alarms, sizeof *alarms);
}

/* From now on its id is stale. */
static void sci_alarm_forget(sci_alarm *alarm)
{
    alarm->is_cancelled = true;
    sci_map_remove(&alarm->client->alarms->by_id, &alarm->node);
}

static void sci_alarm_free(sci_alarm *alarm)
{
    if (!alarm->is_cancelled)
        sci_alarm_forget(alarm);
    sci_list_remove(&alarm->link);
    sci_alarm_unmake(alarm);
}

/* --- The callback */

static void sci_alarm_call(sci_alarm *alarm)
{
    sc_client *client = alarm->client;
    alarm->runner = sci_thread_self();
    sci_client_unlock(client);
    alarm->on_due(alarm->user, alarm->id, alarm->due_ms);
    sci_loop_lock(&client->loop);
    alarm->runner = 0;
    if (alarm->waiter)
        sci_waiter_finish(client, alarm->waiter);
    alarm->waiter = NULL;
}

/* One that was cancelled after it had been posted is freed here: the loop may have taken its post
   already. The client closes only when callbacks have returned. */
static void sci_alarm_run(sci_post *post)
{
    sci_alarm *alarm = SCI_CONTAINER(post, sci_alarm, post);
    sc_client *client = alarm->client;
    sci_loop_lock(&client->loop);
    alarm->is_posted = false;
    if (!alarm->is_cancelled)
        sci_alarm_call(alarm);
    if (alarm->is_cancelled || client->is_closing || !alarm->kind->again)
        sci_alarm_free(alarm);
    else
        alarm->kind->again(alarm);
    sci_alarms_free_if_over(client->alarms);
    sci_client_unlock(client);
}

/* Locked: wait until the callback, which runs on another thread, has returned. */
static void sci_alarm_await(sci_alarm *alarm)
{
    sc_client *client = alarm->client;
    sci_waiter waiter;
    sci_waiter_init(&waiter, 0);
    alarm->waiter = &waiter;
    bool is_over = false;
    while (!is_over && !client->is_closing)
        is_over = sci_waiter_wait_locked(client, &waiter, SCI_NEVER);
    if (!is_over && !sci_atomic_load_acquire(&waiter.is_done))
        alarm->waiter = NULL; /* sc_close waits for the callback instead */
}

/* --- All of a client */

static void sci_alarms_closing(sci_close_hook *hook)
{
    sci_alarms *alarms = SCI_CONTAINER(hook, sci_alarms, close_hook);
    for (sci_link *link = alarms->all.next, *next; link != &alarms->all; link = next) {
        sci_alarm *alarm = SCI_CONTAINER(link, sci_alarm, link);
        next = link->next;
        sci_timer_cancel(&alarms->client->loop, &alarm->timer);
        if (!alarm->is_posted && !alarm->runner)
            sci_alarm_free(alarm);
    }
    sci_alarms_free_if_over(alarms);
}

/* The loop's timers and posts are gone. One whose callback forked is freed when that returns. */
static void sci_alarms_forked(sci_fork_hook *hook)
{
    sci_alarms *alarms = SCI_CONTAINER(hook, sci_alarms, fork_hook);
    for (sci_link *link = alarms->all.next, *next; link != &alarms->all; link = next) {
        sci_alarm *alarm = SCI_CONTAINER(link, sci_alarm, link);
        next = link->next;
        alarm->waiter = NULL;
        memset(&alarm->timer.node, 0, sizeof alarm->timer.node);
        if (alarm->runner != sci_thread_self())
            sci_alarm_free(alarm);
        else if (!alarm->is_cancelled)
            sci_alarm_forget(alarm);
    }
}

static sci_alarms *sci_alarms_of(sc_client *client)
{
    sci_alarms *alarms = client->alarms;
    if (alarms)
        return alarms;
    alarms = (sci_alarms *)sci_alloc_zeroed(&client->memory, sizeof *alarms);
    if (!alarms)
        return NULL;
    alarms->client = client;
    alarms->close_hook.closing = sci_alarms_closing;
    alarms->fork_hook.forked = sci_alarms_forked;
    sci_map_init(&alarms->by_id, &client->memory, client->hash_seed);
    sci_list_init(&alarms->all);
    sci_list_init(&alarms->close_hook.link);
    sci_list_init(&alarms->fork_hook.link);
    sci_list_append(&client->close_hooks, &alarms->close_hook.link);
    sci_list_append(&client->fork_hooks, &alarms->fork_hook.link);
    client->alarms = alarms;
    return alarms;
}

/* --- For the kinds */

SCI_PRIVATE sci_alarm *sci_alarm_make(sc_client *client, const sci_alarm_kind *kind,
                                      sc_on_timer on_due, void *user)
{
    sci_alarm *alarm = (sci_alarm *)sci_alloc_zeroed(&client->memory, kind->size);
    if (!alarm)
        return NULL;
    alarm->kind = kind;
    alarm->client = client;
    alarm->timer.fire = sci_alarm_fire;
    alarm->post.run = sci_alarm_run;
    sci_list_init(&alarm->link);
    sci_list_init(&alarm->post.link);
    alarm->on_due = on_due;
    alarm->user = user;
    return alarm;
}

static sc_slice sci_alarm_key(const sc_timer *id)
{
    return sc_bytes(id, sizeof *id);
}

SCI_PRIVATE sc_status sci_alarm_enter(sci_alarm *alarm, sc_timer *timer)
{
    sc_client *client = alarm->client;
    sc_status status = sci_client_enter(client);
    if (status != SC_OK) {
        sci_alarm_unmake(alarm);
        return status;
    }
    sci_alarms *alarms = sci_alarms_of(client);
    if (!alarms) {
        sci_client_leave(client);
        sci_alarm_unmake(alarm);
        return SC_ERR_MEMORY;
    }
    alarm->id = ++alarms->last_id;
    sc_slice key = sci_alarm_key(&alarm->id);
    sci_map_put(&alarms->by_id, &alarm->node, key, sci_map_hash(&alarms->by_id, key));
    sci_list_append(&alarms->all, &alarm->link);
    sci_client_want_thread(client);
    if (timer)
        *timer = alarm->id;
    return SC_OK;
}

SCI_PRIVATE void sci_alarm_arm(sci_alarm *alarm, int64_t at_ns)
{
    sci_timer_arm(&alarm->client->loop, &alarm->timer, at_ns);
}

/* --- Cancelling */

static sci_alarm *sci_alarm_find(const sc_client *client, sc_timer id)
{
    const sci_alarms *alarms = client->alarms;
    if (!alarms)
        return NULL;
    sc_slice key = sci_alarm_key(&id);
    sci_map_node *node = sci_map_find(&alarms->by_id, key, sci_map_hash(&alarms->by_id, key));
    return node ? SCI_CONTAINER(node, sci_alarm, node) : NULL;
}

SC_API sc_status sc_timer_cancel(sc_client *client, sc_timer timer)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_alarm *alarm = sci_alarm_find(client, timer);
    if (alarm) {
        sci_timer_cancel(&client->loop, &alarm->timer);
        sci_alarm_forget(alarm);
        if (alarm->runner && client->loop.dispatcher != sci_thread_self())
            sci_alarm_await(alarm);
        else if (!alarm->runner && !alarm->is_posted)
            sci_alarm_free(alarm);
    } else {
        status = SC_MISS;
    }
    sci_client_leave(client);
    return status;
}
