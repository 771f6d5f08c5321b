#pragma once
/* Commands of the server whose allocations fail, one after the other. */

#include "server_test.h"

typedef struct server_memory_test {
    void (*fill)(sci_session *session); /* what is there before */
    const char *const *questions;       /* the replies to these are all that matters */
    size_t question_count;
    /* Without memory this command may end half done, since it does two things; or NULL. */
    const char *may_be_partial;
} server_memory_test;

#define SERVER_MEMORY_TEST_STATE_BYTES ((size_t)1 << 20)

static inline void server_test_restart(void)
{
    sc_server_config config = server_test_config();
    sci_server_free(test.server);
    test.server = NULL;
    assert_int_equal(sci_server_create(&config, &test.server), SC_OK);
}

static inline void server_memory_test_state(const server_memory_test *on, char *state)
{
    sci_session *session = session_new();
    size_t len = 0;
    for (size_t i = 0; i < on->question_count; i++) {
        const char *reply = session_ask(session, on->questions[i]);
        assert_true(len + strlen(reply) < SERVER_MEMORY_TEST_STATE_BYTES);
        memcpy(state + len, reply, strlen(reply) + 1);
        len += strlen(reply);
    }
    sci_session_close(session);
}

/* With the allocation of that number failing; false: there are not so many. */
static inline bool server_memory_test_step(const server_memory_test *on, const char *line,
                                           size_t request)
{
    static char before[SERVER_MEMORY_TEST_STATE_BYTES], after[SERVER_MEMORY_TEST_STATE_BYTES];
    server_test_restart();
    sci_session *session = session_new();
    on->fill(session);
    server_memory_test_state(on, before);
    fault_memory_restart_counts(&test.memory);
    fault_memory_fail(&test.memory, request, true);
    bool is_refused = session_ask(session, line)[0] == '-';
    fault_memory_fail(&test.memory, 0, false);
    bool has_failed = fault_memory_failures(&test.memory) > 0;
    server_memory_test_state(on, after);
    if (is_refused)
        assert_string_equal(after, before);
    else if (has_failed && !session->is_broken)
        assert_true(on->may_be_partial &&
                    strncmp(line, on->may_be_partial, strlen(on->may_be_partial)) == 0);
    return has_failed;
}

/* Each allocation of the command fails in turn. When it is answered by an error, nothing has
   changed; when it could not be answered, the connection has ended. */
static inline void server_memory_test_command(const server_memory_test *on, const char *line)
{
    size_t request = 1;
    while (server_memory_test_step(on, line, request))
        request++;
}
