#pragma once
/* Subscriptions of a client: one connection, any number of channels and listeners. All locked. */

#include "client/client.h"

typedef enum sci_listen_event {
    SCI_LISTEN_MESSAGE,
    SCI_LISTEN_READY,  /* the server has confirmed: for the first time, or after a gap */
    SCI_LISTEN_FAILED, /* the first attempt to connect failed; more will follow */
    SCI_LISTEN_REFUSED /* the server refuses this channel (ACL) */
} sci_listen_event;

/* Someone who listens to a channel or pattern. The owner frees it after sci_listener_remove. */
typedef struct sci_listener {
    sci_link link;         /* in the channel's listeners */
    sci_link pending_link; /* in the subscriber's list of those who have heard nothing yet */
    struct sci_channel *channel;
    bool is_confirmed; /* READY was told since the connection stands */
    /* Locked; may add and remove listeners, this one too. `message` for SCI_LISTEN_MESSAGE. */
    void (*event)(struct sci_listener *listener, sci_listen_event event, const sc_message *message);
} sci_listener;

/* Begin to listen. READY comes later, or at once within this call when the channel is confirmed
   already. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_listener_add(sc_client *client, sci_listener *listener, sc_slice name,
                                       bool is_pattern);
/* Stop. Fine for one that is not listening. */
SCI_PRIVATE void sci_listener_remove(sc_client *client, sci_listener *listener);

/* For life.c and wire.c. */
SCI_PRIVATE void sci_subscriber_ready(sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_lost(sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_failed(sci_subscriber *subscriber);
SCI_PRIVATE bool sci_subscriber_is_wanted(const sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_reply(sci_subscriber *subscriber, const sc_item *item);
SCI_PRIVATE void sci_subscriber_check(sci_subscriber *subscriber);
SCI_PRIVATE void sci_subscriber_free(sci_subscriber *subscriber);
/* Status and words of the last failed attempt, or refusal. */
SCI_PRIVATE const char *sci_subscriber_failure(const sc_client *client, sc_status *status);
/* For sc_close: end what the program has not unsubscribed. */
SCI_PRIVATE void sci_subscriptions_end_all(sc_client *client);
