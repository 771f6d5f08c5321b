#pragma once
/* CLIENT PAUSE: commands that are put off until the pause is over. Locked. */

#include "server/server.h"

/* Pause for so long from now, all commands or those that may change data; what is longer, and what
   stops more, of this pause and one under way holds. */
SCI_PRIVATE void sci_pause_begin(sc_server *server, int64_t duration_ms, bool stops_all);
/* Those that were put off are executed after this command. */
SCI_PRIVATE void sci_pause_end(sc_server *server);
static inline bool sci_pause_is_on(const sc_server *server)
{
    return server->pause.until_ns > 0;
}
/* Must a command with these flags wait? */
static inline bool sci_pause_stops(const sc_server *server, unsigned flags)
{
    return SCI_UNLIKELY(sci_pause_is_on(server)) &&
           (server->pause.stops_all || (flags & (SCI_CMD_WRITE | SCI_CMD_SPREADS))) &&
           sci_server_now_ns(server) < server->pause.until_ns;
}
/* Put a call off; its session executes nothing more until then. */
SCI_PRIVATE void sci_pause_hold(sci_call *call);
static inline bool sci_pause_holds(const sci_session *session)
{
    return session->wait.is_held;
}
/* Execute what was put off, if anything was. */
SCI_PRIVATE void sci_pause_release(sci_session *session);
/* End it when its time is over. Returns when that will be, monotonic ns; INT64_MAX: there is none.
 */
SCI_PRIVATE int64_t sci_pause_tick(sc_server *server, int64_t now_ns);
