#pragma once
/* A second client and cache beside the test's. */

#include "support/cache_test.h"

/* Another process, as far as the library can tell: nothing is shared but the server. */
typedef struct stranger {
    sc_client *client;
    sc_cache *cache;
} stranger;

static inline stranger stranger_open_at(const char *url, const char *prefix)
{
    stranger other;
    other.client = test_open_url(url);
    other.cache = cache_open(other.client, prefix);
    return other;
}

static inline stranger stranger_open(const char *prefix)
{
    return stranger_open_at(test_url(), prefix);
}

static inline void stranger_close(stranger *other)
{
    sc_cache_close(other->cache);
    assert_status(SC_OK, sc_close(other->client));
}
