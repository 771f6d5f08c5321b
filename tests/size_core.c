/* What `make size` measures: a program that uses what is called the core, and nothing else of the
   library: commands and typed replies, the lock map, distributed locks, get-or-load in both forms,
   set, delete, invalidate, and sc_poll. On a system it also runs: `size_core URL` prints the bytes of heap that a
   client holds after it opened, pinged and read. */

#include "smartcache.h"

/* A loader, and a computation under the lock map. */
static sc_status make_report(sc_load *load, void *user)
{
    return sc_load_write_text(load, (const char *)user);
}

static sc_status make_value(void *user, sc_slice key, sc_value **value)
{
    (void)user;
    return sc_value_create(NULL, key, value);
}

static void on_value(void *user, sc_status status, sc_value *value)
{
    int64_t *bytes = (int64_t *)user;
    *bytes = status == SC_OK ? (int64_t)sc_value_bytes(value).len : -1;
}

static sc_status run_command(sc_client *client)
{
    sc_reply *reply = NULL;
    sc_slice words[3];
    sc_slice bytes;
    int64_t number;
    words[0] = sc_text("SET");
    words[1] = sc_text("size");
    words[2] = sc_text("1");
    sc_status status = sc_command(client, words, 3, NULL, NULL);
    words[0] = sc_text("GET");
    if (status == SC_OK)
        status = sc_command(client, words, 2, NULL, &reply);
    if (status == SC_OK)
        status = sc_item_bytes(sc_reply_item(reply), &bytes);
    sc_reply_release(reply);
    words[0] = sc_text("DEL");
    if (status == SC_OK)
        status = sc_command(client, words, 2, NULL, &reply);
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(reply), &number);
    sc_reply_release(reply);
    return status;
}

static sc_status run_lockmap(void)
{
    sc_lockmap *map = NULL;
    sc_keylock *lock = NULL;
    sc_value *value = NULL;
    sc_status status = sc_lockmap_open(NULL, NULL, &map);
    if (status == SC_OK)
        status = sc_keylock_acquire(map, sc_text("size"), 0, &lock);
    sc_keylock_release(lock);
    if (status == SC_OK)
        status = sc_single_flight(map, sc_text("size"), -1, make_value, NULL, &value);
    sc_value_release(value);
    sc_lockmap_close(map);
    return status;
}

static void on_lost(void *user, sc_lock *lock)
{
    (void)lock;
    *(bool *)user = true;
}

static sc_status run_lock(sc_client *client)
{
    bool is_lost = false;
    sc_lock_config config = {0};
    sc_lock *lock = NULL;
    config.key = sc_text("size");
    config.on_lost = on_lost;
    config.user = &is_lost;
    sc_status status = sc_lock_open(client, &config, &lock);
    if (status == SC_OK)
        status = sc_lock_acquire(lock, 0);
    if (status == SC_OK)
        status = sc_lock_extend(lock, 0);
    if (status == SC_OK && (sc_lock_remaining_ms(lock) <= 0 || sc_lock_fencing_token(lock) <= 0))
        status = SC_LOST;
    if (status == SC_OK)
        status = sc_lock_release(lock);
    sc_lock_close(lock);
    return is_lost ? SC_LOST : status;
}

static sc_status run_cache(sc_client *client)
{
    static char report[] = "report";
    sc_cache *cache = NULL;
    sc_value *value = NULL;
    int64_t bytes = 0;
    sc_slice key = sc_text("size");
    sc_status status = sc_cache_open(client, NULL, &cache);
    if (status == SC_OK)
        status = sc_get_or_load(cache, key, make_report, report, NULL, &value);
    sc_value_release(value);
    if (status == SC_OK)
        status = sc_get_or_load_async(cache, key, make_report, report, NULL, on_value, &bytes);
    while (status == SC_OK && bytes == 0)
        status = sc_poll(client, 100);
    if (status == SC_OK)
        status = sc_set(cache, key, sc_text("set"), 0);
    if (status == SC_OK)
        status = sc_get(cache, key, &value);
    sc_value_release(value);
    if (status == SC_OK)
        status = sc_invalidate(cache, key);
    if (status == SC_OK && sc_delete(cache, key) != SC_MISS)
        status = SC_ERR_REPLY;
    sc_cache_close(cache);
    return status;
}

/* All of it. A system without POSIX gives its tables in `config`; it is where the linker begins. */
sc_status size_core(const sc_config *config);
sc_status size_core(const sc_config *config)
{
    sc_client *client = NULL;
    sc_status status = sc_open(config, &client);
    if (status == SC_OK)
        status = run_command(client);
    if (status == SC_OK)
        status = run_lockmap();
    if (status == SC_OK)
        status = run_lock(client);
    if (status == SC_OK)
        status = run_cache(client);
    sc_close(client);
    return status;
}

#ifndef SMARTCACHE_NO_POSIX
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct counts {
    size_t bytes; /* now */
    size_t peak_bytes;
} counts;

static void *counted_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    counts *heap = (counts *)user;
    void *moved = NULL;
    if (new_size == 0)
        free(block);
    else
        moved = realloc(block, new_size);
    if (new_size == 0 || moved) {
        heap->bytes += new_size - old_size;
        if (heap->bytes > heap->peak_bytes)
            heap->peak_bytes = heap->bytes;
    }
    return moved;
}

/* One thread: a program that polls, so that no other allocates. */
static sc_status print_idle_heap(const sc_config *config, const counts *heap)
{
    sc_client *client = NULL;
    sc_status status = sc_open(config, &client);
    if (status == SC_OK)
        status = sc_command_strings(client, NULL, "PING", (const char *)NULL);
    if (status == SC_OK)
        status = sc_command_strings(client, NULL, "GET", "size", (const char *)NULL);
    if (status == SC_OK)
        printf("heap %zu peak %zu\n", heap->bytes, heap->peak_bytes);
    sc_close(client);
    return status;
}

int main(int argc, char **argv)
{
    counts heap = {0, 0};
    sc_memory memory;
    sc_config config;
    memset(&config, 0, sizeof config);
    memory.user = &heap;
    memory.resize = counted_resize;
    config.url = argc > 1 ? argv[1] : NULL;
    config.memory = &memory;
    config.polled = true;
    sc_status status = print_idle_heap(&config, &heap);
    if (status == SC_OK)
        status = size_core(&config);
    if (status != SC_OK)
        fprintf(stderr, "%s: %s\n", sc_status_name(status), sc_error_text());
    return status == SC_OK && heap.bytes == 0 ? 0 : 1;
}
#endif
