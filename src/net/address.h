#pragma once
/* Numeric addresses to and from text. Pure. */

#include "base/prelude.h"

/* "host:port" or a path, for messages: brackets around IPv6, "%scope" by number. */
#define SCI_ADDRESS_TEXT_BYTES (SC_PATH_BYTES + 16)
SCI_PRIVATE void sci_address_to_text(const sc_address *address, char text[SCI_ADDRESS_TEXT_BYTES]);
/* IPv4 dotted quad or IPv6 (RFC 4291, also with an embedded IPv4 and a numeric %scope). False when
   `host` is neither, so it is a name. */
SCI_PRIVATE bool sci_address_parse(const char *host, uint16_t port, sc_address *address);
/* SC_ERR_URL when the path does not fit. */
SCI_PRIVATE sc_status sci_address_unix(const char *path, sc_address *address);
