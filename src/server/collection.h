#pragma once
/* What commands on hashes and sets share: keys that hold a table of members. Locked. */

#include "server/members.h"
#include "server/server.h"

/* The table under argv[key_at], NULL when there is no key; false after answering that it is of
   another type. One that is to be changed comes with its entry. */
SCI_PRIVATE bool sci_collection_for_read(sci_call *call, size_t key_at, sci_type type,
                                         sci_members **members);
SCI_PRIVATE bool sci_collection_for_write(sci_call *call, size_t key_at, sci_type type,
                                          sci_entry **entry, sci_members **members);
/* An empty table for a hash or a set. NULL after answering that there is no memory. */
SCI_PRIVATE sci_members *sci_collection_new(sci_call *call, sci_type type);
/* Put all of `words` (see sci_members_put_all) into the entry's table, or into that of a new entry
   under `key` where it is NULL. False after answering that there is no memory: all is as it was. */
SCI_PRIVATE bool sci_collection_put(sci_call *call, sc_slice key, sci_type type, sci_entry *entry,
                                    const sc_slice *words, size_t count, size_t *added);
/* The key has lost members: tells so, and an empty one goes. */
SCI_PRIVATE void sci_collection_shrunk(sci_call *call, sc_slice key, sci_entry *entry,
                                       unsigned event_class, const char *event);

/* All members of a set; NULL: there is no key. */
SCI_PRIVATE void sci_set_answer(sci_call *call, const sci_members *set);
/* argv[i] as how many members are wanted, negative: each may come again. False after answering. */
SCI_PRIVATE bool sci_collection_arg_count(sci_call *call, size_t i, int64_t *count);
/* A member by chance; with `count`, so many. NULL: there is no key. */
SCI_PRIVATE void sci_collection_answer_one(sci_call *call, const sci_members *members);
SCI_PRIVATE void sci_collection_answer_some(sci_call *call, sci_members *members, int64_t count,
                                            bool with_values);
/* An answer can be far longer than the members: as for any other client that is sent too much, the
   session ends then. */
SCI_PRIVATE bool sci_collection_answer_is_too_long(const sci_call *call);
/* For sci_members_choose; `server` is the sc_server. */
SCI_PRIVATE size_t sci_collection_chance(void *server, size_t bound);
