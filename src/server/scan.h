#pragma once
/* What SCAN, HSCAN, SSCAN and ZSCAN have in common: the cursor, MATCH and COUNT, and the shape of
   the answer. Each does:

       if (!sci_scan_begin(&scan, call, 2)) return;
       ... look the key up; where there is none: sci_scan_answer_none(call) ...
       if (!sci_scan_options(&scan, 3)) return;
       sci_scan_run(&scan, step, table);
 */

#include "server/command.h"

typedef struct sci_scan {
    sci_call *call;
    uint64_t cursor;
    int64_t count;    /* COUNT */
    sc_slice pattern; /* MATCH; data NULL: none */
    sc_slice type;    /* TYPE, for SCAN; data NULL: none */
    size_t seen;      /* by sci_scan_wants */
    size_t answers;   /* elements of the answer's second array */
} sci_scan;

/* argv[cursor_at] as the cursor; false after "ERR invalid cursor". */
SCI_PRIVATE bool sci_scan_begin(sci_scan *scan, sci_call *call, size_t cursor_at);
/* argv[from] on; false after answering why not. */
SCI_PRIVATE bool sci_scan_options(sci_scan *scan, size_t from, bool has_type);
/* There is no such key. */
SCI_PRIVATE void sci_scan_answer_none(sci_call *call);
/* An element has come: does MATCH want it? Whoever answers it by sci_answer_* counts that in
   scan->answers. */
SCI_PRIVATE bool sci_scan_wants(sci_scan *scan, sc_slice name);
/* Walk until COUNT elements were seen or the end is reached, and answer. `step` is one step of a
   walk: it returns the next cursor. */
SCI_PRIVATE void sci_scan_run(sci_scan *scan,
                              uint64_t (*step)(sci_scan *scan, uint64_t cursor, const void *table),
                              const void *table);
