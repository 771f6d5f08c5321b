#pragma once
/* An incremental reader of commands: RESP2 arrays of bulk strings, and lines of words as a person
   types them. Pure; the caller keeps the bytes, and words are slices of them. It never scans twice
   what it has seen, and asks for memory as bytes come, never as lengths are announced. As Redis, it
   takes any two bytes for a line end where a CR announces one, and after a bulk string. */

#include "base/bytes.h"

typedef struct sci_request_limits {
    size_t max_words;      /* of one command */
    size_t max_bulk_bytes; /* of one word */
    size_t max_line_bytes; /* of a line, or of a header */
} sci_request_limits;

typedef struct sci_request {
    sc_memory memory;
    sci_request_limits limits;
    bool is_stranger; /* set by the owner until AUTH: Redis's own limits for those apply too */
    bool has_bulk;    /* the next word's header was read: bulk_len */
    sc_slice *words;  /* owned; offsets while the command is not whole */
    size_t word_cap;
    size_t quick_words; /* a command that has more is not taken in one go; 0: there is no room */
    size_t word_count;  /* read so far */
    size_t expected;    /* words that the header announced; 0: it was not read yet */
    size_t bulk_len;
    size_t at;      /* where the unfinished command's next line or word begins */
    size_t scanned; /* up to here that line's end was looked for */
    sci_bytes line; /* owned: words of a typed line, unquoted */
} sci_request;

SCI_PRIVATE void sci_request_init(sci_request *request, const sc_memory *memory,
                                  const sci_request_limits *limits);
SCI_PRIVATE void sci_request_free(sci_request *request);
/* `data[0..len)` begins with the first byte not consumed, and has what earlier calls have seen.
     SC_OK     one whole command: request->words[0..word_count), slices of `data` (or of
               request->line), and `*used` bytes of it. No words: an empty line or array, to be
               passed over
     SC_AGAIN  more bytes are needed; nothing is consumed
     SC_ERR_PROTOCOL  with Redis's words in sc_error_text ("Protocol error: expected '$', got 'x'");
               there is no going on
     SC_ERR_MEMORY  as if the call had not been */
SCI_PRIVATE sc_status sci_request_read(sci_request *request, const char *data, size_t len,
                                       size_t *used);
/* Between commands: forget the last one, and give back what a great one needed. */
SCI_PRIVATE void sci_request_rest(sci_request *request);
/* How many bytes more the unfinished word needs at least, when `len` are there; 0: unknown. */
SCI_PRIVATE size_t sci_request_missing(const sci_request *request, size_t len);
