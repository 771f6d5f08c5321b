#pragma once
/* How a load ended, in memory and on the wire.

   Message: kind, token, payload. Kinds: v value, m there is none, e error, r read again, x begin
   again. Result:  flag, token, kind, payload. Flags: N for everybody, S for those who wait for the
   token. Payload of an error: its status as a decimal, a space, its words. */

#include "cache/cache.h"

typedef struct sci_outcome {
    sc_status status;
    sc_value *value;      /* owned */
    sc_value *error_text; /* owned: the words */
    sc_value *encoded;    /* owned: an error's payload */
    bool is_from_loader;  /* and so is shared or not as the options say */
} sci_outcome;

SCI_PRIVATE void sci_outcome_init(sci_outcome *outcome, sc_status status);
SCI_PRIVATE void sci_outcome_free(sci_outcome *outcome);
/* SC_OK with a copy of `bytes`, or SC_ERR_MEMORY. */
SCI_PRIVATE void sci_outcome_set_value(sci_outcome *outcome, const sc_memory *memory,
                                       sc_slice bytes);
/* What a loader has made; an error's words are this thread's. `judge`: as in sci_target. */
SCI_PRIVATE void sci_outcome_from_load(sci_outcome *outcome, sc_load *load, sc_status status,
                                       sc_status (*judge)(sc_slice value), const sc_memory *memory);
/* False when the message does not carry the outcome of the load `awaited`: ask again, for that of
   the load which the message tells of, whose token `awaited` receives. */
SCI_PRIVATE bool sci_outcome_from_message(sci_outcome *outcome, const sc_memory *memory,
                                          sc_slice message, char *awaited);
SCI_PRIVATE bool sci_outcome_from_result(sci_outcome *outcome, const sc_memory *memory,
                                         sc_slice result);
/* What is stored and published. Valid as long as the outcome. */
SCI_PRIVATE sc_slice sci_outcome_payload(const sci_outcome *outcome);
