/* The scheduler: one thread at a time waits for descriptors and timers on behalf of all. */

#include "net/loop.h"

/* Readiness taken from the poller in one go; more come at the next step. */
#define SCI_LOOP_EVENTS 64
#define SCI_NS_PER_MS 1000000

SCI_PRIVATE sc_status sci_loop_init(sci_loop *loop, const sc_memory *memory, const sc_clock *clock,
                                    const sc_poller *poller)
{
    memset(loop, 0, sizeof *loop);
    loop->memory = *memory;
    loop->clock = *clock;
    loop->poller_table = *poller;
    sci_loop_clear(loop);
    sci_mutex_init(&loop->lock);
    sc_status status = poller->create(poller->user, memory, &loop->poller);
    if (status != SC_OK)
        sci_mutex_free(&loop->lock);
    return status;
}

SCI_PRIVATE void sci_loop_clear(sci_loop *loop)
{
    loop->timers.root = NULL;
    sci_list_init(&loop->watches);
    sci_list_init(&loop->posts);
#ifndef SMARTCACHE_NO_SERVER
    sci_list_init(&loop->steady);
    sci_list_init(&loop->changed);
    sci_list_init(&loop->ready);
    sci_list_init(&loop->hooks);
#endif
    loop->driver = 0;
    loop->dispatcher = 0;
    loop->is_waiting = false;
    loop->is_woken = false;
    loop->is_settled = false;
    loop->scheduled_until = SCI_LOOP_AT_NO_TIME;
}

SCI_PRIVATE void sci_loop_free(sci_loop *loop)
{
    sci_assert(!loop->is_waiting);
    sci_assert(sci_list_is_empty(&loop->watches));
    if (loop->poller)
        loop->poller_table.destroy(loop->poller);
    loop->poller = NULL;
    sci_mutex_free(&loop->lock);
}

/* Tell a poller that stands in another event loop when the next step is due. */
static void sci_loop_schedule(sci_loop *loop, int64_t due_ns)
{
    int64_t delay_ns = -1;
    loop->scheduled_until = due_ns;
    if (due_ns == SCI_LOOP_AT_ONCE)
        delay_ns = 0;
    else if (due_ns != SCI_LOOP_AT_NO_TIME)
        delay_ns = sci_max_i64(due_ns - sci_loop_now_ns(loop), 0);
    loop->poller_table.schedule(loop->poller, delay_ns);
}

static void sci_loop_schedule_earlier(sci_loop *loop, int64_t due_ns)
{
    if (loop->poller_table.schedule && loop->poller && !loop->driver &&
        due_ns < loop->scheduled_until)
        sci_loop_schedule(loop, due_ns);
}

SCI_PRIVATE void sci_loop_interrupt(sci_loop *loop)
{
    if (loop->poller) /* a forked child may be without one; then nobody waits in it */
        loop->poller_table.wake(loop->poller);
}

SCI_PRIVATE void sci_loop_wake(sci_loop *loop)
{
    if (!loop->is_waiting) {
        loop->is_settled = false;
        sci_loop_schedule_earlier(loop, SCI_LOOP_AT_ONCE);
        return;
    }
    if (loop->is_woken)
        return;
    loop->is_woken = true;
    sci_loop_interrupt(loop);
}

SCI_PRIVATE void sci_timer_arm(sci_loop *loop, sci_timer *timer, int64_t due_ns)
{
    sci_heap_remove(&loop->timers, &timer->node);
    sci_heap_insert(&loop->timers, &timer->node, due_ns);
    if (due_ns < loop->waiting_until)
        sci_loop_wake(loop);
    sci_loop_schedule_earlier(loop, due_ns);
}

SCI_PRIVATE void sci_timer_cancel(sci_loop *loop, sci_timer *timer)
{
    sci_heap_remove(&loop->timers, &timer->node);
}

SCI_PRIVATE void sci_watch_add(sci_loop *loop, sci_watch *watch)
{
    sci_link *list = &loop->watches;
#ifndef SMARTCACHE_NO_SERVER
    watch->wanted = 0;
    if (!watch->prepare)
        list = &loop->steady;
#endif
    sci_list_init(&watch->link);
    sci_list_append(list, &watch->link);
    watch->polled = 0;
    watch->ready = 0;
    watch->is_retired = false;
    sci_loop_wake(loop);
}

#ifndef SMARTCACHE_NO_SERVER
static void sci_watch_move(sci_watch *watch, sci_link *list)
{
    sci_list_remove(&watch->link);
    sci_list_append(list, &watch->link);
}

/* Something is to be said to the owner of a steady watch after the wait. */
static void sci_watch_is_ready(sci_loop *loop, sci_watch *watch)
{
    if (!watch->prepare)
        sci_watch_move(watch, &loop->ready);
}

/* Where a steady watch belongs that is not to be settled. */
static void sci_watch_rest(sci_loop *loop, sci_watch *watch)
{
    sci_watch_move(watch, watch->wanted == watch->polled ? &loop->steady : &loop->changed);
}

