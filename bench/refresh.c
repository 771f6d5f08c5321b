/* A job's refresh: rows a second and memory, next to redis-cli --pipe with the same rows; and readers
   that look for torn results while a job of a list, a hash and a set is built again and again.
   BENCH_ROWS (1,000,000) and BENCH_REFRESHES (20, of 100,000 rows) in the environment change the
   sizes. */

#include "bench.h"

#include <pthread.h>

#define REFRESH_READER_ROWS 100000
#define REFRESH_READERS 2
#define REFRESH_PIPE_ROUNDS 3
#define REFRESH_MEMORY_BOUND_MIB 8.0
#define ROW_BYTES 96

static size_t number_of(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text && atoll(text) > 0 ? (size_t)atoll(text) : otherwise;
}

/* --- memory */

static size_t live_bytes; /* atomic, as the next one */
static size_t peak_bytes;

static void *count_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    size_t live = __atomic_add_fetch(&live_bytes, new_size - old_size, __ATOMIC_RELAXED);
    if (live > __atomic_load_n(&peak_bytes, __ATOMIC_RELAXED))
        __atomic_store_n(&peak_bytes, live, __ATOMIC_RELAXED);
    if (new_size > 0)
        return realloc(block, new_size);
    free(block);
    return NULL;
}

static const sc_memory counting = {NULL, count_resize};

/* --- the job */

typedef struct work {
    size_t rows;
    int64_t generation;
    double begin_ns;
    double took_ns;
    uint32_t ends; /* atomic */
    sc_status status;
} work;

/* Without printf, which would cost more than all else. */
static size_t write_number(char *text, size_t number)
{
    char digits[24];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    for (size_t i = 0; i < count; i++)
        text[i] = digits[count - 1 - i];
    return count;
}

static size_t write_row(char *text, size_t index, int64_t generation)
{
    static const char begin[] = "{\"name\":\"somebody or other\",\"city\":\"somewhere\",\"g\":";
    size_t len = sizeof begin - 1;
    memcpy(text, begin, len);
    len += write_number(text + len, (size_t)generation);
    memcpy(text + len, ",\"id\":", 6);
    len += 6;
    len += write_number(text + len, index);
    text[len++] = '}';
    return len;
}

static sc_status fetch(sc_job_run *run, void *user)
{
    work *self = (work *)user;
    sc_status status = SC_OK;
    self->begin_ns = bench_now_ns();
    for (size_t i = 0; i < self->rows && status == SC_OK; i++) {
        char text[ROW_BYTES];
        char id[24];
        sc_job_row row;
        memset(&row, 0, sizeof row);
        row.value = sc_bytes(text, write_row(text, i, self->generation));
        row.id = sc_bytes(id, write_number(id, i));
        status = sc_job_add(run, &row);
    }
    return status;
}

static void ended(void *user, sc_job *job, const sc_job_stats *stats)
{
    work *self = (work *)user;
    (void)job;
    self->took_ns = bench_now_ns() - self->begin_ns;
    self->status = stats->status;
    if (stats->status != SC_OK)
        fprintf(stderr, "bench: %s\n", stats->words);
    __atomic_add_fetch(&self->ends, 1, __ATOMIC_ACQ_REL);
}

static void await_end(work *self, uint32_t ends)
{
    while (__atomic_load_n(&self->ends, __ATOMIC_ACQUIRE) < ends)
        usleep(200);
    bench_must(self->status == SC_OK, "a build failed");
}

static sc_job_config config_of(work *self, const sc_job_key *keys, size_t key_count)
{
    sc_job_config config;
    memset(&config, 0, sizeof config);
    config.name = "bench";
    config.keys = keys;
    config.key_count = key_count;
    config.fetch = fetch;
    config.user = self;
    config.interval_ms = 1000000000;
    config.on_end = ended;
    return config;
}

