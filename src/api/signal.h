#pragma once
/* Giving up what is held when the process is told to end. */

#include "api/client.h"

/* When the process gets SIGINT or SIGTERM, and when it exits (exit, or the end of main): give back
   the locks, permits and leaderships of this client, within 50 ms, then let what was set for the
   signal before act: the system's default ends the process by that signal; a handler of the
   program's gets it, once. Of a signal that is ignored, nothing is done. Until the client is closed;
   clients that do not ask for it keep what they hold until their leases end.

   A signal that was acted upon is not waited for any more: should the program go on, its own handler
   has the next one; on_lost is not called for what was given back; on_resigned is
   (SC_RESIGNED_CLOSED), and elections are not campaigned in any more. Loads under way keep their
   leases. A forked child releases nothing and only passes signals on, until it calls this itself;
   quick_exit, _exit and fatal signals release nothing either.

   Call it after handlers of the program's own were set: one that is set later gets the signal
   instead. The first call starts a thread, which keeps a pipe, until the process exits.
   SC_ERR_UNSUPPORTED in builds without POSIX or threads; SC_ERR_MEMORY, SC_ERR_IO, SC_ERR_CLOSED.
   Twice is as good as once. Any thread. Does not block. */
SC_API sc_status sc_release_on_signal(sc_client *client);
