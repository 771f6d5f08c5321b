#pragma once
/* Commands to RESP2: arrays of bulk strings, straight into the output buffer. */

#include "base/bytes.h"

/* Append one command. SC_ERR_ARGUMENT for argc 0; SC_ERR_MEMORY leaves `out` as it was. */
SCI_PRIVATE sc_status sci_write_command(sci_bytes *out, const sc_slice *argv, size_t argc);
/* The pieces, for commands built step by step or with a streamed argument: `*argc\r\n`,
   `$len\r\nbytes\r\n`, and the bulk's header alone. */
SCI_PRIVATE sc_status sci_write_array_header(sci_bytes *out, size_t argc);
SCI_PRIVATE sc_status sci_write_bulk(sci_bytes *out, sc_slice argument);
SCI_PRIVATE sc_status sci_write_bulk_header(sci_bytes *out, size_t len);