static sc_election *lead(sc_client *client)
{
    sc_election_config config;
    sc_election *election;
    memset(&config, 0, sizeof config);
    config.key = sc_text("leader");
    bench_must(sc_election_open(client, &config, &election) == SC_OK, "no election");
    bench_must(sc_election_campaign(election) == SC_OK, "no campaign");
    bench_must(sc_election_await(election, -1) == SC_OK, "not elected");
    return election;
}

/* --- the peer */

/* The same rows, a command a row. */
static double pipe_rows(size_t rows)
{
    char command[512];
    snprintf(command, sizeof command, "redis-cli -s %s --pipe >/dev/null",
             bench_environment("BENCH_UNIX"));
    double begin_ns = bench_now_ns();
    FILE *pipe = popen(command, "w");
    bench_must(pipe != NULL, "redis-cli");
    for (size_t i = 0; i < rows; i++) {
        char text[ROW_BYTES];
        char id[24];
        size_t len = write_row(text, i, 0);
        size_t id_len = write_number(id, i);
        fprintf(pipe, "*4\r\n$4\r\nHSET\r\n$4\r\npeer\r\n$%zu\r\n%.*s\r\n$%zu\r\n", id_len,
                (int)id_len, id, len);
        fwrite(text, 1, len, pipe);
        fwrite("\r\n", 1, 2, pipe);
    }
    bench_must(pclose(pipe) == 0, "redis-cli --pipe");
    return bench_now_ns() - begin_ns;
}

static void remove_key(sc_client *client, const char *key)
{
    bench_must(sc_command_strings(client, NULL, "UNLINK", key, (const char *)NULL) == SC_OK,
               "UNLINK");
}

static void bench_throughput(sc_client *client, sc_election *election)
{
    static const sc_job_key key = {{"rows", 4}, SC_JOB_HASH};
    size_t rows = number_of("BENCH_ROWS", 1000000);
    size_t rounds = rows > 2000000 ? 1 : REFRESH_PIPE_ROUNDS;
    double ours_s[REFRESH_PIPE_ROUNDS];
    double peer_s[REFRESH_PIPE_ROUNDS];
    double ratios[REFRESH_PIPE_ROUNDS];
    size_t peak = 0;
    for (size_t i = 0; i < rounds; i++) {
        work self;
        sc_job *job;
        memset(&self, 0, sizeof self);
        self.rows = rows;
        sc_job_config config = config_of(&self, &key, 1);
        size_t before = __atomic_load_n(&live_bytes, __ATOMIC_RELAXED);
        __atomic_store_n(&peak_bytes, before, __ATOMIC_RELAXED);
        bench_must(sc_job_open(election, &config, &job) == SC_OK, "no job");
        await_end(&self, 1);
        size_t used = __atomic_load_n(&peak_bytes, __ATOMIC_RELAXED) - before;
        peak = used > peak ? used : peak;
        sc_job_close(job);
        remove_key(client, "rows");
        ours_s[i] = (double)rows / (self.took_ns / 1e9);
        peer_s[i] = (double)rows / (pipe_rows(rows) / 1e9);
        ratios[i] = ours_s[i] / peer_s[i];
        remove_key(client, "peer");
    }
    char name[64];
    snprintf(name, sizeof name, "refresh_hash_%zuk_rows", rows / 1000);
    bench_line(name, "k/s", bench_median(ours_s, rounds) / 1e3, "redis-cli--pipe",
               bench_median(peer_s, rounds) / 1e3, bench_median(ratios, rounds), true, 0.8);
    snprintf(name, sizeof name, "refresh_hash_%zuk_memory", rows / 1000);
    double peak_mib = (double)peak / 1048576;
    bench_line(name, "MiB", peak_mib, "bound", REFRESH_MEMORY_BOUND_MIB,
               peak_mib / REFRESH_MEMORY_BOUND_MIB, false, 1.0);
}

/* --- readers */

typedef struct readers {
    uint32_t stops; /* atomic, as the next ones */
    uint64_t reads;
    uint64_t torn;
} readers;

static long generation_in(const sc_item *item)
{
    sc_slice text = sc_item_slice(item);
    char copy[ROW_BYTES + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.len ? text.data : "");
    const char *at = strstr(copy, "\"g\":");
    return at ? atol(at + 4) : -1;
}

