/* Elections: opening, closing, and the calls. */

#include "coord/election.h"

#include "base/error.h"
#include "base/number.h"
#include "base/platform.h"
#include "client/conn.h"
#include "server/scripts.h"

/* A thread that waits for another state. On its stack. */
typedef struct sci_election_waiter {
    sci_link link; /* in election->waiters */
    sci_waiter waiter;
} sci_election_waiter;

static sc_status sci_election_say(const sc_election *election, sc_status status, const char *what)
{
    sc_slice key = election->keys[1];
    return sc_fail(status, "the election \"%.*s\" %s", (int)sci_min_size(key.len, 100), key.data,
                   what);
}

/* References. */

SCI_PRIVATE void sci_election_retain(sc_election *election)
{
    election->references++;
}

SCI_PRIVATE void sci_election_release(sc_election *election)
{
    sc_client *client = election->client;
    if (--election->references > 0)
        return;
    sci_list_remove(&election->close_hook.link);
    sci_list_remove(&election->fork_hook.link);
    sc_value_release(election->leader);
    sc_value_release(election->wish.words);
    sci_bytes_free(&election->names);
    sci_free(&client->memory, election, sizeof *election);
    sci_client_release(client);
}

/* Opening. */

static void sci_election_end(sc_election *election)
{
    sci_loop *loop = &election->client->loop;
    election->wants = false;
    sci_election_show(election, 0, 0);
    sci_timer_cancel(loop, &election->step_timer);
    sci_timer_cancel(loop, &election->stop_timer);
    sci_timer_cancel(loop, &election->read_timer);
    sci_election_unwatch(election);
    sci_election_wake(election);
}

/* Before the lock is given back: it is not campaigned in any more. */
static void sci_election_leaving(sci_close_hook *hook)
{
    SCI_CONTAINER(hook, sc_election, close_hook)->wants = false;
}

static void sci_election_closing(sci_close_hook *hook)
{
    sc_election *election = SCI_CONTAINER(hook, sc_election, close_hook);
    if (election->state == SCI_ELECTION_LEADING)
        sci_election_stop(election, SC_RESIGNED_CLOSED);
    sci_election_end(election);
}

static sc_status sci_election_configure(sc_election *election, const sc_election_config *given)
{
    static const char of[] = "sc_election_config";
    sc_election_config *config = &election->config;
    *config = *given;
    config->key = config->name = sc_bytes(NULL, 0);
    if (!config->ttl_ms)
        config->ttl_ms = SCI_ELECTION_DEFAULT_TTL_MS;
    if (!config->poll_ms)
        config->poll_ms = SCI_LOCK_DEFAULT_POLL_MS;
    if (!config->stop_margin_ms)
        config->stop_margin_ms = config->ttl_ms / SCI_ELECTION_DEFAULT_MARGIN_PART;
    sc_status status = sci_check_ms(of, "ttl_ms", config->ttl_ms, SCI_LOCK_LEAST_TTL_MS, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "poll_ms", config->poll_ms, 1, INT32_MAX);
    if (status == SC_OK)
        status = sci_check_ms(of, "stop_margin_ms", config->stop_margin_ms, -1, config->ttl_ms / 2);
    config->stop_margin_ms = sci_max_i64(config->stop_margin_ms, 0);
    return status;
}

/* The lock that it stands on. */
static sc_status sci_election_open_lock(sc_election *election, sc_slice key)
{
    bool interop = election->config.interop;
    sc_lock_config config;
    memset(&config, 0, sizeof config);
    config.key = key;
    config.ttl_ms = election->config.ttl_ms;
    config.poll_ms = election->config.poll_ms;
    config.user = election;
    sc_status status =
        sci_lock_make(election->client, &config, interop ? SCI_SCRIPT_LEAD : SCI_SCRIPT_LOCK,
                      interop ? SCI_SCRIPT_UNLEAD : SCI_SCRIPT_UNLOCK,
                      interop ? SCI_SCRIPT_RENEW_LEAD : NULL, &election->lock);
    if (status == SC_OK)
        election->lock->changed = sci_election_lock_changed;
    return status;
}

