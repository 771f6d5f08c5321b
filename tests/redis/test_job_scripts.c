/* The scripts of jobs, drawn at random and run as Lua by redis-server and natively by the embedded
   server: the same answers, and the same keys afterwards. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "script_test.h"

#define STEPS 3000

static sc_client *sides[2]; /* redis-server, embedded */

/* What stands in a reply, times left out. */
static size_t describe(const sc_item *item, char *out, size_t cap)
{
    int64_t number = 0;
    size_t at = 0;
    sc_slice text = sc_item_slice(item);
    if (sc_item_kind(item) == SC_INTEGER && sc_item_integer(item, &number) == SC_OK)
        at += (size_t)snprintf(out, cap, "%s", number > 1000 ? "a time" : "");
    if (sc_item_kind(item) == SC_INTEGER && number <= 1000)
        at += (size_t)snprintf(out + at, cap - at, "%lld", (long long)number);
    else if (sc_item_kind(item) != SC_INTEGER && sc_item_kind(item) != SC_ARRAY)
        at +=
            (size_t)snprintf(out + at, cap - at, "%.*s", (int)text.len, text.len ? text.data : "");
    for (const sc_item *e = sc_item_first(item); e && at < cap; e = sc_item_next(item, e)) {
        at += describe(e, out + at, cap - at);
        if (at < cap)
            at += (size_t)snprintf(out + at, cap - at, ",");
    }
    return at < cap ? at : cap - 1;
}

static void describe_whole(const sc_item *item, char *out, size_t cap)
{
    (void)describe(item, out, cap);
}

/* One step on both sides; `did` says what it was. */
static void step(char *did, size_t cap, char answers[2][128])
{
    static const char *const keys[7] = {"fence", "lock", "state", "new 1", "one", "new 2", "two"};
    static const char *const dropped[5] = {"fence", "lock", "state", "one", "two"};
    static const char *const leaders[4] = {"me", "me", "me", "another"};
    static const char *const terms[3] = {"7", "7", "8"};
    static const char *const builds[3] = {"b1", "b2", "b3"};
    static const char *const counts[4] = {"2", "2", "0", "1"};
    static const char *const times[4] = {"10", "20", "30", "40"};
    static const char *const zero_or_ttl[2] = {"0", "100000"};
    static const char *const flags[2] = {"0", "1"};
    static const char *const others[][6] = {
        {"SET", "lock", "me"},
        {"SET", "lock", "me"},
        {"SET", "lock", "another"},
        {"DEL", "lock"},
        {"DEL", "fence"},
        {"SET", "fence", "7"},
        {"SET", "fence", "8"},
        {"DEL", "new 1", "new 2"},
        {"DEL", "state"},
        {"SET", "state", "a string"},
        {"SET", "one", "another's", "PX", "500000"},
        {"RPUSH", "lock", "an element"},
    };
    const char *swap[10] = {one_of(leaders, 4),
                            one_of(terms, 3),
                            one_of(builds, 3),
                            one_of(counts, 4),
                            one_of(zero_or_ttl, 2),
                            one_of(flags, 2),
                            "LLEN",
                            one_of(counts, 2),
                            "HLEN",
                            one_of(counts, 4)};
    const char *claim[5] = {swap[0], swap[1], swap[2], one_of(times, 4), one_of(times, 4)};
    static const char *const list[] = {"RPUSH", "new 1", "a", "b"};
    static const char *const hash[] = {"HSET", "new 2", "a", "1", "b", "2"};
    size_t what = chance(22);
    size_t other = chance(COUNT_OF(others));
    for (size_t i = 0; i < 2; i++) {
        sc_slice words[6];
        size_t count = 0;
        if (what < 7) {
            snprintf(did, cap, "swap %s %s %s %s %s %s %s", swap[0], swap[1], swap[2], swap[3],
                     swap[4], swap[5], swap[9]);
            script_run(sides[i], SCI_SCRIPT_SWAP, keys, 7, swap, 10, describe_whole, answers[i],
                       128);
        } else if (what < 10) {
            snprintf(did, cap, "claim %s %s %s %s %s", claim[0], claim[1], claim[2], claim[3],
                     claim[4]);
            script_run(sides[i], SCI_SCRIPT_CLAIM, keys, 3, claim, 5, describe_whole, answers[i],
                       128);
        } else if (what < 11) {
            snprintf(did, cap, "drop %s %s", swap[0], swap[1]);
            script_run(sides[i], SCI_SCRIPT_DROP, dropped, 5, swap, 2, describe_whole, answers[i],
                       128);
        } else if (what < 16) {
            const sc_slice del = sc_text("DEL");
            const char *const *fill = what % 2 ? list : hash;
            size_t len = what % 2 ? COUNT_OF(list) : COUNT_OF(hash);
            for (; count < len; count++)
                words[count] = sc_text(fill[count]);
            sc_slice first[2];
            first[0] = del;
            first[1] = words[1];
            snprintf(did, cap, "%s", fill[0]);
            (void)sc_command(sides[i], first, 2, NULL, NULL);
            snprintf(answers[i], 128, "%s",
                     sc_status_name(sc_command(sides[i], words, count, NULL, NULL)));
        } else {
            for (; count < 6 && others[other][count]; count++)
                words[count] = sc_text(others[other][count]);
            snprintf(did, cap, "%s %s ...", others[other][0], others[other][1]);
            snprintf(answers[i], 128, "%s",
                     sc_status_name(sc_command(sides[i], words, count, NULL, NULL)));
        }
    }
}