/* In one transaction, whose answers must be of one build. */
static bool is_whole(sc_pipeline *pipeline)
{
    sc_reply *reply = NULL;
    bool is_good = true;
    sc_pipeline_add_strings(pipeline, "LLEN", "list", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "HLEN", "hash", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "SCARD", "set", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "LINDEX", "list", "-1", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "HGET", "hash", "77777", (const char *)NULL);
    sc_pipeline_add_strings(pipeline, "SRANDMEMBER", "set", (const char *)NULL);
    bench_must(sc_pipeline_exec(pipeline, NULL, &reply) == SC_OK, "EXEC");
    const sc_item *all = sc_reply_item(reply);
    for (size_t i = 0; i < 3; i++) {
        int64_t size = 0;
        is_good = is_good && sc_item_integer(sc_item_at(all, i), &size) == SC_OK &&
                  size == REFRESH_READER_ROWS;
    }
    long generation = generation_in(sc_item_at(all, 3));
    is_good = is_good && generation >= 0 && generation_in(sc_item_at(all, 4)) == generation &&
              generation_in(sc_item_at(all, 5)) == generation;
    sc_reply_release(reply);
    return is_good;
}

static void *read_on(void *argument)
{
    readers *self = (readers *)argument;
    sc_client *client = bench_open(false);
    sc_pipeline *pipeline;
    bench_must(sc_pipeline_open(client, &pipeline) == SC_OK, "no pipeline");
    while (!__atomic_load_n(&self->stops, __ATOMIC_ACQUIRE)) {
        if (!is_whole(pipeline))
            __atomic_add_fetch(&self->torn, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&self->reads, 1, __ATOMIC_RELAXED);
    }
    sc_pipeline_close(pipeline);
    (void)sc_close(client);
    return NULL;
}

static void bench_readers(sc_election *election)
{
    static const sc_job_key keys[3] = {
        {{"list", 4}, SC_JOB_LIST}, {{"hash", 4}, SC_JOB_HASH}, {{"set", 3}, SC_JOB_SET}};
    size_t refreshes = number_of("BENCH_REFRESHES", 20);
    pthread_t threads[REFRESH_READERS];
    readers all;
    work self;
    sc_job *job;
    memset(&all, 0, sizeof all);
    memset(&self, 0, sizeof self);
    self.rows = REFRESH_READER_ROWS;
    sc_job_config config = config_of(&self, keys, 3);
    bench_must(sc_job_open(election, &config, &job) == SC_OK, "no job");
    await_end(&self, 1);
    for (size_t i = 0; i < REFRESH_READERS; i++)
        bench_must(pthread_create(&threads[i], NULL, read_on, &all) == 0, "no thread");
    for (size_t i = 1; i <= refreshes; i++) {
        self.generation = (int64_t)i;
        bench_must(sc_job_trigger(job) == SC_OK, "trigger");
        await_end(&self, (uint32_t)i + 1);
    }
    __atomic_store_n(&all.stops, 1, __ATOMIC_RELEASE);
    for (size_t i = 0; i < REFRESH_READERS; i++)
        pthread_join(threads[i], NULL);
    sc_job_close(job);
    printf("# %zu refreshes of 3 x %d rows, %llu reads\n", refreshes, REFRESH_READER_ROWS,
           (unsigned long long)all.reads);
    bench_line("refresh_torn_reads", "", (double)all.torn, "bound", 0, (double)all.torn, false, 0);
}

int main(void)
{
    char url[256];
    sc_config config;
    sc_client *client;
    snprintf(url, sizeof url, "unix://%s", bench_environment("BENCH_UNIX"));
    memset(&config, 0, sizeof config);
    config.url = url;
    config.memory = &counting;
    config.timeout_ms = -1;
    bench_must(sc_open(&config, &client) == SC_OK, "no client");
    sc_election *election = lead(client);
    bench_throughput(client, election);
    bench_readers(election);
    sc_election_close(election);
    (void)sc_close(client);
    return 0;
}