/* Host and process as the name, unless one was given. */
static sc_status sci_election_name_anew(sc_election *election)
{
    char *text = election->lock->token + SCI_TOKEN_LEN + 1;
    int64_t process_id = 0;
    if (!election->has_default_name)
        return SC_OK;
    size_t len =
        sci_platform_host_name(text, SCI_ELECTION_NAME_BYTES - SCI_I64_TEXT_BYTES - 1, &process_id);
    if (!len)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_election_config.name is empty, and the host's name is not known");
    if (!election->config.interop) {
        text[len++] = ':';
        len += sci_i64_to_text(process_id, text + len);
    }
    election->name = sc_bytes(text, len);
    return SC_OK;
}

/* Token, ":" and name come before the lock's names, in one block: they live as long as the lock does,
   whose farewells may come after the election's end. */
static sc_status sci_election_name_lock(sc_election *election, sc_slice name)
{
    sc_lock *lock = election->lock;
    sci_lock_names *names = &lock->names;
    sc_slice old = sci_bytes_slice(&names->block);
    sc_slice *const slices[] = {&names->keys[0], &names->keys[1], &names->keys[2],
                                &names->keys[3], &names->wake,    &names->id};
    char own[SCI_ELECTION_NAME_BYTES];
    char token[SCI_TOKEN_LEN + 1];
    sci_bytes block;
    election->has_default_name = !name.len;
    memset(own, 0, sizeof own);
    memset(token, ':', sizeof token);
    if (!name.len)
        name = sc_bytes(own, sizeof own);
    sci_bytes_init(&block, &election->client->memory);
    sc_status status = sci_bytes_reserve(&block, sizeof token + name.len + old.len);
    if (status != SC_OK)
        return status;
    (void)sci_bytes_append(&block, sc_bytes(token, sizeof token));
    (void)sci_bytes_append(&block, name);
    (void)sci_bytes_append(&block, old);
    for (size_t i = 0; i < SCI_COUNT(slices); i++)
        slices[i]->data = block.data + sizeof token + name.len + (slices[i]->data - old.data);
    sci_bytes_free(&names->block);
    names->block = block;
    lock->token = block.data;
    election->name = sc_bytes(block.data + sizeof token, name.len);
    status = sci_election_name_anew(election);
    lock->token_len = sizeof token + election->name.len;
    return status;
}

static sc_status sci_election_name(sc_election *election, sc_slice key)
{
    static const char *const kinds[] = {"sc:fence", "sc:leader"};
    char number[SCI_I64_TEXT_BYTES];
    sc_slice made[1 + SCI_COUNT(kinds)];
    sci_bytes *block = &election->names;
    size_t number_len = sci_i64_to_text(election->client->url.db, number);
    /* the slices stay true since nothing moves */
    sc_status status = sci_bytes_reserve(block, 4 * (key.len + SCI_NAME_BYTES));
    if (status == SC_OK)
        status = sci_names_build(block, key, kinds, SCI_COUNT(kinds), made);
    if (status != SC_OK)
        return status;
    size_t at = sci_bytes_len(block);
    (void)sci_bytes_append_text(block, "__keyspace@");
    (void)sci_bytes_append(block, sc_bytes(number, number_len));
    (void)sci_bytes_append_text(block, "__:");
    (void)sci_bytes_append(block, key);
    election->keys[0] = made[1];
    election->keys[1] = made[0];
    election->channel = made[2];
    election->event_channel = sc_bytes(made[0].data + at, sci_bytes_len(block) - at);
    return SC_OK;
}

