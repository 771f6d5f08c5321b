#pragma once
/* Names on the server that belong to a key: its lease, its shared result, its channel. They share
   the key's hash slot, so that scripts may use them together in a cluster
   (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Hash tags"). */

#include "base/bytes.h"

/* Slices of one block. */
typedef struct sci_names {
    sci_bytes block;
    sc_slice value; /* the key itself */
    sc_slice lease;
    sc_slice result; /* what a flight that stores no value leaves for those who wait for it */
    sc_slice channel;
    sc_slice raw_channel; /* where others expect the bare value; empty: nowhere */
} sci_names;

SCI_PRIVATE void sci_names_init(sci_names *names, const sc_memory *memory);
SCI_PRIVATE void sci_names_free(sci_names *names);
/* A name is longer than its key by less than this. */
#define SCI_NAME_BYTES 48

/* Put the key into `block`, and behind it a name for each kind, such as "sc:lease"; `names` gets
   1 + `count` slices of it, the key first. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_names_build(sci_bytes *block, sc_slice key, const char *const *kinds,
                                      size_t count, sc_slice *names);
/* Derive all from the key. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_names_derive(sci_names *names, sc_slice key);
/* SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_names_copy(sci_names *names, const sci_names *from);
/* The cluster's hash slot of a key. */
SCI_PRIVATE unsigned sci_hash_slot(sc_slice key);
