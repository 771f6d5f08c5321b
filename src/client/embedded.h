#pragma once
/* A client whose server is in this process, or may be: its own (`embedded:`), the program's
   (sc_config.server), or the one that the processes of a user share (`embedded:/folder/name`). */

#include "client/client.h"

#ifndef SMARTCACHE_NO_SERVER
#include "client/share.h"
#include "server/ticker.h"

struct sci_embedded {
    sc_client *client;
    sc_server *server; /* NULL: there is none in this process */
    sci_share *share;  /* owned; NULL: the server is not shared */
    bool is_own;       /* the server is closed with the client */
    bool is_minding;
    sci_minder minder; /* of a server without a thread of its own */
};

static inline bool sci_config_is_embedded(const sc_config *config, const sci_url *url)
{
    return config->server || url->scheme == SCI_SCHEME_EMBEDDED;
}
static inline bool sci_client_is_embedded(const sc_client *client)
{
    return client->embedded != NULL;
}
static inline bool sci_client_is_sharing(const sc_client *client)
{
    return client->embedded && client->embedded->share;
}

/* When url and tables of the client are known, all but its transport. SC_ERR_ARGUMENT, SC_ERR_URL,
   SC_ERR_IO, SC_ERR_UNSUPPORTED, SC_ERR_MEMORY. After an error too sci_embedded_close frees what
   there is. */
SCI_PRIVATE sc_status sci_embedded_open(sc_client *client, const sc_config *config,
                                        const sc_clock *clock);
/* The loop is there, or is a new one after a fork. */
SCI_PRIVATE void sci_embedded_begin(sc_client *client);
/* Connections are gone, the loop is not. */
SCI_PRIVATE void sci_embedded_end(sc_client *client);
/* Unlocked, after the end. */
SCI_PRIVATE void sci_embedded_close(sc_client *client);
/* In a forked child, before its connections and its loop are reset. */
SCI_PRIVATE void sci_embedded_after_fork(sc_client *client);
#else
static inline bool sci_config_is_embedded(const sc_config *config, const sci_url *url)
{
    (void)config;
    (void)url;
    return false;
}
static inline bool sci_client_is_embedded(const sc_client *client)
{
    (void)client;
    return false;
}
#endif