/* The child takes no part until it campaigns, under a name of its own. The loop's timers are gone. */
static void sci_election_forked(sci_fork_hook *hook)
{
    sc_election *election = SCI_CONTAINER(hook, sc_election, fork_hook);
    election->references -= (size_t)election->is_reading + (size_t)election->is_announcing +
                            (size_t)election->is_notifying + (size_t)election->is_posted;
    election->is_reading = election->is_announcing = election->is_notifying = false;
    election->is_posted = election->is_telling = election->has_news = false;
    election->reads = election->announces = election->wants = false;
    election->state = SCI_ELECTION_IDLE;
    election->told_term = 0;
    sci_election_show(election, 0, 0);
    sci_list_init(&election->post.link);
    sci_list_init(&election->wish.post.link);
    sci_list_init(&election->waiters);
    memset(&election->step_timer.node, 0, sizeof election->step_timer.node);
    memset(&election->stop_timer.node, 0, sizeof election->stop_timer.node);
    memset(&election->read_timer.node, 0, sizeof election->read_timer.node);
    sci_election_unwatch(election);
    if (!election->lock)
        return;
    (void)sci_election_name_anew(election);
    election->lock->token_len = SCI_TOKEN_LEN + 1 + election->name.len;
}

static sc_election *sci_election_create(sc_client *client)
{
    sc_election *election = (sc_election *)sci_alloc_zeroed(&client->memory, sizeof *election);
    if (!election)
        return NULL;
    election->client = client;
    election->references = 1;
    sci_client_retain(client);
    sci_bytes_init(&election->names, &client->memory);
    election->close_hook.leaving = sci_election_leaving;
    election->close_hook.closing = sci_election_closing;
    election->fork_hook.forked = sci_election_forked;
    election->step_timer.fire = sci_election_fire_step;
    election->stop_timer.fire = sci_election_fire_stop;
    election->read_timer.fire = sci_election_fire_read;
    election->post.run = sci_election_tell;
    sci_list_init(&election->post.link);
    sci_list_init(&election->wish.post.link);
    sci_list_init(&election->waiters);
    sci_list_init(&election->listeners);
    sci_list_init(&election->close_hook.link);
    sci_list_init(&election->fork_hook.link);
    return election;
}

SC_API sc_status sc_election_open(sc_client *client, const sc_election_config *config,
                                  sc_election **election)
{
    *election = NULL;
    if (!client || !config || !config->key.len)
        return sc_fail(SC_ERR_ARGUMENT, "%s",
                       client ? "sc_election_config.key is empty" : "the client is NULL");
    sc_election *created = sci_election_create(client);
    if (!created)
        return SC_ERR_MEMORY;
    sc_status status = sci_election_configure(created, config);
    if (status == SC_OK)
        status = sci_election_open_lock(created, config->key);
    if (status == SC_OK)
        status = sci_election_name(created, config->key);
    if (status == SC_OK)
        status = sci_election_name_lock(created, config->name);
    if (status == SC_OK)
        status = sci_client_enter(client);
    if (status != SC_OK) {
        sc_lock_close(created->lock);
        sci_election_release(created);
        return status;
    }
    sci_list_remove(&created->lock->close_hook.link); /* behind the election's */
    sci_list_append(&client->close_hooks, &created->close_hook.link);
    sci_list_append(&client->close_hooks, &created->lock->close_hook.link);
    sci_list_append(&client->fork_hooks, &created->fork_hook.link);
    sci_client_want_thread(client);
    sci_election_watch(created);
    sci_client_leave(client);
    *election = created;
    return SC_OK;
}

/* Waiting. */

SCI_PRIVATE void sci_election_wake(sc_election *election)
{
    for (sci_link *link = sci_list_take_first(&election->waiters); link;
         link = sci_list_take_first(&election->waiters))
        sci_waiter_finish(election->client,
                          &SCI_CONTAINER(link, sci_election_waiter, link)->waiter);
}

/* Until it is woken (true), or the deadline. */
static bool sci_election_sleep(sc_election *election, int64_t deadline_ns)
{
    sci_election_waiter self;
    sci_waiter_init(&self.waiter, 0);
    sci_list_init(&self.link);
    sci_list_append(&election->waiters, &self.link);
    bool is_woken = sci_waiter_wait_locked(election->client, &self.waiter, deadline_ns);
    sci_list_remove(&self.link);
    return is_woken;
}

