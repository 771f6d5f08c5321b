#pragma once
/* What a log says of itself, between the commands: ECHO commands, which change nothing where the
   log is piped into Redis.

     smartcache:log:1:<32 hex digits>:<8 hex digits>
         once, before the first batch: the version; a number by chance, the log's seed; a check of
         this line before it.
     smartcache:batch:<bytes>:<at risk>:<16 hex digits>:<8 hex digits>
         before each batch: how many bytes of commands follow; how many bytes that end here had not
         been synced (0 also where none is promised to be, SC_SYNC_NEVER); a check of the commands;
         a check of this line before it and of where it stands, counted from the first record.

   The checks are SipHash-1-3, keyed by the seed, which clients never see: so that no value that
   looks like a part of a log is ever taken for one, nor a copy of another part, and damage is found
   with a certainty of all but one in 2^64. They stand in front, so that a batch of any size is
   checked in one pass, before anything of it is executed, without being parsed. */

#include "base/hash.h"

typedef enum sci_log_record_kind {
    SCI_LOG_RECORD_NONE,    /* something else, or not whole */
    SCI_LOG_RECORD_FIRST,   /* smartcache:log */
    SCI_LOG_RECORD_BATCH,   /* smartcache:batch, with a good check */
    SCI_LOG_RECORD_UNKNOWN, /* smartcache:log of another version */
    SCI_LOG_RECORD_WRONG    /* one of them, but its check is not right */
} sci_log_record_kind;

typedef struct sci_log_record {
    sci_log_record_kind kind;
    size_t len;         /* of the record itself */
    sci_hash_seed seed; /* FIRST */
    uint64_t at;        /* BATCH: this and what follows */
    uint64_t bytes;
    uint64_t at_risk;
    uint64_t check;
} sci_log_record;

#define SCI_LOG_RECORD_BYTES 128 /* the longest */

/* The record's bytes; returns how many. */
SCI_PRIVATE size_t sci_log_record_first(char out[SCI_LOG_RECORD_BYTES], const sci_hash_seed *seed);
SCI_PRIVATE size_t sci_log_record_batch(char out[SCI_LOG_RECORD_BYTES], const sci_hash_seed *seed,
                                        const sci_log_record *record);
/* What `data` begins with, which stands at `at` of its log. */
SCI_PRIVATE void sci_log_record_parse(sc_slice data, const sci_hash_seed *seed, uint64_t at,
                                      sci_log_record *record);
/* Where a record may begin in `data`; data.len: nowhere. One that is cut short by the end is found
   when its first byte is there. */
SCI_PRIVATE size_t sci_log_record_find(sc_slice data);

/* The check of a batch goes over pieces of this many bytes and a rest, beginning with 0. */
#define SCI_LOG_RECORD_PIECE_BYTES 65536
SCI_PRIVATE uint64_t sci_log_record_check_piece(const sci_hash_seed *seed, uint64_t check,
                                                sc_slice piece);
SCI_PRIVATE uint64_t sci_log_record_check(const sci_hash_seed *seed, sc_slice batch);
