#pragma once
/* An incremental, zero-copy reader of RESP2
   (https://redis.io/docs/latest/develop/reference/protocol-spec/).

   The caller keeps the bytes; the reader keeps the state. It never rescans what it has seen, its
   memory grows with elements received and never with counts announced, and it is strict: every CR
   is followed by LF, also after a bulk; numbers are canonical decimal and in range; the only
   negative lengths are `$-1` and `*-1`. */

#include "resp/item.h"

/* Deepest nesting that a limit can allow. */
#define SCI_READER_DEPTH_CAP 128

/* Takes the pieces of a streamed bulk. `total` is the announced length, `piece` what came now (in
   order, without gaps; a bulk of 0 bytes gives one empty piece). Anything but SC_OK ends the
   reading with that status. */
typedef sc_status (*sci_bulk_sink)(void *user, size_t total, sc_slice piece);

typedef struct sci_reader {
    sc_limits limits;   /* resolved: no zeros */
    sci_items *items;   /* where nodes go; borrowed, set by sci_reader_target */
    sci_bulk_sink sink; /* NULL: bulks become slices */
    void *sink_user;
    size_t reply_bytes;    /* consumed of the current reply; 0 between replies */
    size_t reply_elements; /* announced by the current reply's arrays */
    size_t scanned;        /* bytes of the unfinished line that hold no line end */
    uint64_t number;       /* value of the digits among them */
    size_t bulk_len;       /* of the bulk being read */
    size_t bulk_streamed;  /* bytes of it that the sink already has */
    uint32_t reply_start;  /* index of the first node of the current, or last finished, reply */
    uint32_t depth;        /* open arrays */
    uint32_t innermost;    /* index of the last opened one's node, when there are any */
    char type;             /* first byte of the unfinished line */
    bool is_negative;      /* its number has a sign */
    unsigned char phase;   /* private to reader.c */
} sci_reader;

/* `limits` NULL or zero fields: the documented defaults; depth is capped at SCI_READER_DEPTH_CAP.
 */
SCI_PRIVATE void sci_reader_init(sci_reader *reader, const sc_limits *limits);
/* Where the next reply's nodes are appended; between replies only. */
SCI_PRIVATE void sci_reader_target(sci_reader *reader, sci_items *items);
/* Stream top-level bulks of the next replies into `sink`, their node has text NULL and the len
   (bulks inside arrays stay slices); NULL ends it. Between replies only. */
SCI_PRIVATE void sci_reader_stream(sci_reader *reader, sci_bulk_sink sink, void *user);

/* Read on. `data[0..len)` begins with the first byte not consumed before and may have moved since
   the last call; nodes point into it, so bytes that were consumed must stay where they are as long
   as the nodes are used.
     SC_OK     one whole reply begins at items->at[reader->reply_start]; call again for more
     SC_AGAIN  more bytes are needed (see sci_reader_missing)
     SC_ERR_PROTOCOL, SC_ERR_LIMIT, SC_ERR_MEMORY
               with words that name offset and byte, or the limit's option; the reader cannot go on
   `*used`: bytes consumed in this call: whole lines, whole bulks with their line end, and what was
   streamed. After an error the nodes of the unfinished reply are gone. */
SCI_PRIVATE sc_status sci_reader_read(sci_reader *reader, const char *data, size_t len,
                                      size_t *used);

/* Bytes, counted from the first byte not consumed, that must stand there together before the reader
   can go on (a bulk's payload and its line end); 0 when that is not known, or when less will do. */
SCI_PRIVATE size_t sci_reader_missing(const sci_reader *reader);

/* True between replies: nothing of a next one has been consumed. */
SCI_PRIVATE bool sci_reader_is_idle(const sci_reader *reader);