static bool sci_election_is_in_callback(const sc_election *election)
{
    return election->client->loop.dispatcher == sci_thread_self();
}

/* The calls. */

static sc_status sci_election_enter(sc_election *election)
{
    return sci_client_enter(election ? election->client : NULL);
}

SC_API sc_status sc_election_campaign(sc_election *election)
{
    sc_status status = sci_election_enter(election);
    if (status != SC_OK)
        return status;
    if (!sci_timer_is_armed(&election->read_timer)) /* a forked child */
        sci_election_watch(election);
    election->wants = true;
    sci_election_go_on(election);
    sci_client_leave(election->client);
    return SC_OK;
}

/* How waiting has ended; SC_PENDING: not yet. */
static sc_status sci_election_outcome(const sc_election *election)
{
    if (election->state == SCI_ELECTION_LEADING)
        return SC_OK;
    if (election->client->is_closing)
        return sc_fail(SC_ERR_CLOSED, "the client was closed");
    if (election->is_closed || !election->wants)
        return sc_fail(SC_ERR_CANCELLED, "the election is not campaigned in any more");
    return SC_PENDING;
}

/* Why it does not lead yet. */
static sc_status sci_election_trouble(const sc_election *election)
{
    const sci_wish *wish = &election->wish;
    sc_slice words = sc_value_bytes(wish->words);
    if (wish->status >= 0)
        return sci_election_say(election, SC_HELD, "has another leader (wait_ms)");
    if (words.len)
        sci_error_text_set(words.data, words.len);
    return wish->status;
}

static sc_status sci_election_await_locked(sc_election *election, int64_t wait_ms)
{
    sci_loop *loop = &election->client->loop;
    if (!election->wants)
        return sci_election_say(election, SC_ERR_ARGUMENT,
                                "is not campaigned in: call sc_election_campaign");
    if (sci_election_is_in_callback(election))
        return sci_election_say(election, SC_ERR_DEADLOCK,
                                "is awaited in a callback, which holds up its own");
    int64_t deadline_ns = wait_ms < 0 || wait_ms > INT32_MAX
                              ? SCI_NEVER
                              : sci_loop_now_ns(loop) + wait_ms * SCI_NS_PER_MS;
    sc_status status;
    while ((status = sci_election_outcome(election)) == SC_PENDING)
        if (!sci_election_sleep(election, deadline_ns) && !election->client->is_closing)
            return sci_election_trouble(election);
    return status;
}

SC_API sc_status sc_election_await(sc_election *election, int64_t wait_ms)
{
    sc_status status = sci_election_enter(election);
    if (status != SC_OK)
        return status;
    sc_client *client = election->client;
    sci_election_retain(election); /* it may be closed meanwhile */
    status = sci_election_await_locked(election, wait_ms);
    sci_election_release(election);
    sci_client_leave_call(client);
    return status;
}

/* What another callback holds up is not waited for. */
static sc_status sci_election_resign_locked(sc_election *election)
{
    sc_client *client = election->client;
    bool was_leading = election->state >= SCI_ELECTION_LEADING;
    election->wants = false;
    if (election->state == SCI_ELECTION_CONTENDING) {
        election->state = SCI_ELECTION_IDLE;
        sci_lock_cancel(election->lock,
                        sci_election_say(election, SC_ERR_CANCELLED, "is not campaigned in"));
    } else if (election->state == SCI_ELECTION_LEADING) {
        sci_election_stop(election, SC_RESIGNED_ASKED);
    }
    sci_election_wake(election);
    if (!was_leading || sci_election_is_in_callback(election))
        return SC_OK;
    while (election->state >= SCI_ELECTION_LEADING && !client->is_closing && !election->is_closed &&
           !election->wants)
        (void)sci_election_sleep(election, SCI_NEVER);
    if (client->is_closing)
        return sc_fail(SC_ERR_CLOSED, "the client was closed");
    sc_slice words = sc_value_bytes(election->wish.words);
    if (words.len)
        sci_error_text_set(words.data, words.len);
    return election->wish.status < 0 ? election->wish.status : SC_OK;
}

