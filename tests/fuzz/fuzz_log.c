/* The log's loader: no file breaks it, or leaks; a refused one stays as it is; and what was loaded
   is there again after the log was closed, or rewritten and closed.

   The first 4 bytes of an input steer: what to do, where the file is to be damaged (2 bytes), and
   how. The rest is the file as it is, or batches with \xff between, to which their records are
   added, since nobody guesses a check. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "support/disk.c"
#include "unit/log_digest.h"

#include <stdlib.h>

#define STEER_BYTES 4
#define DO_REPAIR 1u
#define DO_RECORDS 2u
#define DO_FLIP 4u
#define DO_CUT 8u
#define DO_REWRITE 16u
#define DO_RISK 32u /* the batches say that nothing before them was synced */
#define BATCH_END 0xff
#define MAX_INPUT_BYTES 8192
#define MAX_FILE_BYTES (MAX_INPUT_BYTES * (SCI_LOG_RECORD_BYTES + 1) + SCI_LOG_RECORD_BYTES)
#define MEMORY_BYTES ((size_t)8 << 20)
#define MAX_TICKS 1000
#define NOW_MS INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct machine {
    sc_memory memory;
    sc_clock clock;
    sc_random random;
    size_t live_bytes;
    size_t bound_bytes;
    disk disk;
    sc_server *server;
} machine;

static char file[MAX_FILE_BYTES];
static size_t file_len;

static void *resize(void *user, void *block, size_t old_size, size_t new_size)
{
    machine *self = (machine *)user;
    if (new_size == 0) {
        free(block);
        self->live_bytes -= old_size;
        return NULL;
    }
    if (new_size > old_size && new_size - old_size > self->bound_bytes - self->live_bytes)
        return NULL;
    void *resized = realloc(block, new_size);
    must(resized != NULL, "no memory");
    self->live_bytes += new_size - old_size;
    return resized;
}

static int64_t monotonic_ns(void *user)
{
    (void)user;
    return NOW_MS * SCI_LOG_NS_PER_MS;
}

static int64_t wall_ms(void *user)
{
    (void)user;
    return NOW_MS;
}

static sc_status fill(void *user, void *buffer, size_t len)
{
    (void)user;
    memset(buffer, 42, len);
    return SC_OK;
}

/* --- The file */

static void add(const void *bytes, size_t len)
{
    memcpy(file + file_len, bytes, len);
    file_len += len;
}

static void add_batch(const sci_hash_seed *seed, const uint8_t *bytes, size_t len, bool is_at_risk)
{
    char words[SCI_LOG_RECORD_BYTES];
    sci_log_record record;
    memset(&record, 0, sizeof record);
    record.at = file_len;
    record.bytes = len;
    record.at_risk = is_at_risk ? file_len : 0;
    record.check = sci_log_record_check(seed, sc_bytes((const char *)bytes, len));
    add(words, sci_log_record_batch(words, seed, &record));
    add(bytes, len);
}

static void make_file(const uint8_t *steer, const uint8_t *bytes, size_t len)
{
    char words[SCI_LOG_RECORD_BYTES];
    sci_hash_seed seed;
    size_t at = 0;
    file_len = 0;
    if (steer[0] & DO_RECORDS) {
        seed.k0 = 1;
        seed.k1 = 2;
        add(words, sci_log_record_first(words, &seed));
        while (at < len) {
            const uint8_t *end = (const uint8_t *)memchr(bytes + at, BATCH_END, len - at);
            size_t batch = end ? (size_t)(end - bytes) - at : len - at;
            add_batch(&seed, bytes + at, batch, (steer[0] & DO_RISK) != 0);
            at += batch + 1;
        }
    } else {
        add(bytes, len);
    }
    size_t damage = ((size_t)steer[1] << 8 | steer[2]) % (file_len + 1);
    if (steer[0] & DO_FLIP && damage < file_len)
        file[damage] = (char)(file[damage] ^ steer[3]);
    if (steer[0] & DO_CUT)
        file_len = damage;
}

/* --- The server */

static void begin(machine *self)
{
    memset(self, 0, sizeof *self);
    self->memory.user = self;
    self->memory.resize = resize;
    self->bound_bytes = MEMORY_BYTES;
    self->clock.monotonic_ns = monotonic_ns;
    self->clock.wall_ms = wall_ms;
    self->random.fill = fill;
    disk_init(&self->disk, (size_t)1 << 30, sc_fail);
}

static sc_status open_log(machine *self, bool repair)
{
    sc_server_config config;
    sci_log_config log;
    memset(&config, 0, sizeof config);
    config.memory = &self->memory;
    config.clock = &self->clock;
    config.random = &self->random;
    config.sync = SC_SYNC_ALWAYS;
    config.polled = true;
    log.path = "log";
    log.sync = SC_SYNC_ALWAYS;
    log.repair = repair;
    log.rewrite_min_bytes = UINT64_MAX;
    log.files = &self->disk.table;
    must(sci_server_create(&config, &self->server) == SC_OK, "no server");
    sc_status status = sci_log_open(self->server, &log, &self->server->log);
    if (status != SC_OK) {
        sci_server_free(self->server);
        self->server = NULL;
    }
    return status;
}

/* Do what is due: what has expired goes, a rewriting comes to its end. */
static void settle(machine *self)
{
    for (size_t i = 0; i < MAX_TICKS; i++) {
        int64_t due_ns = sci_server_tick(self->server);
        sci_server_commit(self->server);
        if (due_ns > monotonic_ns(NULL))
            break;
    }
}

static uint64_t close_log(machine *self)
{
    settle(self);
    uint64_t state = log_digest_of(self->server);
    sci_server_free(self->server);
    self->server = NULL;
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    machine self;
    if (size < STEER_BYTES || size > MAX_INPUT_BYTES)
        return 0;
    unsigned what = data[0];
    make_file(data, data + STEER_BYTES, size - STEER_BYTES);
    begin(&self);
    disk_put(&self.disk, "log", file, file_len);
    if (open_log(&self, (what & DO_REPAIR) != 0) == SC_OK) {
        self.bound_bytes *= 4; /* what fitted once fits again */
        settle(&self);
        if (what & DO_REWRITE)
            (void)sci_log_rewrite(self.server->log);
        uint64_t state = close_log(&self);
        must(open_log(&self, false) == SC_OK, "a log that was closed is refused");
        must(close_log(&self) == state, "something else was loaded than before");
    } else if (!(what & DO_REPAIR)) {
        size_t len = 0;
        const char *kept = disk_look(&self.disk, "log", &len);
        must(len == file_len && memcmp(kept, file, len) == 0, "a refused log was changed");
    }
    must(self.live_bytes == 0, "memory is not given back");
    must(disk_free(&self.disk), "files are open");
    return 0;
}
