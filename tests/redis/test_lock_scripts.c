/* The scripts of locks, drawn at random and run as Lua by redis-server and natively by the embedded
   server: the same answers, and the same keys afterwards. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "script_test.h"

#include <stdlib.h>

#define STEPS 3000
#define NEAR_MS 20000 /* two servers asked one after the other, on a busy machine */

/* Beyond the time, so that both count. */
#define FENCE "3000000000000000"

static sc_client *sides[2]; /* redis-server, embedded */

static const char *const names[4] = {"fence", "lock", "queue", "alive"};
static const char *const least_fences[3] = {"5", FENCE, "3000000000000500"};
static const char *const tokens[3] = {"token a", "token b", "token c"};
static const char *const waiters[4] = {"w1", "w2", "w3", "w4"};
static const char *const fairs[2] = {"0", "1"};
static const char *const places[2] = {"0", "100000"};
static const char *const limits[3] = {"1", "2", "2147483647"};
static const char *const shared_tokens[4] = {"token a", "token b", "token c", "writer"};

static bool is_shared; /* the scripts of locks with several holders */
static bool is_lead;   /* those of elections that share their key */
static const char *const lead_tokens[4] = {"0123456789abcdef0123456789abcdef:alice",
                                           "0123456789abcdef0123456789abcde1:alice",
                                           "0123456789abcdef0123456789abcde2:bob", "short"};

/* The same text; a number after "~" is a time, which passes between two servers. */
static bool is_alike(const char *one, const char *other)
{
    const char *time = strchr(one, '~');
    const char *other_time = strchr(other, '~');
    if (!time || !other_time)
        return strcmp(one, other) == 0;
    return time - one == other_time - other && memcmp(one, other, (size_t)(time - one)) == 0 &&
           llabs(atoll(time + 1) - atoll(other_time + 1)) < NEAR_MS;
}

/* A reply as text. */
static void describe(const sc_item *item, char *out, size_t cap)
{
    int64_t first = -1;
    int64_t second = -1;
    sc_slice text = sc_item_slice(item);
    (void)sc_item_integer(sc_item_at(item, 0), &first);
    (void)sc_item_integer(sc_item_at(item, 1), &second);
    if (sc_item_kind(item) == SC_ARRAY && first == 0 && second >= 0)
        snprintf(out, cap, "held ~%lld", (long long)second);
    else if (sc_item_kind(item) == SC_ARRAY)
        snprintf(out, cap, "%lld %lld", (long long)first, (long long)second);
    else if (sc_item_kind(item) == SC_INTEGER && sc_item_integer(item, &first) == SC_OK)
        snprintf(out, cap, "%lld", (long long)first);
    else
        snprintf(out, cap, "%d %.*s", (int)sc_item_kind(item), (int)text.len,
                 text.len ? text.data : "");
}

static void run(sc_client *client, const char *source, size_t key_count, const char *const *args,
                size_t count, char *out, size_t cap)
{
    script_run(client, source, names, key_count, args, count, describe, out, cap);
}

