#pragma once
/* What the commands of sorted sets share. */

#include "server/command.h"
#include "server/sorted.h"

/* A longest count: Redis's LONG_MAX. */
#define SCI_ZSET_COUNT_MAX INT64_MAX

/* The sorted set under a key; `*set` NULL: there is none. False after answering WRONGTYPE. */
SCI_PRIVATE bool sci_zset_for_read(sci_call *call, sc_slice key, const sci_sorted **set);
/* An array of a member, or of a member and its score, without its header. */
SCI_PRIVATE void sci_zset_answer(sci_call *call, sc_slice member, double score, bool with_score);
/* Members have gone from `set` under `key`: tell, and delete it when it is empty. */
SCI_PRIVATE void sci_zset_shrunk(sci_call *call, sc_slice key, sci_entry *entry, const char *event);
/* Put a set, which becomes the database's, under a key, in place of what is there, and answer its
   count; an empty one deletes the key. */
SCI_PRIVATE void sci_zset_store(sci_call *call, sc_slice key, sci_sorted *set, const char *event);
/* Start and end of a range of scores or, if `is_by_bytes`, of bytes, as ZRANGEBYSCORE and
   ZRANGEBYLEX take them. False after answering why not. */
SCI_PRIVATE bool sci_zset_arg_range(sci_call *call, size_t least, size_t most, bool is_by_bytes,
                                    sci_sorted_range *range);
/* Ranks as ZRANGE takes them, negative ones from the end; none: start = end. */
SCI_PRIVATE void sci_zset_clamp_ranks(size_t count, int64_t first, int64_t last, size_t *start,
                                      size_t *end);
