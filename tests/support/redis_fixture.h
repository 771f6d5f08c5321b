#pragma once
/* A real redis-server for tests, on a Unix socket and on a loopback port, empty and without
   persistence. It ends with the test, however that ends. One thread at a time uses a fixture. With
   FIXTURE_SERVER in the environment it is that program, smartcache-server. */

#include "endpoint.h"

#include <sys/types.h>

typedef struct fixture fixture;

/* It is the embedded server, which runs no Lua of others and has one user. */
bool fixture_is_embedded(void);

/* Start a server and wait until it answers. `arguments`: more of redis-server's, ending with NULL;
   or NULL. Only the process that called this, on its main thread, may use the fixture. Shows the
   server's log and returns NULL when it does not start. Free it by fixture_free. */
fixture *fixture_start(const char *const *arguments);
/* Stops the server. NULL is fine. */
void fixture_free(fixture *server);

const endpoint *fixture_endpoint(const fixture *server, wire kind);
/* Where it speaks TLS: on a port of its own, if its arguments have "--tls-cert-file". */
const endpoint *fixture_tls_endpoint(const fixture *server);
/* The URL without user, password and database. */
const char *fixture_url(const fixture *server, wire kind);
/* A URL with what is not NULL: `login` such as ":password" or "user:password", and a database. */
void fixture_url_with(const fixture *server, wire kind, const char *login, int db, char *url,
                      size_t cap);
pid_t fixture_pid(const fixture *server);

/* SIGTERM, and SIGKILL when that is not enough. */
void fixture_stop(fixture *server);
void fixture_kill(fixture *server);
/* SIGSTOP and SIGCONT; the first waits until the server stands still. */
void fixture_pause(fixture *server);
void fixture_continue(fixture *server);
/* Stop if it runs, and start empty on the same addresses. False, with the log shown, when it does
   not start. */
bool fixture_restart(fixture *server);

/* Send a command over the fixture's own connection and return the reply as it came, NUL-terminated;
   it lives until the next command. The words end with (const char *)NULL. Ends the process when the
   server does not answer. */
const char *fixture_command(fixture *server, ...);
const char *fixture_command_bytes(fixture *server, size_t argc, const char *const *words,
                                  const size_t *lens, size_t *reply_len);
/* The same, for a reply that is an integer; ends the process on another. */
int64_t fixture_integer(fixture *server, const char *const *words);
/* A number from INFO, such as "total_connections_received"; -1 when there is none. */
int64_t fixture_info(fixture *server, const char *field);
/* Connections that the server has, the fixture's own left out; `type` "normal" or "pubsub". */
size_t fixture_clients(fixture *server, const char *type);
/* Cut all connections of a type but the fixture's own; returns how many there were. */
size_t fixture_cut_clients(fixture *server, const char *type);
