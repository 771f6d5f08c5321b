#pragma once
/* A stream: entries in the order of their ids, which only grow; appended at the end, deleted
   anywhere. Chunks of packed entries, in an array that is searched by halves. */

#include "server/keyspace.h"
#include "server/stream_chunk.h"

typedef struct sci_stream {
    sc_memory memory;
    sci_stream_chunk **chunks; /* owned, and so are they; from chunks[first] on */
    size_t first;
    size_t count; /* of chunks */
    size_t cap;
    size_t chunk_bytes;           /* what the chunks take */
    uint64_t length;              /* entries */
    uint64_t entries_added;       /* ever, or as XSETID said */
    sci_stream_id last_id;        /* given; of an entry that may be gone, or as XSETID said */
    sci_stream_id first_id;       /* of the first entry; 0-0: there is none */
    sci_stream_id max_deleted_id; /* that XDEL deleted, or as XSETID said */
} sci_stream;

/* NULL when there is no memory. */
SCI_PRIVATE sci_stream *sci_stream_create(const sc_memory *memory);
SCI_PRIVATE void sci_stream_free(sci_stream *stream);

/* Append an entry, whose id must be above last_id. SC_ERR_MEMORY, or SC_ERR_LIMIT when its words
   are too large together: nothing has changed. */
SCI_PRIVATE sc_status sci_stream_append(sci_stream *stream, const sci_stream_item *item);
/* False: it is not there. */
SCI_PRIVATE bool sci_stream_delete(sci_stream *stream, sci_stream_id id);

typedef enum sci_stream_bound {
    SCI_STREAM_UNBOUND,
    SCI_STREAM_MAXLEN, /* so many entries are to stay */
    SCI_STREAM_MINID   /* those from this id on are to stay */
} sci_stream_bound;

typedef struct sci_stream_trim {
    sci_stream_bound by;
    bool is_approximate; /* whole chunks only */
    uint64_t max_length;
    sci_stream_id min_id;
    int64_t limit; /* on how many entries go; 0: none */
} sci_stream_trim;

/* Remove entries from the front, as Redis does; returns how many. */
SCI_PRIVATE uint64_t sci_stream_cut(sci_stream *stream, const sci_stream_trim *trim);
/* Not below the highest id that is there. */
SCI_PRIVATE void sci_stream_set_last_id(sci_stream *stream, sci_stream_id id);
/* The highest id that is there; 0-0: there is none. */
SCI_PRIVATE sci_stream_id sci_stream_top_id(const sci_stream *stream);
/* How many nodes Redis's radix tree has over the chunks' ids, for XINFO STREAM. Linear in the
   chunks. */
SCI_PRIVATE size_t sci_stream_radix_nodes(const sci_stream *stream);

/* Walks over the entries of a range. The stream must not change meanwhile. */
typedef struct sci_stream_cursor {
    const sci_stream *stream;
    sci_stream_id from, to; /* both are included */
    bool is_reverse;
    size_t chunks_left; /* that are not entered yet */
    const sci_stream_chunk *chunk;
    sci_stream_place place; /* of the entry under way */
    size_t words_left;      /* of it */
    size_t offset;          /* of the next entry */
    size_t offset_count;
    uint32_t offsets[SCI_STREAM_CHUNK_ENTRIES]; /* in reverse: where the chunk's entries stand */
} sci_stream_cursor;

/* Begin at the lower end, or, in reverse, at the upper. */
SCI_PRIVATE void sci_stream_seek(sci_stream_cursor *cursor, const sci_stream *stream,
                                 sci_stream_id from, sci_stream_id to, bool is_reverse);
/* Go to the next entry: cursor->place has its id and how many fields it has. False: there is
   none. */
SCI_PRIVATE bool sci_stream_next(sci_stream_cursor *cursor);
/* The entry's next word: field, value, field ...; to be called twice for each field at most. Valid
   as long as the stream, or as `text`, which holds integers. */
SCI_PRIVATE sc_slice sci_stream_word(sci_stream_cursor *cursor, char text[SCI_I64_TEXT_BYTES]);

/* "5-0", without NUL needed; returns the length. */
#define SCI_STREAM_ID_TEXT_BYTES (2 * SCI_I64_TEXT_BYTES)
SCI_PRIVATE size_t sci_stream_id_to_text(sci_stream_id id, char text[SCI_STREAM_ID_TEXT_BYTES]);

/* Copy the chunks into a new stream; those that were copied when memory ended are its own. */
SCI_PRIVATE sc_status sci_stream_copy_chunks(sci_stream *stream, const sci_stream *from);

/* For the table of types. */
SCI_PRIVATE void sci_stream_release(const sc_memory *memory, void *object);
SCI_PRIVATE void *sci_stream_copy(const sc_memory *memory, const void *object);
SCI_PRIVATE sc_status sci_stream_dump(const void *object, sc_slice key, sci_dump *dump);
SCI_PRIVATE size_t sci_stream_bytes(const void *object);