/* One step on both sides; `did` says what it was. */
static void step(char *did, size_t cap, char answers[2][128])
{
    const char *lock[8] = {is_shared ? one_of(shared_tokens, 4)
                           : is_lead ? one_of(lead_tokens, 4)
                                     : one_of(tokens, 3),
                           "100000",
                           one_of(waiters, 4),
                           one_of(places, 2),
                           one_of(fairs, 2),
                           one_of(limits, 3),
                           "0",
                           "to:"};
    const char *unlock[4] = {lock[0], lock[2], lock[4], "to:"};
    const char *renew[3] = {lock[0], "200000", "0"};
    const char *fence[2] = {lock[0], one_of(least_fences, 3)};
    const char *others[][6] = {
        {"DEL", "lock"},
        {"SET", "lock", "foreign"},
        {"SET", "lock", "foreign", "PX", "100000"},
        {"SET", "lock", "alice"},
        {"HDEL", "alive", "leader"},
        {"ZADD", "queue", "1", "dead"},
        {"HSET", "alive", lock[2], "1"},
        {"HSET", "alive", lock[2], "no number"},
        {"DEL", "queue"},
        {"SET", "fence", FENCE},
        {"SET", "queue", "a string"},
        {"RPUSH", "lock", "an element"},
        {"DEL", "lock", "queue"},
        {"ZADD", "lock", "5", "token c"},
        {"ZREM", "lock", "writer"},
    };
    if (strcmp(lock[0], "writer") == 0)
        lock[5] = "1";
    size_t what = chance(21);
    size_t other = chance(COUNT_OF(others));
    for (size_t i = 0; i < 2; i++) {
        if (what < 9) {
            snprintf(did, cap, "lock %s %s %s %s", lock[0], lock[2], lock[3], lock[4]);
            run(sides[i],
                is_shared ? SCI_SCRIPT_SHARE
                : is_lead ? SCI_SCRIPT_LEAD
                          : SCI_SCRIPT_LOCK,
                4, lock, is_shared ? 8 : 5, answers[i], 128);
        } else if (what < 14) {
            snprintf(did, cap, "unlock %s %s %s", unlock[0], unlock[1], unlock[2]);
            run(sides[i],
                is_shared ? SCI_SCRIPT_UNSHARE
                : is_lead ? SCI_SCRIPT_UNLEAD
                          : SCI_SCRIPT_UNLOCK,
                4, unlock, 4, answers[i], 128);
        } else if (what < 15) {
            snprintf(did, cap, "renew %s", renew[0]);
            run(sides[i],
                is_shared ? SCI_SCRIPT_RENEW_SHARE
                : is_lead ? SCI_SCRIPT_RENEW_LEAD
                          : SCI_SCRIPT_RENEW,
                4, renew, is_shared ? 3 : 2, answers[i], 128);
        } else if (what < 16) {
            snprintf(did, cap, "fence %s %s", fence[0], fence[1]);
            run(sides[i], SCI_SCRIPT_FENCE, 3, fence, 2, answers[i], 128);
        } else {
            sc_slice words[6];
            size_t count = 0;
            for (; count < 6 && others[other][count]; count++)
                words[count] = sc_text(others[other][count]);
            snprintf(did, cap, "%s %s ...", others[other][0], others[other][1]);
            snprintf(answers[i], 128, "%s",
                     sc_status_name(sc_command(sides[i], words, count, NULL, NULL)));
        }
    }
}

/* What a command says, as text; times only by whether there is one. */
static void ask(sc_client *client, char *out, size_t cap, const char *command, const char *key,
                const char *more, const char *most)
{
    sc_reply *reply = NULL;
    size_t at = 0;
    if (test_call(client, NULL, &reply, command, key, more, most, (const char *)NULL) != SC_OK) {
        snprintf(out, cap, "%.9s", sc_error_text());
        return;
    }
    const sc_item *item = sc_reply_item(reply);
    int64_t number = 0;
    out[0] = '\0';
    if (sc_item_kind(item) == SC_INTEGER && sc_item_integer(item, &number) == SC_OK)
        snprintf(out, cap, "%s%lld", strcmp(command, "PTTL") == 0 && number > 0 ? "~" : "",
                 (long long)number);
    else if (sc_item_kind(item) == SC_STRING && strcmp(command, "ZSCORE") == 0)
        snprintf(out, cap, "there");
    else if (sc_item_kind(item) == SC_STRING)
        snprintf(out, cap, "%.*s", (int)sc_item_slice(item).len, sc_item_slice(item).data);
    for (size_t i = 0; i < sc_item_count(item) && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%.*s,",
                               (int)sc_item_slice(sc_item_at(item, i)).len,
                               sc_item_slice(sc_item_at(item, i)).data);
    sc_reply_release(reply);
}

static void compare(const char *did, size_t number)
{
    const char *const questions[][4] = {
        {"GET", "lock"},
        {"PTTL", "lock"},
        {"GET", "fence"},
        {"PTTL", "fence"},
        {"ZRANGE", "queue", "0", "-1"},
        {"PTTL", "queue"},
        {"PTTL", "alive"},

        {"ZCARD", "lock"},
        {"ZSCORE", "lock", "token a"},
        {"ZSCORE", "lock", "token b"},
        {"ZSCORE", "lock", "writer"},
        {"HGET", "alive", "leader"},
        {"HEXISTS", "alive", "w1"},
        {"HEXISTS", "alive", "w2"},
        {"HEXISTS", "alive", "w3"},
        {"HEXISTS", "alive", "w4"},
    };
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        char states[2][256];
        for (size_t side = 0; side < 2; side++)
            ask(sides[side], states[side], sizeof states[side], questions[i][0], questions[i][1],
                questions[i][2], questions[i][3]);
        if (!is_alike(states[0], states[1]))
            fail_msg("step %zu, %s: %s %s is \"%s\" by Lua and \"%s\" natively", number, did,
                     questions[i][0], questions[i][1], states[0], states[1]);
    }
}