SCI_PRIVATE void sci_watch_want(sci_loop *loop, sci_watch *watch, unsigned interest)
{
    sci_assert(!watch->prepare);
    if (watch->wanted == interest)
        return;
    watch->wanted = interest;
    if (watch->ready || watch->is_retired)
        return; /* it rests, or goes, when it has been settled */
    sci_watch_rest(loop, watch);
    sci_loop_wake(loop);
}

SCI_PRIVATE void sci_hook_add(sci_loop *loop, sci_hook *hook)
{
    sci_list_init(&hook->link);
    sci_list_append(&loop->hooks, &hook->link);
}
#endif

/* The poller must not be told while it waits, and a descriptor that it waits on must not be closed:
   its number could be another's by then. */
static void sci_watch_let_go(sci_loop *loop, sci_watch *watch)
{
    if (watch->polled)
        (void)loop->poller_table.watch(loop->poller, watch->descriptor, 0, watch);
    sci_list_remove(&watch->link);
    watch->release(watch);
}

SCI_PRIVATE void sci_watch_retire(sci_loop *loop, sci_watch *watch)
{
    if (loop->is_waiting && watch->polled) {
        watch->is_retired = true;
#ifndef SMARTCACHE_NO_SERVER
        sci_watch_is_ready(loop, watch);
#endif
        sci_loop_wake(loop);
        return;
    }
    sci_watch_let_go(loop, watch);
}

SCI_PRIVATE void sci_loop_post(sci_loop *loop, sci_post *post)
{
    sci_list_append(&loop->posts, &post->link);
    sci_loop_wake(loop);
}

/* Who is running one now will run those that wait. */
static bool sci_loop_has_callbacks(const sci_loop *loop)
{
    return !loop->dispatcher && !sci_list_is_empty(&loop->posts);
}

SCI_PRIVATE bool sci_loop_drive_begin(sci_loop *loop)
{
    if (loop->driver)
        return false;
    loop->driver = sci_thread_self();
    return true;
}

SCI_PRIVATE void sci_loop_drive_end(sci_loop *loop)
{
    sci_assert(loop->driver == sci_thread_self());
    loop->driver = 0;
    if (!loop->poller_table.schedule || !loop->poller)
        return;
    int64_t due_ns = SCI_LOOP_AT_NO_TIME;
    const sci_heap_node *first = sci_heap_first(&loop->timers);
    if (!loop->is_settled || sci_loop_has_callbacks(loop))
        due_ns = SCI_LOOP_AT_ONCE; /* what is wanted now is told to the poller by a step */
    else if (first)
        due_ns = first->key;
    if (due_ns != loop->scheduled_until)
        sci_loop_schedule(loop, due_ns);
}

static sc_status sci_watch_tell(sci_loop *loop, sci_watch *watch, unsigned wanted)
{
    sc_status status = loop->poller_table.watch(loop->poller, watch->descriptor, wanted, watch);
    if (status == SC_OK) {
        watch->polled = wanted;
    } else {
        watch->ready = SCI_WATCH_FAILED;
        watch->failure = status;
    }
    return status;
}

/* Tell the poller what the owners want now. */
static sc_status sci_loop_prepare(sci_loop *loop)
{
    sc_status result = SC_OK;
    for (sci_link *link = loop->watches.next; link != &loop->watches; link = link->next) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        unsigned wanted = watch->prepare(watch);
        watch->ready = 0;
        if (wanted == watch->polled || watch->descriptor < 0)
            continue;
        sc_status status = sci_watch_tell(loop, watch, wanted);
        if (status != SC_OK)
            result = status;
    }
#ifndef SMARTCACHE_NO_SERVER
    for (sci_link *link = loop->changed.next; link != &loop->changed; link = loop->changed.next) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        sc_status status = sci_watch_tell(loop, watch, watch->wanted);
        sci_watch_move(watch, status == SC_OK ? &loop->steady : &loop->ready);
        if (status != SC_OK)
            result = status;
    }
#endif
    return result;
}

/* A watch may retire itself, retire others or add new ones while it is settled. */
static void sci_loop_settle(sci_loop *loop)
{
    sci_link pending;
    sci_list_init(&pending);
    sci_list_move_all(&pending, &loop->watches);
    for (sci_link *link = sci_list_take_first(&pending); link;
         link = sci_list_take_first(&pending)) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        sci_list_append(&loop->watches, link);
        if (watch->is_retired)
            sci_watch_let_go(loop, watch);
        else
            watch->settle(watch, watch->ready);
    }
}

#ifndef SMARTCACHE_NO_SERVER
static void sci_loop_settle_steady(sci_loop *loop)
{
    for (sci_link *link = loop->ready.next; link != &loop->ready; link = loop->ready.next) {
        sci_watch *watch = SCI_CONTAINER(link, sci_watch, link);
        unsigned ready = watch->ready;
        watch->ready = 0;
        if (watch->is_retired) {
            sci_watch_let_go(loop, watch);
            continue;
        }
        sci_watch_rest(loop, watch);
        watch->settle(watch, ready);
    }
}

