#pragma once
/* Names of connections. */

#include "server/command.h"

/* False after answering that a name has what none may have. */
SCI_PRIVATE bool sci_client_name_check(sci_call *call, sc_slice name);
/* Name the session; empty: it has none. False after answering that there is no memory. */
SCI_PRIVATE bool sci_client_name_set(sci_call *call, sc_slice name);
