/* First steps: open a Redis URL, run commands, read typed replies, see the words of an error.

       cc -O2 -I. examples/first_steps.c -o first_steps -pthread
       ./first_steps [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_COUNTER "example:first_steps:visits"
#define KEY_USER "example:first_steps:user"

static int failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
    return 1;
}

/* A command is its words. A reply is the caller's until it is released. */
static sc_status count_a_visit(sc_client *client, int64_t *visits)
{
    sc_reply *reply = NULL;
    sc_status status = sc_command_strings(client, &reply, "INCR", KEY_COUNTER, (const char *)NULL);
    if (status == SC_OK)
        status = sc_item_integer(sc_reply_item(reply), visits);
    sc_reply_release(reply);
    return status;
}

/* Words that may hold any byte are slices: no quoting, no format string. */
static sc_status store_user(sc_client *client)
{
    static const char picture[] = {'\0', '\r', '\n', '"', '\xff'};
    sc_slice words[6];
    words[0] = sc_text("HSET");
    words[1] = sc_text(KEY_USER);
    words[2] = sc_text("name");
    words[3] = sc_text("Ada Lovelace");
    words[4] = sc_text("picture");
    words[5] = sc_bytes(picture, sizeof picture);
    /* No reply wanted: it is checked and dropped. */
    return sc_command(client, words, 6, NULL, NULL);
}

static sc_status print_user(sc_client *client)
{
    sc_reply *reply = NULL;
    sc_status status = sc_command_strings(client, &reply, "HGETALL", KEY_USER, (const char *)NULL);
    if (status == SC_OK) {
        const sc_item *fields = sc_reply_item(reply);
        sc_slice name = sc_item_slice(sc_item_find(fields, sc_text("name")));
        sc_slice picture = sc_item_slice(sc_item_find(fields, sc_text("picture")));
        printf("the user is %.*s, with a picture of %zu bytes\n", (int)name.len, name.data,
               picture.len);
    }
    sc_reply_release(reply);
    return status;
}

int main(int argc, char **argv)
{
    sc_config config = {0};
    sc_client *client = NULL;
    sc_reply *reply = NULL;
    int64_t visits = 0;

    config.url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL"); /* NULL means redis://localhost */
    config.timeout_ms = 2000;
    sc_status status = sc_open(&config, &client);
    if (status != SC_OK)
        return failed("open", status);

    for (int i = 0; i < 3 && status == SC_OK; i++)
        status = count_a_visit(client, &visits);
    if (status == SC_OK)
        printf("this was visit %" PRId64 "\n", visits);
    if (status == SC_OK)
        status = store_user(client);
    if (status == SC_OK)
        status = print_user(client);

    /* A server's error is a status too, and its words are at hand. */
    if (status == SC_OK) {
        sc_status refused =
            sc_command_strings(client, &reply, "INCR", KEY_USER, (const char *)NULL);
        printf("INCR of a hash: %s: %s\n", sc_status_name(refused), sc_error_text());
        sc_reply_release(reply);
        status = sc_command_strings(client, NULL, "DEL", KEY_COUNTER, KEY_USER, (const char *)NULL);
    }
    if (status != SC_OK)
        failed("a command", status);
    sc_close(client);
    return status == SC_OK ? 0 : 1;
}
