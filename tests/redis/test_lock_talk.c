/* What is said to the server: a renewal, by what the server knows; and last words. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "lock_test.h"
#include "support/fake_server.h"

#define GRANTED "*2\r\n:1\r\n:5\r\n"
#define TTL_TEXT "1000000000" /* NEVER_MS */

typedef struct talk {
    fake_server *server;
    sc_client *client;
    contender mine;
} talk;

/* A lock that is held, of a server that follows these scripts. */
static void talk_begin(talk *self, const fake_script *scripts, size_t count)
{
    self->server = fake_server_start(test.kind, scripts, count);
    sc_config config = test_config(fake_server_url(self->server));
    config.backoff_min_ms = 1;
    config.backoff_max_ms = 1;
    self->client = test_open(&config);
    contender_open_key(&self->mine, self->client, "job");
    assert_status(SC_OK, sc_lock_try(self->mine.lock));
}

static void talk_end(talk *self)
{
    contender_close(&self->mine);
    assert_status(SC_OK, sc_close(self->client));
    assert_int_equal(fake_server_mismatches(self->server), 0);
    fake_server_stop(self->server);
}

/* The last command that begins with `word`, of those that came so far. */
static void talk_find(talk *self, const char *word, char *text, size_t cap)
{
    char command[2048];
    *text = '\0';
    for (size_t i = 0; fake_server_command(self->server, i, command, sizeof command); i++)
        if (!strncmp(command, word, strlen(word)))
            snprintf(text, cap, "%s", command);
}

static void where_the_server_compares_a_renewal_is_a_set(void **state)
{
    char expected[256];
    char said[256];
    const fake_step steps[] = {
        fake_expect("EVALSHA"), fake_reply(GRANTED),  fake_expect("SET"),
        fake_reply("+OK\r\n"),  fake_expect("SET"),   fake_reply("$-1\r\n"),
        fake_expect("EVALSHA"), fake_reply(":0\r\n"), /* it leaves what it has lost */
    };
    const fake_script script = {steps, COUNT_OF(steps), false};
    talk self;
    (void)state;
    talk_begin(&self, &script, 1);
    const char *token = self.mine.lock->token;
    snprintf(expected, sizeof expected, "SET job %.*s IFEQ %.*s PX " TTL_TEXT, SCI_TOKEN_LEN, token,
             SCI_TOKEN_LEN, token);
    assert_status(SC_OK, sc_lock_extend(self.mine.lock, 0));
    talk_find(&self, "SET", said, sizeof said);
    assert_string_equal(said, expected);
    assert_int_equal(contender_losses(&self.mine), 0);
    assert_status(SC_LOST, sc_lock_extend(self.mine.lock, 0));
    talk_end(&self);
}

/* An error is no loss, and each connection, perhaps to another server, is asked once. */
static void where_it_does_not_compare_a_renewal_is_a_script(void **state)
{
    const fake_step refuses[] = {
        fake_expect("EVALSHA"), fake_reply(GRANTED),
        fake_expect("SET"),     fake_reply("-ERR syntax error\r\n"),
        fake_expect("EVALSHA"), fake_reply(":1\r\n"),
        fake_expect("EVALSHA"), fake_reply(":1\r\n"),
        fake_close(),
    };
    const fake_step compares[] = {
        fake_expect("SET"),
        fake_reply("+OK\r\n"),
        fake_expect("EVALSHA"),
        fake_reply(":1\r\n"),
    };
    const fake_script scripts[] = {{refuses, COUNT_OF(refuses), false},
                                   {compares, COUNT_OF(compares), false}};
    char said[256];
    talk self;
    (void)state;
    talk_begin(&self, scripts, COUNT_OF(scripts));
    assert_status(SC_OK, sc_lock_extend(self.mine.lock, 0));
    talk_find(&self, "EVALSHA", said, sizeof said);
    assert_non_null(strstr(said, self.mine.lock->scripts[2].sha1));
    assert_status(SC_OK, sc_lock_extend(self.mine.lock, 0));
    assert_int_equal(fake_server_commands_of(self.server, "SET"), 1);
    WAIT_UNTIL(fake_server_open_connections(self.server) == 0);
    WAIT_UNTIL(sc_lock_extend(self.mine.lock, 0) == SC_OK);
    assert_int_equal(fake_server_commands_of(self.server, "SET"), 2);
    assert_int_equal(contender_losses(&self.mine), 0);
    assert_status(SC_OK, sc_lock_release(self.mine.lock));
    talk_end(&self);
}

