/* Hashes and sets as types of values: both are tables of members. */

#include "server/members_type.h"

#include "server/members.h"

/* The longest pieces of a dump, in members and about in bytes. */
#define SCI_DUMP_PIECE 64u
#define SCI_DUMP_PIECE_BYTES 65536u

SCI_PRIVATE void sci_members_type_release(const sc_memory *memory, void *object)
{
    (void)memory; /* the table knows it */
    sci_members_release((sci_members *)object);
}

SCI_PRIVATE void *sci_members_type_copy(const sc_memory *memory, const void *object)
{
    (void)memory;
    return sci_members_copy((const sci_members *)object);
}

SCI_PRIVATE size_t sci_members_type_bytes(const void *object)
{
    return sci_members_bytes((const sci_members *)object);
}

SCI_PRIVATE sc_status sci_members_type_dump(const void *object, sc_slice key, sci_dump *dump)
{
    const sci_members *members = (const sci_members *)object;
    sc_slice words[2 + 2 * SCI_DUMP_PIECE];
    sci_members_iterator iterator = {0, 0};
    size_t count = 2, bytes = 0;
    sc_status status = SC_OK;
    words[0] = sc_text(members->has_values ? "HSET" : "SADD");
    words[1] = key;
    for (uint32_t left = members->count; status == SC_OK && left > 0;) {
        const sci_member *member = sci_members_next(members, &iterator);
        words[count] = sci_member_name(member);
        bytes += words[count++].len;
        if (members->has_values) {
            words[count] = sci_member_value(member);
            bytes += words[count++].len;
        }
        if (--left > 0 && count + 2 <= SCI_COUNT(words) && bytes < SCI_DUMP_PIECE_BYTES)
            continue;
        status = dump->command(dump, words, count);
        count = 2;
        bytes = 0;
    }
    return status;
}
