#pragma once
/* What the commands of streams share: ids in words, and answers. */

#include "server/command.h"
#include "server/stream.h"

/* A word as an id, "5-3", or "5", which `missing_seq` completes; false: it is none. `has_seq`,
   unless NULL, allows "5-*", and tells of it. */
SCI_PRIVATE bool sci_stream_id_parse(sc_slice word, uint64_t missing_seq, sci_stream_id *id,
                                     bool *has_seq);
/* The id above, or below; false: there is none. */
SCI_PRIVATE bool sci_stream_id_step(sci_stream_id *id, bool is_up);
/* argv[i] as an id. False after answering that it is none. */
SCI_PRIVATE bool sci_arg_stream_id(sci_call *call, size_t i, sci_stream_id *id);
SCI_PRIVATE void sci_answer_stream_id_error(sci_call *call);
SCI_PRIVATE void sci_answer_stream_id(sci_call *call, sci_stream_id id);
/* The cursor's entry: id and words. */
SCI_PRIVATE void sci_answer_stream_entry(sci_call *call, sci_stream_cursor *cursor);
/* An array of the entries that follow, `most` of them; 0: all. */
SCI_PRIVATE void sci_answer_stream_range(sci_call *call, sci_stream_cursor *cursor, int64_t most);

/* What runs them. */
SCI_PRIVATE void sci_cmd_xlen(sci_call *call);
SCI_PRIVATE void sci_cmd_xrange(sci_call *call);
SCI_PRIVATE void sci_cmd_xrevrange(sci_call *call);
SCI_PRIVATE void sci_cmd_xread(sci_call *call);