/* --- last words */

/* The system's transport; counts what is sent. */
static sc_transport counting;
static uint32_t sends; /* atomic */
static sc_status (*transmit)(void *stream, const void *data, size_t len, size_t *sent);

static sc_status count_and_transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    __atomic_add_fetch(&sends, 1, __ATOMIC_ACQ_REL);
    return transmit(stream, data, len, sent);
}

/* The first farewell, so that a server which cannot answer it any more still has the second one in
   its hands; and not before both were heard: else it may have read neither. */
static void closing_says_all_in_one_go_and_waits_until_it_is_heard(void **state)
{
    const fake_step steps[] = {
        fake_expect("EVALSHA"),  fake_reply(GRANTED),  fake_expect("EVALSHA"),
        fake_reply(GRANTED),     fake_expect("EVAL"),  fake_reply(":1\r\n"),
        fake_expect("EVAL"),     fake_reply(":1\r\n"), fake_exactly("PING"),
        fake_reply("+PONG\r\n"),
    };
    const fake_script script = {steps, COUNT_OF(steps), false};
    contender other;
    talk self;
    (void)state;
    assert_true(sc_platform_transport(&counting));
    transmit = counting.transmit;
    counting.transmit = count_and_transmit;
    test.transport = &counting;
    talk_begin(&self, &script, 1);
    test.transport = NULL;
    contender_open_key(&other, self.client, "task");
    assert_status(SC_OK, sc_lock_try(other.lock));
    size_t pings = fake_server_commands_of(self.server, "PING");
    uint32_t before = __atomic_load_n(&sends, __ATOMIC_ACQUIRE);
    assert_status(SC_OK, sc_close(self.client));
    assert_int_equal(__atomic_load_n(&sends, __ATOMIC_ACQUIRE) - before, 2);
    WAIT_UNTIL(fake_server_commands_of(self.server, "EVAL") == 2);
    WAIT_UNTIL(fake_server_commands_of(self.server, "PING") == pings + 1);
    self.client = NULL;
    contender_close(&other);
    talk_end(&self);
}

static void closing_waits_for_nothing_when_nothing_is_held(void **state)
{
    const fake_step steps[] = {
        fake_expect("EVALSHA"), fake_reply(GRANTED),    fake_expect("EVALSHA"),
        fake_reply(":1\r\n"),   fake_expect("nothing"),
    };
    const fake_script script = {steps, COUNT_OF(steps), false};
    talk self;
    (void)state;
    talk_begin(&self, &script, 1);
    assert_status(SC_OK, sc_lock_release(self.mine.lock));
    size_t said = fake_server_commands(self.server);
    assert_status(SC_OK, sc_close(self.client));
    WAIT_UNTIL(fake_server_open_connections(self.server) == 0);
    assert_int_equal(fake_server_commands(self.server), said);
    self.client = NULL;
    talk_end(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(where_the_server_compares_a_renewal_is_a_set),
        bare_unit_test(where_it_does_not_compare_a_renewal_is_a_script),
        bare_unit_test(closing_says_all_in_one_go_and_waits_until_it_is_heard),
        bare_unit_test(closing_waits_for_nothing_when_nothing_is_held),
    };
    return run_on_both_wires("what locks say", tests);
}
