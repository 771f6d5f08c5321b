#pragma once
/* Server URLs (RFC 3986; the redis scheme as registered with IANA). */

#include "base/memory.h"

typedef enum sci_scheme {
    SCI_SCHEME_REDIS = 1,
    SCI_SCHEME_REDISS,
    SCI_SCHEME_UNIX,
    SCI_SCHEME_EMBEDDED
} sci_scheme;

/* Options of `embedded:`: how the server is to be. */
typedef enum sci_url_server {
    SCI_URL_MAXMEMORY,
    SCI_URL_POLICY,
    SCI_URL_DATABASES,
    SCI_URL_SYNC
} sci_url_server;
#define SCI_URL_SERVER_WORDS (SCI_URL_SYNC + 1)

typedef struct sci_url {
    sc_memory memory;
    sci_scheme scheme;
    char *host;                 /* owned; decoded, IPv6 without brackets; NULL without authority */
    char *path;                 /* owned; decoded; of unix, and of a shared embedded server */
    char *user;                 /* owned; NULL when absent */
    char *password;             /* owned; NULL when absent; wiped on freeing */
    char *name;                 /* owned; client name (`name=`); NULL when absent */
    uint16_t port;              /* 6379 when absent */
    int db;                     /* 0 when absent */
    int64_t timeout_ms;         /* `timeout=`, -1 when absent */
    int64_t connect_timeout_ms; /* `connect_timeout=`, -1 when absent */
#ifndef SMARTCACHE_NO_SERVER
    char *server[SCI_URL_SERVER_WORDS]; /* owned; as they stand, by sci_url_server; NULL: absent */
#endif
} sci_url;

/* redis://[user[:password]@]host[:port][/db][?options], rediss:// likewise,
   unix://[user[:password]@]/path[?options]; options: db, timeout, connect_timeout, name, user,
   password, each at most once and not also in its place before the '?'. embedded:[/path][?options];
   options: db, timeout, connect_timeout, name, and the server's. Durations are above 0:
   `1500`, `1500ms`, `2s`, `1m`. Host defaults to localhost; an empty user or password counts as
   absent. Each part but the port may be percent-encoded. An interface that is named in an IPv6 host
   is kept: `[fe80::1%25eth0]` gives `fe80::1%eth0`. SC_ERR_URL names the offset, the character and
   what was expected (never the password); SC_ERR_MEMORY. After an error `*url` is empty, and
   freeing it is fine. */
SCI_PRIVATE sc_status sci_url_parse(const sc_memory *memory, const char *text, sci_url *url);
#ifndef SMARTCACHE_NO_SERVER
/* The same for a place to listen at: the port may be 0. */
SCI_PRIVATE sc_status sci_url_parse_place(const sc_memory *memory, const char *text, sci_url *url);
#endif
SCI_PRIVATE void sci_url_free(sci_url *url);
