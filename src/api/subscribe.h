#pragma once
/* Publish/subscribe. */

#include "api/client.h"

/* A subscription; 0 is none. A stale id is harmless: ids are not used twice. */
typedef uint64_t sc_subscription;

typedef struct sc_message {
    sc_slice channel;
    sc_slice pattern; /* the pattern that matched; empty for sc_subscribe */
    sc_slice payload;
} sc_message;

/* SC_OK: a message, valid during the call. SC_GAP with `message` NULL: the connection was lost and
   the subscription has been made again; messages in between are lost, so read again what they were
   about. An error with `message` NULL: the server refuses the channel (an ACL); it
   is asked again on the next connection. Called without locks, one at a time and in order, on the
   client's thread or, without one, inside sc_poll or a blocking call. May call anything but
   sc_close. */
typedef void (*sc_on_message)(void *user, sc_status status, const sc_message *message);

/* Subscribe to a channel, on a connection that the client keeps for this; when SC_OK comes back the
   server has confirmed it, so that a message published from now on arrives. It is made again after
   each reconnect. Starts the client's thread, unless `polled`. Any number of subscriptions may
   share a channel. Errors as sc_command. Blocks up to the client's timeout. */
SC_API sc_status sc_subscribe(sc_client *client, sc_slice channel, sc_on_message on_message,
                              void *user, sc_subscription *subscription);
/* The same for a glob pattern (PSUBSCRIBE). */
SC_API sc_status sc_psubscribe(sc_client *client, sc_slice pattern, sc_on_message on_message,
                               void *user, sc_subscription *subscription);
/* Does not wait for the confirmation: SC_OK means that it is being made, and `on_message` is called
   with SC_GAP and NULL once it stands. Does not block. */
SC_API sc_status sc_subscribe_async(sc_client *client, sc_slice channel, sc_on_message on_message,
                                    void *user, sc_subscription *subscription);
SC_API sc_status sc_psubscribe_async(sc_client *client, sc_slice pattern, sc_on_message on_message,
                                     void *user, sc_subscription *subscription);
/* End a subscription. When it returns, `on_message` is not running and will not run any more (from
   within `on_message` itself it returns at once). SC_MISS for a stale id. */
SC_API sc_status sc_unsubscribe(sc_client *client, sc_subscription subscription);
