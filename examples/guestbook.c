/* One program, with a server or without: a guest book that lives in a folder of this host, and later
   moves to Redis. Only the URL changes.

       cc -O2 -I. examples/guestbook.c -o guestbook -pthread
       mkdir -m 700 book
       ./guestbook embedded:$PWD/book/guests Ada     without a server
       ./guestbook embedded:$PWD/book/guests Grace   also at the same moment, from other processes
       redis-cli --pipe <book/guests.log             the move: the log is plain commands
       ./guestbook redis://localhost Barbara

   Of the processes that use the folder at the same time one serves the others; when it ends, another
   does. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <stdio.h>

#define KEY_GUESTS "guestbook:guests"
#define KEY_GREETING "guestbook:greeting"

static int failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
    return 1;
}

static sc_status sign(sc_client *client, const char *name, int64_t *guests)
{
    sc_reply *reply = NULL;
    sc_status status =
        sc_command_strings(client, &reply, "RPUSH", KEY_GUESTS, name, (const char *)NULL);
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(reply), guests);
    sc_reply_release(reply);
    return status;
}

static sc_status print_guests(sc_client *client)
{
    sc_reply *reply = NULL;
    sc_status status =
        sc_command_strings(client, &reply, "LRANGE", KEY_GUESTS, "0", "-1", (const char *)NULL);
    for (size_t i = 0; status == SC_OK && i < sc_item_count(sc_reply_item(reply)); i++) {
        sc_slice name = sc_item_slice(sc_item_at(sc_reply_item(reply), i));
        printf("%s%.*s", i ? ", " : "guests: ", (int)name.len, name.data);
    }
    if (status == SC_OK)
        printf("\n");
    sc_reply_release(reply);
    return status;
}

/* Runs once an hour, whoever asks: in whichever process, on whichever host. */
static sc_status compose_greeting(sc_load *load, void *user)
{
    return sc_load_write_text(load, (const char *)user);
}

static sc_status print_greeting(sc_client *client, char *name)
{
    sc_load_options options = {0};
    sc_cache *cache = NULL;
    sc_value *greeting = NULL;
    options.ttl_ms = 60 * 60 * 1000;
    sc_status status = sc_cache_open(client, NULL, &cache);
    if (status == SC_OK)
        status = sc_get_or_load(cache, sc_text(KEY_GREETING), compose_greeting, name, &options,
                                &greeting);
    if (status == SC_OK)
        printf("this hour's greeting is by %s\n", sc_value_bytes(greeting).data);
    sc_value_release(greeting);
    sc_cache_close(cache);
    return status;
}

int main(int argc, char **argv)
{
    sc_config config = {0};
    sc_client *client = NULL;
    int64_t guests = 0;
    if (argc != 3) {
        fprintf(stderr, "guestbook URL NAME\n");
        return 2;
    }
    config.url = argv[1];
    sc_status status = sc_open(&config, &client);
    if (status != SC_OK)
        return failed("open", status);
    status = sign(client, argv[2], &guests);
    if (status == SC_OK) {
        printf("%s is guest %d\n", argv[2], (int)guests);
        status = print_guests(client);
    }
    if (status == SC_OK)
        status = print_greeting(client, argv[2]);
    if (status != SC_OK)
        failed("the guest book", status);
    sc_close(client);
    return status == SC_OK ? 0 : 1;
}
