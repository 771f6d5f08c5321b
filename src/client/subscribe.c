/* Public subscriptions: messages are copied, queued, and handed to the program's callback without
   the lock. A consumer that is too slow loses messages, and is told so by a gap. */

#include "api/subscribe.h"

#include "base/error.h"
#include "client/subscriber.h"
#include "client/wait.h"

typedef struct sci_subscription {
    sci_listener listener;
    sci_link link; /* in client->subscriptions */
    sc_client *client;
    sc_subscription id;
    sc_on_message on_message;
    void *user;
    size_t references; /* the list's, and one a queued message: guarded by the lock */
    size_t queued_bytes;
    sci_post gap;      /* the gap notice: a part of this, since it must not want for memory */
    bool has_gap;      /* it is queued */
    bool owes_gap;     /* and there is another gap behind it; what comes until then falls into it */
    bool is_announced; /* READY was heard once, or is to be told as a gap */
    bool is_removed;
    bool is_running; /* in the callback */
    bool has_failed;
    sci_waiter *waiter; /* of the thread that subscribes, then of the one that ends it */
} sci_subscription;

/* One message on its way to the callback, with its bytes behind it. */
typedef struct sci_delivery {
    sci_post post;
    sci_subscription *subscription;
    sc_status status; /* SC_OK with a message, or why the server refuses */
    sc_message message;
    size_t block_bytes;
} sci_delivery;

/* Locked. */
static void sci_subscription_release(sci_subscription *subscription)
{
    if (--subscription->references > 0)
        return;
    sci_free(&subscription->client->memory, subscription, sizeof *subscription);
}

/* Locked, but not while the callback runs. */
static void sci_subscription_call(sci_subscription *subscription, sc_status status,
                                  const sc_message *message)
{
    sc_client *client = subscription->client;
    if (subscription->is_removed)
        return;
    subscription->is_running = true;
    sci_client_unlock(client);
    subscription->on_message(subscription->user, status, message);
    sci_loop_lock(&client->loop);
    subscription->is_running = false;
    if (subscription->is_removed && subscription->waiter)
        sci_waiter_finish(client, subscription->waiter);
}

static void sci_delivery_run(sci_post *post)
{
    sci_delivery *delivery = SCI_CONTAINER(post, sci_delivery, post);
    sci_subscription *subscription = delivery->subscription;
    sc_client *client = subscription->client;
    sci_loop_lock(&client->loop);
    subscription->queued_bytes -= delivery->block_bytes;
    sci_subscription_call(subscription, delivery->status,
                          delivery->status == SC_OK ? &delivery->message : NULL);
    sci_subscription_release(subscription);
    sci_client_unlock(client);
    sci_free(&client->memory, delivery, delivery->block_bytes);
}

static void sci_gap_run(sci_post *post);

/* Locked. */
static void sci_subscription_queue_gap(sci_subscription *subscription)
{
    if (subscription->has_gap) {
        subscription->owes_gap = true;
        return;
    }
    subscription->has_gap = true;
    subscription->references++;
    subscription->gap.run = sci_gap_run;
    sci_list_init(&subscription->gap.link);
    sci_loop_post(&subscription->client->loop, &subscription->gap);
}

static void sci_gap_run(sci_post *post)
{
    sci_subscription *subscription = SCI_CONTAINER(post, sci_subscription, gap);
    sc_client *client = subscription->client;
    sci_loop_lock(&client->loop);
    subscription->has_gap = false;
    if (subscription->owes_gap)
        sci_subscription_queue_gap(subscription); /* behind what is queued already */
    subscription->owes_gap = false;
    sci_subscription_call(subscription, SC_GAP, NULL);
    sci_subscription_release(subscription);
    sci_client_unlock(client);
}

static sc_slice sci_delivery_copy(char **at, sc_slice bytes)
{
    char *copy = *at;
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    *at += bytes.len;
    return sc_bytes(copy, bytes.len);
}