/* A hook may remove itself. */
static void sci_loop_run_hooks(sci_loop *loop)
{
    for (sci_link *link = loop->hooks.next, *next; link != &loop->hooks; link = next) {
        sci_hook *hook = SCI_CONTAINER(link, sci_hook, link);
        next = link->next;
        hook->run(hook);
    }
}
#endif

static void sci_loop_fire_timers(sci_loop *loop)
{
    if (!loop->timers.root)
        return;
    int64_t now_ns = sci_loop_now_ns(loop);
    for (sci_heap_node *node = sci_heap_first(&loop->timers); node && node->key <= now_ns;
         node = sci_heap_first(&loop->timers)) {
        sci_timer *timer = SCI_CONTAINER(node, sci_timer, node);
        sci_heap_remove(&loop->timers, node);
        loop->is_settled = false;
        timer->fire(timer);
    }
}

/* Rounded up to the poller's milliseconds, so that a timer is due when the wait ends. */
static int64_t sci_loop_timeout_ms(sci_loop *loop, int64_t max_wait_ns)
{
    int64_t wait_ns = max_wait_ns;
    loop->waiting_until = INT64_MAX;
    if (sci_loop_has_callbacks(loop))
        wait_ns = 0;
    sci_heap_node *first = sci_heap_first(&loop->timers);
    if (wait_ns != 0 && (first || wait_ns > 0)) {
        int64_t now_ns = sci_loop_now_ns(loop);
        if (first && (wait_ns < 0 || first->key - now_ns < wait_ns))
            wait_ns = first->key > now_ns ? first->key - now_ns : 0;
        if (wait_ns < INT64_MAX - now_ns)
            loop->waiting_until = now_ns + wait_ns;
    }
    if (wait_ns < 0)
        return -1;
    return wait_ns / SCI_NS_PER_MS + (wait_ns % SCI_NS_PER_MS != 0);
}

SCI_PRIVATE sc_status sci_loop_step(sci_loop *loop, int64_t max_wait_ns)
{
    sc_event events[SCI_LOOP_EVENTS];
    size_t count = 0;
    sci_assert(loop->driver == sci_thread_self());
    if (!loop->poller) { /* in a forked child that had no memory or descriptor for it */
        sc_status created =
            loop->poller_table.create(loop->poller_table.user, &loop->memory, &loop->poller);
        if (created != SC_OK)
            return created;
    }
    loop->is_settled = true;
    loop->scheduled_until = SCI_LOOP_AT_NO_TIME; /* the wait makes an end of it */
    sc_status prepared = sci_loop_prepare(loop);
    int64_t timeout_ms = prepared == SC_OK ? sci_loop_timeout_ms(loop, max_wait_ns) : 0;

    loop->is_waiting = true;
    sci_loop_unlock(loop);
    sc_status status =
        loop->poller_table.wait(loop->poller, timeout_ms, events, SCI_LOOP_EVENTS, &count);
    sci_loop_lock(loop);
    loop->is_waiting = false;
    if (loop->is_woken || count > 0 || prepared != SC_OK)
        loop->is_settled = false;
    loop->is_woken = false;
    loop->waiting_until = INT64_MIN;

    for (size_t i = 0; status == SC_OK && i < count; i++) {
        sci_watch *watch = (sci_watch *)events[i].tag;
        watch->ready |= events[i].ready;
#ifndef SMARTCACHE_NO_SERVER
        sci_watch_is_ready(loop, watch);
#endif
    }
    sci_loop_settle(loop);
#ifndef SMARTCACHE_NO_SERVER
    sci_loop_settle_steady(loop);
#endif
    sci_loop_fire_timers(loop);
#ifndef SMARTCACHE_NO_SERVER
    sci_loop_run_hooks(loop);
#endif
    return prepared != SC_OK ? prepared : status;
}

SCI_PRIVATE bool sci_loop_dispatch(sci_loop *loop)
{
    const uintptr_t self = sci_thread_self();
    bool has_run = false;
    sci_link due; /* those that they post have to wait: a callback may post another for ever */
    if (loop->dispatcher)
        return false;
    loop->dispatcher = self;
    sci_list_init(&due);
    sci_list_move_all(&due, &loop->posts);
    for (sci_link *link = sci_list_take_first(&due); link; link = sci_list_take_first(&due)) {
        sci_post *post = SCI_CONTAINER(link, sci_post, link);
        sci_loop_unlock(loop);
        post->run(post);
        sci_loop_lock(loop);
        has_run = true;
        if (loop->dispatcher != self)
            return true; /* this is a forked child now: the others are its parent's */
    }
    loop->dispatcher = 0;
    if (!sci_list_is_empty(&loop->posts))
        sci_loop_wake(loop);
    return has_run;
}