static void ignore(void *user, sc_status status, const sc_message *message)
{
    (void)user;
    (void)status;
    (void)message;
}

static void run_alike(void)
{
    sc_subscription subscription;
    size_t granted = 0;
    size_t queued = 0;
    sides[0] = test.client;
    sides[1] = test_open_url("embedded:");
    for (size_t side = 0; side < 2; side++) {
        assert_status(
            SC_OK, test_call(sides[side], NULL, NULL, "SET", "fence", FENCE, (const char *)NULL));
        assert_status(SC_OK,
                      sc_subscribe(sides[side], sc_text("to:w1"), ignore, NULL, &subscription));
    }
    chance_state = 20261129;
    for (size_t number = 0; number < STEPS; number++) {
        char did[128];
        char answers[2][128];
        step(did, sizeof did, answers);
        if (!is_alike(answers[0], answers[1]))
            fail_msg("step %zu, %s: \"%s\" by Lua and \"%s\" natively", number, did, answers[0],
                     answers[1]);
        granted += answers[0][0] == '1' && answers[0][1] == ' ';
        queued += strncmp(answers[0], "held", 4) == 0;
        compare(did, number);
    }
    assert_true(granted > STEPS / 20 && queued > STEPS / 20);
    assert_status(SC_OK, sc_close(sides[1]));
}

static void native_scripts_do_what_the_lua_ones_do(void **state)
{
    (void)state;
    is_shared = false;
    run_alike();
}

static void those_of_shared_locks_do_too(void **state)
{
    (void)state;
    is_shared = true;
    run_alike();
}

static void those_of_elections_with_a_shared_key_do_too(void **state)
{
    (void)state;
    is_shared = false;
    is_lead = true;
    run_alike();
    is_lead = false;
}

/* A question that was sent again, or a copy of it that comes late: the holder's token stays good. */
static void a_repeat_has_the_fencing_token_of_the_first(void **state)
{
    const char *const scripts[2] = {SCI_SCRIPT_LOCK, SCI_SCRIPT_LEAD};
    const char *const unlocks[2] = {SCI_SCRIPT_UNLOCK, SCI_SCRIPT_UNLEAD};
    (void)state;
    sides[0] = test.client;
    sides[1] = test_open_url("embedded:");
    for (size_t which = 0; which < 4; which++) {
        const char *const lock[5] = {lead_tokens[0], "100000", "w1", "0", "0"};
        const char *const unlock[4] = {lock[0], lock[2], "0", "to:"};
        char first[128];
        char second[128];
        sc_client *side = sides[which / 2];
        run(side, scripts[which % 2], 4, lock, 5, first, sizeof first);
        assert_memory_equal(first, "1 ", 2);
        run(side, scripts[which % 2], 4, lock, 5, second, sizeof second);
        assert_string_equal(second, first);
        run(side, unlocks[which % 2], 4, unlock, 4, second, sizeof second);
        assert_string_equal(second, "1");
        run(side, scripts[which % 2], 4, lock, 5, second, sizeof second);
        assert_memory_equal(second, "1 ", 2);
        assert_true(atoll(second + 2) > atoll(first + 2));
        run(side, unlocks[which % 2], 4, unlock, 4, second, sizeof second);
    }
    assert_status(SC_OK, sc_close(sides[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(native_scripts_do_what_the_lua_ones_do),
        client_unit_test(those_of_shared_locks_do_too),
        client_unit_test(those_of_elections_with_a_shared_key_do_too),
        client_unit_test(a_repeat_has_the_fencing_token_of_the_first),
    };
    test_begin(WIRE_UNIX);
    return test_end(cmocka_run_group_tests_name("scripts of locks", tests, test_group_setup,
                                                test_group_teardown));
}