/* Locked. `message` for SC_OK. False without memory. */
static bool sci_subscription_queue(sci_subscription *subscription, sc_status status,
                                   const sc_message *message)
{
    sc_client *client = subscription->client;
    size_t block_bytes = sizeof(sci_delivery);
    if (message)
        block_bytes += message->channel.len + message->pattern.len + message->payload.len;
    sci_delivery *delivery = (sci_delivery *)sci_alloc_zeroed(&client->memory, block_bytes);
    if (!delivery)
        return false;
    char *at = (char *)(delivery + 1);
    if (message) {
        delivery->message.channel = sci_delivery_copy(&at, message->channel);
        delivery->message.pattern = sci_delivery_copy(&at, message->pattern);
        delivery->message.payload = sci_delivery_copy(&at, message->payload);
    }
    delivery->status = status;
    delivery->block_bytes = block_bytes;
    delivery->subscription = subscription;
    delivery->post.run = sci_delivery_run;
    sci_list_init(&delivery->post.link);
    subscription->references++;
    subscription->queued_bytes += block_bytes;
    sci_loop_post(&client->loop, &delivery->post);
    return true;
}

/* Whoever waits for the confirmation will not get it. */
static void sci_subscription_failed(sci_subscription *subscription)
{
    subscription->has_failed = true;
    if (subscription->waiter)
        sci_waiter_finish(subscription->client, subscription->waiter);
    subscription->waiter = NULL;
}

static void sci_subscription_event(sci_listener *listener, sci_listen_event event,
                                   const sc_message *message)
{
    sci_subscription *subscription = SCI_CONTAINER(listener, sci_subscription, listener);
    sc_client *client = subscription->client;
    size_t limit = client->config.max_output_bytes;
    switch (event) {
    case SCI_LISTEN_MESSAGE:
        if (subscription->owes_gap)
            return; /* the notice that is to come covers this one, too */
        if (subscription->queued_bytes >= limit ||
            !sci_subscription_queue(subscription, SC_OK, message))
            sci_subscription_queue_gap(subscription);
        return;
    case SCI_LISTEN_READY:
        if (subscription->is_announced)
            sci_subscription_queue_gap(subscription);
        subscription->is_announced = true;
        if (subscription->waiter)
            sci_waiter_finish(client, subscription->waiter);
        subscription->waiter = NULL;
        return;
    case SCI_LISTEN_REFUSED:
        if (subscription->is_announced)
            (void)sci_subscription_queue(subscription, SC_ERR_REPLY, NULL);
        sci_subscription_failed(subscription);
        return;
    case SCI_LISTEN_FAILED:
        if (!client->config.wait_while_down)
            sci_subscription_failed(subscription);
        return;
    }
}

/* Locked. */
static sc_status sci_subscription_create(sc_client *client, sc_on_message on_message, void *user,
                                         sci_subscription **created)
{
    sci_subscription *subscription =
        (sci_subscription *)sci_alloc_zeroed(&client->memory, sizeof *subscription);
    if (!subscription)
        return SC_ERR_MEMORY;
    subscription->client = client;
    subscription->id = ++client->last_subscription;
    subscription->on_message = on_message;
    subscription->user = user;
    subscription->references = 1;
    subscription->listener.event = sci_subscription_event;
    *created = subscription;
    sci_list_init(&subscription->link);
    sci_list_append(&client->subscriptions, &subscription->link);
    return SC_OK;
}

/* Locked. */
static void sci_subscription_end(sci_subscription *subscription)
{
    subscription->is_removed = true;
    sci_listener_remove(subscription->client, &subscription->listener);
    sci_list_remove(&subscription->link);
    sci_subscription_release(subscription);
}

SCI_PRIVATE void sci_subscriptions_end_all(sc_client *client)
{
    while (!sci_list_is_empty(&client->subscriptions))
        sci_subscription_end(SCI_CONTAINER(client->subscriptions.next, sci_subscription, link));
}