SC_API sc_status sc_election_resign(sc_election *election)
{
    sc_status status = sci_election_enter(election);
    if (status != SC_OK)
        return status;
    sc_client *client = election->client;
    sci_election_retain(election);
    status = sci_election_resign_locked(election);
    sci_election_release(election);
    sci_client_leave_call(client);
    return status;
}

/* Let go of the lock, whose calls use the wish. Not locked. */
static void sci_election_close_lock(sc_election *election)
{
    sci_loop *loop = &election->client->loop;
    sc_lock *lock = election->lock;
    sci_loop_lock(loop);
    election->state = SCI_ELECTION_IDLE;
    sci_lock_cancel(lock, sci_election_say(election, SC_ERR_CANCELLED, "is closed"));
    lock->releaser = NULL;
    lock->changed = NULL;
    election->lock = NULL;
    sci_client_unlock(election->client);
    sc_lock_close(lock);
}

SC_API void sc_election_close(sc_election *election)
{
    if (!election)
        return;
    sc_client *client = election->client;
    sci_client_retain(client);
    (void)sc_election_resign(election);
    sci_loop_lock(&client->loop);
    election->is_closed = true;
    sci_election_end(election);
    while (election->is_telling && !sci_election_is_in_callback(election) && !client->is_closing)
        (void)sci_election_sleep(election, SCI_NEVER);
    sci_client_unlock(client);
    sci_election_close_lock(election);
    sci_loop_lock(&client->loop);
    sci_election_release(election);
    sci_client_unlock(client);
    sci_client_release(client);
}

/* What needs no question. */

SCI_PRIVATE void sci_election_show(sc_election *election, int64_t until_ns, int64_t term)
{
    uint32_t version = sci_atomic_load_relaxed(&election->view_version) + 1;
    sci_atomic_u32 *words = election->views[version & 1].words;
    sci_atomic_store_release(&words[0], (uint32_t)((uint64_t)until_ns >> 32));
    sci_atomic_store_release(&words[1], (uint32_t)(uint64_t)until_ns);
    sci_atomic_store_release(&words[2], (uint32_t)((uint64_t)term >> 32));
    sci_atomic_store_release(&words[3], (uint32_t)(uint64_t)term);
    sci_atomic_store_release(&election->view_version, version);
}

static int64_t sci_view_number(const sci_atomic_u32 words[2])
{
    uint64_t high = sci_atomic_load_acquire(&words[0]);
    return (int64_t)(high << 32 | sci_atomic_load_acquire(&words[1]));
}

/* A view is written while the version says the other one: whoever finds the version unchanged
   after reading has read it whole, and waits for nobody. */
SC_API int64_t sc_election_term(const sc_election *election)
{
    uint32_t version;
    int64_t until_ns;
    int64_t term;
    if (!election || sci_fork_guard_is_child(&election->client->fork_guard))
        return 0;
    do {
        version = sci_atomic_load_acquire(&election->view_version);
        const sci_atomic_u32 *words = election->views[version & 1].words;
        until_ns = sci_view_number(words);
        term = sci_view_number(words + 2);
    } while (version != sci_atomic_load_acquire(&election->view_version));
    return term && sci_loop_now_ns(&election->client->loop) < until_ns ? term : 0;
}

SC_API bool sc_is_leader(const sc_election *election)
{
    return sc_election_term(election) > 0;
}

SC_API sc_status sc_election_leader(sc_election *election, sc_value **name, int64_t *term)
{
    if (name)
        *name = NULL;
    if (term)
        *term = 0;
    sc_status status = sci_election_enter(election);
    if (status != SC_OK)
        return status;
    if (election->leader && name)
        *name = sc_value_retain(election->leader);
    if (election->leader && term)
        *term = election->leader_term;
    status = election->leader ? SC_OK : sci_election_say(election, SC_MISS, "has no leader");
    sci_client_leave(election->client);
    return status;
}
