#pragma once
/* A list of byte strings: elements packed into chunks of a few kilobytes, and a row of the chunks
   with room at both ends, so that both ends of the list are near, and so is any index. What gives
   an element lends it: it is good until the list is changed. */

#include "server/keyspace.h"

typedef enum sci_deque_side { SCI_DEQUE_FRONT, SCI_DEQUE_BACK } sci_deque_side;

typedef struct sci_deque_chunk {
    char *data;     /* owned */
    uint32_t start; /* elements lie in data[start..end), one behind the other */
    uint32_t end;
    uint32_t cap;
    uint32_t count; /* of elements, not 0 */
} sci_deque_chunk;

typedef struct sci_deque {
    const sc_memory *memory; /* outlives the list */
    size_t count;            /* of elements */
    union {
        sci_deque_chunk only;  /* while chunk_cap is 0 */
        sci_deque_chunk *many; /* owned */
    } chunks;
    uint32_t chunk_first;
    uint32_t chunk_count;
    uint32_t chunk_cap;
} sci_deque;

/* A place: before an element, or at the end. Good until the list is changed otherwise than through
   it. */
typedef struct sci_deque_at {
    uint32_t chunk;
    uint32_t offset; /* in its data */
} sci_deque_at;

/* An empty list; NULL when there is no memory. */
SCI_PRIVATE sci_deque *sci_deque_new(const sc_memory *memory);

/* The type's row (see sci_type_table). */
SCI_PRIVATE void sci_deque_release(const sc_memory *memory, void *object);
SCI_PRIVATE void *sci_deque_copy(const sc_memory *memory, const void *object);
SCI_PRIVATE sc_status sci_deque_dump(const void *object, sc_slice key, sci_dump *dump);
SCI_PRIVATE size_t sci_deque_bytes(const void *object);

/* Each that can run out of memory (SC_ERR_MEMORY) then leaves the list as it was. */

/* The next push, which must follow, finds its memory: of an element of `len` bytes on that side. It
   moves no other element, so it may take one of this very list. */
SCI_PRIVATE sc_status sci_deque_reserve(sci_deque *deque, sci_deque_side side, size_t len);
SCI_PRIVATE sc_status sci_deque_push(sci_deque *deque, sci_deque_side side, sc_slice element);
/* The first or last element of a list that is not empty. */
SCI_PRIVATE sc_slice sci_deque_peek(const sci_deque *deque, sci_deque_side side);
/* Remove `count` elements, no more than there are. */
SCI_PRIVATE void sci_deque_drop(sci_deque *deque, sci_deque_side side, size_t count);

/* Before the element with that index; the count's place is the end. */
SCI_PRIVATE sci_deque_at sci_deque_seek(const sci_deque *deque, size_t index);
/* Step over an element, which is given; false at the end. */
SCI_PRIVATE bool sci_deque_next(const sci_deque *deque, sci_deque_at *at, sc_slice *element);
/* Step back over an element; false at the beginning. */
SCI_PRIVATE bool sci_deque_previous(const sci_deque *deque, sci_deque_at *at, sc_slice *element);
/* Put an element there; `*at` is before it then. */
SCI_PRIVATE sc_status sci_deque_insert(sci_deque *deque, sci_deque_at *at, sc_slice element);
/* Remove the element there; `*at` is before the following one then. */
SCI_PRIVATE void sci_deque_remove(sci_deque *deque, sci_deque_at *at);
/* Put another in the place of the element there. */
SCI_PRIVATE sc_status sci_deque_set(sci_deque *deque, sci_deque_at at, sc_slice element);
/* After many have been removed: join chunks that have become small, as far as there is memory. */
SCI_PRIVATE void sci_deque_tidy(sci_deque *deque);