/* Locked: wait until the server has confirmed. */
static sc_status sci_subscription_await(sci_subscription *subscription)
{
    sc_client *client = subscription->client;
    sci_waiter waiter;
    int64_t deadline_ns = sci_client_deadline_ns(client, 0, sci_loop_now_ns(&client->loop));
    if (subscription->is_announced)
        return SC_OK;
    sci_waiter_init(&waiter, (uint32_t)subscription->id);
    subscription->waiter = &waiter;
    bool is_done = subscription->has_failed || sci_waiter_wait_locked(client, &waiter, deadline_ns);
    subscription->waiter = NULL;
    if (client->is_closing)
        return sc_fail(SC_ERR_CLOSED, "the client was closed");
    if (!is_done)
        return sc_fail(SC_ERR_TIMEOUT, "the server did not confirm the subscription (timeout_ms)");
    if (subscription->has_failed) {
        sc_status status;
        const char *text = sci_subscriber_failure(client, &status);
        return sc_fail(status, "%s", text);
    }
    return SC_OK;
}

static sc_status sci_subscribe(sc_client *client, sc_slice name, bool is_pattern, bool waits,
                               sc_on_message on_message, void *user, sc_subscription *id)
{
    sci_subscription *subscription;
    *id = 0;
    if (!on_message)
        return sc_fail(SC_ERR_ARGUMENT, "on_message is NULL");
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_client_want_thread(client);
    status = sci_subscription_create(client, on_message, user, &subscription);
    if (status == SC_OK) {
        subscription->references++; /* sc_close on another thread may end it meanwhile */
        subscription->is_announced = !waits;
        status = sci_listener_add(client, &subscription->listener, name, is_pattern);
        if (status == SC_OK && waits)
            status = sci_subscription_await(subscription);
        if (status == SC_OK)
            *id = subscription->id;
        else if (!subscription->is_removed)
            sci_subscription_end(subscription);
        sci_subscription_release(subscription);
    }
    if (waits)
        sci_client_leave_call(client);
    else
        sci_client_leave(client);
    return status;
}

SC_API sc_status sc_subscribe(sc_client *client, sc_slice channel, sc_on_message on_message,
                              void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, channel, false, true, on_message, user, subscription);
}

SC_API sc_status sc_psubscribe(sc_client *client, sc_slice pattern, sc_on_message on_message,
                               void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, pattern, true, true, on_message, user, subscription);
}

SC_API sc_status sc_subscribe_async(sc_client *client, sc_slice channel, sc_on_message on_message,
                                    void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, channel, false, false, on_message, user, subscription);
}

SC_API sc_status sc_psubscribe_async(sc_client *client, sc_slice pattern, sc_on_message on_message,
                                     void *user, sc_subscription *subscription)
{
    return sci_subscribe(client, pattern, true, false, on_message, user, subscription);
}

static sci_subscription *sci_subscription_find(const sc_client *client, sc_subscription id)
{
    for (sci_link *link = client->subscriptions.next; link != &client->subscriptions;
         link = link->next) {
        sci_subscription *subscription = SCI_CONTAINER(link, sci_subscription, link);
        if (subscription->id == id)
            return subscription;
    }
    return NULL;
}

/* Locked: wait until the callback that runs on another thread has returned. */
static void sci_subscription_await_callback(sci_subscription *subscription)
{
    sc_client *client = subscription->client;
    sci_waiter waiter;
    if (!subscription->is_running || client->loop.dispatcher == sci_thread_self())
        return;
    sci_waiter_init(&waiter, (uint32_t)subscription->id);
    subscription->waiter = &waiter;
    while (subscription->is_running && !sci_waiter_wait_locked(client, &waiter, SCI_NEVER) &&
           !client->is_closing)
        continue;
    subscription->waiter = NULL;
}

SC_API sc_status sc_unsubscribe(sc_client *client, sc_subscription id)
{
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    sci_subscription *subscription = sci_subscription_find(client, id);
    if (subscription) {
        subscription->references++;
        sci_subscription_end(subscription);
        sci_subscription_await_callback(subscription);
        sci_subscription_release(subscription);
    } else {
        status = SC_MISS;
    }
    sci_client_leave(client);
    return status;
}
