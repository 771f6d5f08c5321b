#pragma once
/* What the tests of connections share. */

#include "support/client_test.h"

/* A call until it succeeds: after a loss, back-off may refuse some. */
static inline void until_it_answers(sc_client *client)
{
    sc_status status = SC_OK;
    bool reached;
    WAIT_REACHED(reached,
                 (status = sc_command_strings(client, NULL, "PING", (const char *)NULL)) == SC_OK);
    if (!reached)
        fail_msg("still %s: %s", sc_status_name(status), sc_error_text());
}

static inline void quick_backoff(sc_config *config)
{
    config->backoff_min_ms = 1;
    config->backoff_max_ms = 10;
}

static inline sc_status get(sc_client *client, const sc_call_options *options, sc_reply **reply)
{
    return test_call(client, options, reply, "GET", "k", (const char *)NULL);
}
