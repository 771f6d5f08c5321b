#pragma once
/* A loopback proxy between a client and a server, with a hand on the wire. It runs in a thread of
   its own; every function below may be called from any thread and has taken effect when it returns.
 */

#include "endpoint.h"

typedef struct proxy proxy;

typedef enum proxy_direction {
    PROXY_TO_SERVER = 1,
    PROXY_TO_CLIENT = 2,
    PROXY_BOTH = 3
} proxy_direction;

/* Listen on `kind`, and dial `server` for each connection. */
proxy *proxy_start(wire kind, const endpoint *server);
/* Cuts what is connected and joins the thread. NULL is fine. */
void proxy_stop(proxy *relay);
const char *proxy_url(const proxy *relay);

/* Cut all connections; returns how many. New ones are taken as before. */
size_t proxy_cut(proxy *relay);
/* Cut those on which SUBSCRIBE or PSUBSCRIBE was seen, or those on which it was not. */
size_t proxy_cut_subscribers(proxy *relay);
size_t proxy_cut_others(proxy *relay);
/* Close new connections as soon as they come. */
void proxy_refuse(proxy *relay, bool refuses);
/* Take bytes of a direction and keep them from the other side; 0 ends it, and what was held goes
 * on. */
void proxy_black_hole(proxy *relay, unsigned directions);
/* Hold everything for so long on its way, each direction. */
void proxy_delay(proxy *relay, int64_t ms);
/* The next connection that carries `word` to the server (NULL: anything) is cut when the server's
   reply comes, without forwarding it: the command was executed and nobody hears of it. Once. */
void proxy_lose_reply(proxy *relay, const char *word);
/* What carried that word once more, on a connection of its own, as if it had been on its way for so
   long; returns when the server has answered. False when nothing was lost. */
bool proxy_repeat_lost(proxy *relay);
/* Replies lost that way so far. */
size_t proxy_lost_replies(proxy *relay);
/* Connections taken so far, open now, and open with a subscription seen. */
size_t proxy_connections(proxy *relay);
size_t proxy_open_connections(proxy *relay);
size_t proxy_open_subscribers(proxy *relay);
/* Bytes taken from clients so far. */
size_t proxy_bytes_to_server(proxy *relay);