static void ask(sc_client *client, char *out, size_t cap, const char *const *words)
{
    sc_reply *reply = NULL;
    if (test_call(client, NULL, &reply, words[0], words[1], words[2], words[3], words[4],
                  (const char *)NULL) != SC_OK) {
        snprintf(out, cap, "%.9s", sc_error_text());
        return;
    }
    describe(sc_reply_item(reply), out, cap);
    sc_reply_release(reply);
}

static void compare(const char *did, size_t number)
{
    static const char *const questions[][5] = {
        {"TYPE", "one"},
        {"TYPE", "two"},
        {"EXISTS", "new 1"},
        {"EXISTS", "new 2"},
        {"PTTL", "one"},
        {"PTTL", "two"},
        {"LRANGE", "one", "0", "-1"},
        {"HGETALL", "two"},
        {"GET", "lock"},
        {"HMGET", "state", "build", "term", "rows"},
        {"HMGET", "state", "claim", "seen"},
        {"HEXISTS", "state", "at"},
    };
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        char states[2][256];
        for (size_t side = 0; side < 2; side++)
            ask(sides[side], states[side], sizeof states[side], questions[i]);
        if (strcmp(states[0], states[1]) != 0)
            fail_msg("step %zu, %s: %s %s is \"%s\" by Lua and \"%s\" natively", number, did,
                     questions[i][0], questions[i][1], states[0], states[1]);
    }
}

static void native_scripts_do_what_the_lua_ones_do(void **state)
{
    size_t swapped = 0;
    size_t claimed = 0;
    size_t lost = 0;
    (void)state;
    sides[0] = test.client;
    sides[1] = test_open_url("embedded:");
    chance_state = 20261129;
    for (size_t number = 0; number < STEPS; number++) {
        char did[128];
        char answers[2][128];
        step(did, sizeof did, answers);
        if (strcmp(answers[0], answers[1]) != 0)
            fail_msg("step %zu, %s: \"%s\" by Lua and \"%s\" natively", number, did, answers[0],
                     answers[1]);
        swapped += did[0] == 's' && strcmp(answers[0], "1") == 0;
        lost += did[0] == 's' && (strcmp(answers[0], "4") == 0 || strcmp(answers[0], "6") == 0);
        claimed += did[0] == 'c' && strcmp(answers[0], "1") == 0;
        compare(did, number);
    }
    assert_true(swapped > STEPS / 40 && claimed > STEPS / 80 && lost > STEPS / 80);
    assert_status(SC_OK, sc_close(sides[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_unit_test(native_scripts_do_what_the_lua_ones_do),
    };
    test_begin(WIRE_UNIX);
    return test_end(cmocka_run_group_tests_name("scripts of jobs", tests, test_group_setup,
                                                test_group_teardown));
}
