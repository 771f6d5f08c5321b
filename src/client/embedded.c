/* The server of a client that is in the same process, or may be. */

#include "client/embedded.h"

#include "base/error.h"
#include "server/open.h"
#include "server/pipe.h"
#include "server/words.h"

/* One of the url's words about the server, as `read` understands it. */
static sc_status sci_embedded_refuse(const char *name, const char *word, const char *expected)
{
    return sc_fail(SC_ERR_URL, "URL: %s=%s, expected %s", name, word, expected);
}

/* What the url says of the server. */
static sc_status sci_embedded_read_words(const sci_url *url, sc_server_config *config)
{
    const char *maxmemory = url->server[SCI_URL_MAXMEMORY];
    const char *policy = url->server[SCI_URL_POLICY];
    const char *databases = url->server[SCI_URL_DATABASES];
    const char *when = url->server[SCI_URL_SYNC];
    uint64_t bytes = 0;
    int64_t count = 0;
    if (maxmemory && (!sci_bytes_from_text(sc_text(maxmemory), &bytes) || bytes > SIZE_MAX))
        return sci_embedded_refuse("maxmemory", maxmemory, "a size such as 64mb");
    if (policy && !sci_eviction_from_text(sc_text(policy), &config->eviction))
        return sci_embedded_refuse("policy", policy,
                                   "one of Redis's maxmemory-policy, such as allkeys-lfu");
    if (databases &&
        (!sci_text_to_i64(sc_text(databases), &count) || count < 1 || count > INT16_MAX))
        return sci_embedded_refuse("databases", databases, "a number of databases");
    if (when && !sci_sync_from_text(sc_text(when), &config->sync))
        return sci_embedded_refuse("sync", when, "always, everysec or never");
    if (when && !url->path)
        return sci_embedded_refuse("sync", when, "a path before it: there is no log without one");
    config->max_memory_bytes = (size_t)bytes;
    config->databases = (int)count;
    return SC_OK;
}

static sc_status sci_embedded_check(const sc_client *client, const sc_config *config)
{
    if (config->transport)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_config.transport is not for a server in the same process");
    if (config->server && client->url.scheme == SCI_SCHEME_EMBEDDED && client->url.path)
        return sc_fail(SC_ERR_ARGUMENT, "sc_config.server, and a url with a path");
    return SC_OK;
}

/* A server of its own, or a share in one. */
static sc_status sci_embedded_make_server(sci_embedded *embedded, const sc_config *config,
                                          const sc_clock *clock)
{
    sc_client *client = embedded->client;
    sc_server_config server;
    memset(&server, 0, sizeof server);
    sc_status status = sci_embedded_read_words(&client->url, &server);
    if (status != SC_OK)
        return status;
    server.polled = config->polled;
    server.memory = &client->memory;
    server.clock = clock;
    server.random = &client->random;
    server.logger = &client->logger;
    if (client->url.path)
        return sci_share_open(client, &server, &embedded->share);
    embedded->is_own = true;
    return sci_server_create(&server, &embedded->server);
}

SCI_PRIVATE sc_status sci_embedded_open(sc_client *client, const sc_config *config,
                                        const sc_clock *clock)
{
    sc_status status = sci_embedded_check(client, config);
    if (status != SC_OK)
        return status;
    sci_embedded *embedded = (sci_embedded *)sci_alloc_zeroed(&client->memory, sizeof *embedded);
    if (!embedded)
        return SC_ERR_MEMORY;
    client->embedded = embedded;
    embedded->client = client;
    embedded->server = config->server;
    if (!embedded->server)
        status = sci_embedded_make_server(embedded, config, clock);
    if (embedded->share)
        sci_share_transport(embedded->share, &client->transport);
    else if (status == SC_OK)
        sci_pipe_transport(&client->transport, embedded->server);
    return status;
}

SCI_PRIVATE void sci_embedded_begin(sc_client *client)
{
    sci_embedded *embedded = client->embedded;
    if (!embedded || !embedded->server || embedded->server->host || embedded->server->is_torn)
        return;
    sci_minder_begin(&embedded->minder, embedded->server, &client->loop);
    embedded->is_minding = true;
}

SCI_PRIVATE void sci_embedded_end(sc_client *client)
{
    sci_embedded *embedded = client->embedded;
    if (embedded && embedded->is_minding)
        sci_minder_end(&embedded->minder);
    if (embedded)
        embedded->is_minding = false;
}

SCI_PRIVATE void sci_embedded_close(sc_client *client)
{
    sci_embedded *embedded = client->embedded;
    if (!embedded)
        return;
    sci_share_close(embedded->share);
    if (embedded->is_own)
        sc_server_close(embedded->server);
    sci_free(&client->memory, embedded, sizeof *embedded);
    client->embedded = NULL;
}

/* A private server that was caught in a change begins anew, and empty: what it held was a cache. */
static void sci_embedded_renew(sci_embedded *embedded)
{
    sc_client *client = embedded->client;
    sc_server_config config = embedded->server->config;
    config.memory = &client->memory;
    config.clock = &client->loop.clock;
    config.random = &client->random;
    config.logger = &client->logger;
    config.password = NULL;
    sc_server *fresh;
    if (sci_server_create(&config, &fresh) == SC_OK)
        embedded->server = fresh;
    sci_pipe_transport(&client->transport, embedded->server);
}

SCI_PRIVATE void sci_embedded_after_fork(sc_client *client)
{
    sci_embedded *embedded = client->embedded;
    if (!embedded)
        return;
    embedded->is_minding = false;
    if (embedded->share) {
        sci_share_after_fork(embedded->share);
        return;
    }
    if (!embedded->is_own)
        sci_server_mind_fork(embedded->server);
    else
        sci_server_after_fork(embedded->server);
    if (embedded->is_own && embedded->server->is_torn)
        sci_embedded_renew(embedded);
}
