#pragma once
/* What the tests of the library's scripts share: steps drawn from a seed, and a script as one server
   runs it. */

#include "support/client_test.h"

#include <stdio.h>

static uint64_t chance_state;

static inline size_t chance(size_t below)
{
    chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(chance_state >> 33) % below;
}

static inline const char *one_of(const char *const *list, size_t count)
{
    return list[chance(count)];
}

/* What a reply is, as text that two servers must have alike. */
typedef void (*script_describe)(const sc_item *item, char *out, size_t cap);

/* Run it; `out` says what it answered, or the beginning of its error. */
static inline void script_run(sc_client *client, const char *source, const char *const *keys,
                              size_t key_count, const char *const *args, size_t count,
                              script_describe describe, char *out, size_t cap)
{
    sc_script *script = NULL;
    sc_reply *reply = NULL;
    sc_slice names[8];
    sc_slice words[16];
    for (size_t i = 0; i < key_count; i++)
        names[i] = sc_text(keys[i]);
    for (size_t i = 0; i < count; i++)
        words[i] = sc_text(args[i]);
    assert_status(SC_OK, sc_script_create(NULL, source, &script));
    sc_status status = sc_eval(client, script, names, key_count, words, count, NULL, &reply);
    if (status == SC_OK)
        describe(sc_reply_item(reply), out, cap);
    else
        snprintf(out, cap, "%s %.9s", sc_status_name(status), sc_error_text());
    sc_reply_release(reply);
    sc_script_free(script);
}
