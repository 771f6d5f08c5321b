/* What is known of each type of value. */

#include "base/number.h"
#include "server/deque.h"
#include "server/keyspace.h"
#include "server/members.h"
#include "server/members_type.h"
#include "server/sorted.h"
#include "server/stream.h"

SCI_PRIVATE const sci_type_table *sci_type_of(sci_type type)
{
    static const sci_type_table string = {"string", NULL, NULL, NULL, NULL};
    static const sci_type_table list = {"list", sci_deque_release, sci_deque_copy, sci_deque_dump,
                                        sci_deque_bytes};
    static const sci_type_table set = {"set", sci_members_type_release, sci_members_type_copy,
                                       sci_members_type_dump, sci_members_type_bytes};
    static const sci_type_table hash = {"hash", sci_members_type_release, sci_members_type_copy,
                                        sci_members_type_dump, sci_members_type_bytes};
    static const sci_type_table zset = {"zset", sci_sorted_release, sci_sorted_copy,
                                        sci_sorted_dump, sci_sorted_bytes};
    static const sci_type_table stream = {"stream", sci_stream_release, sci_stream_copy,
                                          sci_stream_dump, sci_stream_bytes};
    static const sci_type_table missing = {"none", NULL, NULL, NULL, NULL};
    switch (type) {
    case SCI_STRING:
        return &string;
    case SCI_LIST:
        return &list;
    case SCI_SET:
        return &set;
    case SCI_HASH:
        return &hash;
    case SCI_ZSET:
        return &zset;
    case SCI_STREAM:
        return &stream;
    case SCI_TYPES:
        break;
    }
    return &missing;
}

/* The longest string that Redis keeps in one block with its object. */
#define SCI_ENTRY_EMBEDDED_BYTES 44

SCI_PRIVATE const char *sci_entry_encoding(const sci_entry *entry)
{
    int64_t number;
    switch ((sci_type)entry->type) {
    case SCI_STRING:
        if (sci_text_to_i64(sci_entry_string(entry), &number))
            return "int";
        return entry->len <= SCI_ENTRY_EMBEDDED_BYTES ? "embstr" : "raw";
    case SCI_LIST:
        return "quicklist";
    case SCI_SET:
        return "hashtable";
    case SCI_HASH:
        return ((const sci_members *)entry->value.object)->is_packed ? "listpack" : "hashtable";
    case SCI_ZSET:
        return sci_sorted_is_packed((const sci_sorted *)entry->value.object) ? "listpack"
                                                                             : "skiplist";
    case SCI_STREAM:
        return "stream";
    case SCI_TYPES:
        break;
    }
    return "unknown";
}
