/* Publish/subscribe: callbacks for a channel and for a pattern, on a thread of the client's own,
   and the notice that tells of a gap.

       cc -O2 -I. examples/publish_subscribe.c -o publish_subscribe -pthread
       ./publish_subscribe [URL]

   Without a URL: the environment's SMARTCACHE_URL, else redis://localhost. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Each message reaches the channel's subscription and the pattern's. */
enum { MESSAGES = 3, EXPECTED = 2 * MESSAGES, PATIENCE_S = 10 };

typedef struct inbox {
    pthread_mutex_t lock; /* over `received` */
    pthread_cond_t changed;
    int received;
} inbox;

static void failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
}

/* Runs on the client's thread, one message at a time and in order. What it is given lives until it
   returns. */
static void on_message(void *user, sc_status status, const sc_message *message)
{
    inbox *in = (inbox *)user;
    if (status == SC_GAP) {
        /* The connection was lost and is back. What was published meanwhile is gone: a program
           reads anew here whatever its messages were about. */
        printf("there may be a gap: read again\n");
        return;
    }
    printf("%s %.*s: %.*s\n", message->pattern.len ? "by pattern, " : "by channel, ",
           (int)message->channel.len, message->channel.data, (int)message->payload.len,
           message->payload.data);
    pthread_mutex_lock(&in->lock);
    in->received++;
    pthread_cond_signal(&in->changed);
    pthread_mutex_unlock(&in->lock);
}

static int wait_for_all(inbox *in)
{
    struct timespec deadline;
    int received;
    int given_up = 0;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&in->lock);
    while (in->received < EXPECTED && !given_up)
        given_up = pthread_cond_timedwait(&in->changed, &in->lock, &deadline);
    received = in->received;
    pthread_mutex_unlock(&in->lock);
    return received;
}

static sc_status publish(sc_client *client)
{
    static const char *const news[MESSAGES] = {"tea is 3.20", "coffee is 4.10", "milk is out"};
    sc_status status = SC_OK;
    for (int i = 0; i < MESSAGES && status == SC_OK; i++)
        status = sc_command_strings(client, NULL, "PUBLISH", "example:prices", news[i],
                                    (const char *)NULL);
    return status;
}

int main(int argc, char **argv)
{
    inbox in;
    sc_config config = {0};
    sc_client *client = NULL;
    sc_subscription by_channel = 0;
    sc_subscription by_pattern = 0;
    int received = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    in.received = 0;
    pthread_mutex_init(&in.lock, NULL);
    pthread_cond_init(&in.changed, NULL);
    config.url = argc > 1 ? argv[1] : getenv("SMARTCACHE_URL");

    sc_status status = sc_open(&config, &client);
    /* When these return, the server has confirmed them: nothing published from now on is missed. */
    if (status == SC_OK)
        status = sc_subscribe(client, sc_text("example:prices"), on_message, &in, &by_channel);
    if (status == SC_OK)
        status = sc_psubscribe(client, sc_text("example:p*"), on_message, &in, &by_pattern);
    if (status == SC_OK)
        status = publish(client);
    if (status == SC_OK)
        received = wait_for_all(&in);
    if (status != SC_OK)
        failed("publish and subscribe", status);

    /* After this the callback does not run any more, so what it uses may go. */
    if (by_channel)
        (void)sc_unsubscribe(client, by_channel);
    if (by_pattern)
        (void)sc_unsubscribe(client, by_pattern);
    sc_close(client);
    pthread_cond_destroy(&in.changed);
    pthread_mutex_destroy(&in.lock);
    printf("received %d of %d\n", received, EXPECTED);
    return received == EXPECTED ? 0 : 1;
}
