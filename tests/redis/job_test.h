#pragma once
/* What the tests of jobs share: an election that is won, and jobs that build so many rows of a
   generation, held up where a test wants. Only for a program that implements the library. */

#include "election_test.h"

#define BUILDER_NEVER INT64_MAX

/* A job, what its function is to give, and what its callbacks have said. */
typedef struct builder {
    sc_job *job;
    int64_t rows;       /* atomic, as the next ones */
    int64_t generation; /* in each row */
    int64_t holds_at;   /* the function waits before this row; BUILDER_NEVER */
    uint32_t fetches;   /* begun */
    uint32_t returns;
    uint32_t held; /* times that it waited */
    uint32_t ends;
    uint32_t progresses;
    sc_status fails;   /* what the function returns */
    sc_status refused; /* what sc_job_add said last, other than SC_OK */
    char refusal[SC_ERROR_TEXT_BYTES];
    sc_job_stats stats; /* of on_end */
    int64_t progress_rows;
    int64_t due_ms;
} builder;

static inline int64_t builder_get(const int64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static inline void builder_set(int64_t *number, int64_t value)
{
    __atomic_store_n(number, value, __ATOMIC_RELEASE);
}

/* Row `index` of a generation, as JSON. */
static inline sc_slice builder_row(char *text, size_t cap, int64_t index, int64_t generation)
{
    int len = snprintf(text, cap, "{\"id\":\"k%lld\",\"n\":%lld,\"g\":%lld}", (long long)index,
                       (long long)index, (long long)generation);
    return sc_bytes(text, (size_t)len);
}

static inline sc_status builder_fetch(sc_job_run *run, void *user)
{
    builder *self = (builder *)user;
    int64_t rows = builder_get(&self->rows);
    int64_t generation = builder_get(&self->generation);
    sc_status status = SC_OK;
    self->due_ms = sc_job_due_ms(run);
    tell(&self->fetches);
    for (int64_t i = 0; i <= rows && status == SC_OK; i++) {
        char text[96];
        sc_job_row row;
        memset(&row, 0, sizeof row);
        if (i == builder_get(&self->holds_at))
            tell(&self->held);
        while (i == builder_get(&self->holds_at))
            wait_a_moment();
        if (i == rows)
            break;
        row.value = builder_row(text, sizeof text, i, generation);
        status = sc_job_add(run, &row);
    }
    if (status != SC_OK)
        snprintf(self->refusal, sizeof self->refusal, "%s", sc_error_text());
    self->refused = status;
    if (status == SC_OK && self->fails != SC_OK)
        status = sc_fail(self->fails, "the table is locked");
    tell(&self->returns);
    return status;
}

static inline void builder_ended(void *user, sc_job *job, const sc_job_stats *stats)
{
    builder *self = (builder *)user;
    (void)job;
    self->stats = *stats;
    tell(&self->ends);
}

static inline void builder_progress(void *user, sc_job *job, int64_t rows)
{
    builder *self = (builder *)user;
    (void)job;
    builder_set(&self->progress_rows, rows);
    tell(&self->progresses);
}

static const sc_job_key builder_keys[5] = {{{"string", 6}, SC_JOB_STRING},
                                           {{"list", 4}, SC_JOB_LIST},
                                           {{"hash", 4}, SC_JOB_HASH},
                                           {{"set", 3}, SC_JOB_SET},
                                           {{"zset", 4}, SC_JOB_SORTED_SET}};

/* A job of all types that is built only when asked. */
static inline sc_job_config builder_config(builder *self)
{
    sc_job_config config;
    memset(&config, 0, sizeof config);
    memset(self, 0, sizeof *self);
    self->rows = 3;
    self->holds_at = BUILDER_NEVER;
    config.name = "work";
    config.keys = builder_keys;
    config.key_count = 5;
    config.fetch = builder_fetch;
    config.user = self;
    config.interval_ms = NEVER_MS;
    config.id_prop = "id";
    config.score_prop = "n";
    config.retries = -1;
    config.on_end = builder_ended;
    return config;
}

static inline void builder_open(builder *self, sc_election *election, const sc_job_config *config)
{
    assert_status(SC_OK, sc_job_open(election, config, &self->job));
    assert_non_null(self->job);
}

static inline void builder_close(builder *self)
{
    sc_job_close(self->job);
    self->job = NULL;
}

static inline void builder_await(const builder *self, uint32_t ends, sc_status expected)
{
    WAIT_UNTIL(told(&self->ends) >= ends);
    assert_int_equal(told(&self->ends), ends);
    if (self->stats.status != expected)
        fail_msg("the build ended with %s (%s), not %s", sc_status_name(self->stats.status),
                 self->stats.words, sc_status_name(expected));
}

/* Build again with these rows of the next generation. */
static inline void builder_again(builder *self, int64_t rows, sc_status expected)
{
    uint32_t ends = told(&self->ends);
    builder_set(&self->rows, rows);
    builder_set(&self->generation, self->generation + 1);
    assert_status(SC_OK, sc_job_trigger(self->job));
    builder_await(self, ends + 1, expected);
}

/* All keys have these rows of this generation, and nothing else; 0 rows: they are not there. */
static inline void builder_expect(int64_t rows, int64_t generation)
{
    char text[96];
    char expected[128];
    assert_int_equal(fixture_number("LLEN", "list"), rows);
    assert_int_equal(fixture_number("HLEN", "hash"), rows);
    assert_int_equal(fixture_number("SCARD", "set"), rows);
    assert_int_equal(fixture_number("ZCARD", "zset"), rows);
    assert_int_equal(fixture_number("EXISTS", "string"), rows > 0);
    for (int64_t i = 0; i<rows; i += rows> 20 ? rows / 7 : 1) {
        char id[24];
        char index[24];
        sc_slice row = builder_row(text, sizeof text, i, generation);
        snprintf(id, sizeof id, "k%lld", (long long)i);
        snprintf(index, sizeof index, "%lld", (long long)i);
        snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", row.len, text);
        assert_string_equal(
            fixture_command(test.server, "LINDEX", "list", index, (const char *)NULL), expected);
        assert_string_equal(fixture_command(test.server, "HGET", "hash", id, (const char *)NULL),
                            expected);
        assert_string_equal(
            fixture_command(test.server, "SISMEMBER", "set", text, (const char *)NULL), ":1\r\n");
        snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(index), index);
        assert_string_equal(
            fixture_command(test.server, "ZSCORE", "zset", text, (const char *)NULL), expected);
    }
}

/* Nothing is left of any build but its keys, the job's state, and the election's. */
static inline bool no_shadows(void)
{
    return strcmp(fixture_command(test.server, "KEYS", "sc:new*", (const char *)NULL), "*0\r\n") ==
           0;
}

static candidate leader; /* of each job_test, on test.client */

static inline int job_setup(void **state)
{
    if (test_setup(state) != 0)
        return 1;
    candidate_open_name(&leader, test.client, "alice");
    candidate_win(&leader);
    return 0;
}

static inline int job_teardown(void **state)
{
    candidate_close(&leader);
    return test_teardown(state);
}

#define job_test(function) cmocka_unit_test_setup_teardown(function, job_setup, job_teardown)
