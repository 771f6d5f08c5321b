/* Members as records. Packed they stand one after the other; in a table each has a block. */

#include "server/members.h"

#include "server/memory.h"
#include "server/record.h"

SCI_PRIVATE sc_slice sci_member_name(const sci_member *member)
{
    return sci_record_read((const char *)(const void *)member).name;
}

SCI_PRIVATE sc_slice sci_member_value(const sci_member *member)
{
    return sci_record_read((const char *)(const void *)member).value;
}

static inline sci_member *sci_member_at(const char *record)
{
    return (sci_member *)(void *)(uintptr_t)record;
}

/* The `index`-th of those that put_all was given. */
static inline sci_record sci_record_of_words(const sci_members *members, const sc_slice *words,
                                             size_t index)
{
    sci_record record;
    if (members->has_values) {
        record.name = words[index * 2];
        record.value = words[index * 2 + 1];
    } else {
        record.name = words[index];
        record.value = sc_bytes(NULL, 0);
    }
    return record;
}

/* --- Packed */

/* What is allocated beyond what is needed: an eighth, and what rounds it up. */
#define SCI_PACK_ROUND 16u
/* Each with lengths of two bytes and of one. */
#define SCI_PACK_MOST (SCI_MEMBERS_PACKED * (SCI_MEMBERS_PACKED_BYTES * 2 + 3u))

static char *sci_pack_find(const sci_members *members, sc_slice name)
{
    char *data = members->as.pack.data;
    for (uint32_t at = 0; at < members->as.pack.len;) {
        const sci_record record = sci_record_read(data + at);
        if (sci_slice_equal(record.name, name))
            return data + at;
        at = (uint32_t)(sci_record_end(&record) - data);
    }
    return NULL;
}

static inline size_t sci_pack_cap(size_t needed)
{
    return (needed + needed / 8) / SCI_PACK_ROUND * SCI_PACK_ROUND + SCI_PACK_ROUND;
}

static sc_status sci_pack_reserve(sci_members *members, size_t extra)
{
    sci_members_pack *pack = &members->as.pack;
    const size_t needed = sci_min_size(pack->len + extra, SCI_PACK_MOST);
    if (needed <= pack->cap)
        return SC_OK;
    const size_t cap = sci_pack_cap(needed);
    char *data = (char *)sci_resize(members->memory, pack->data, pack->cap, cap);
    if (!data)
        return SC_ERR_MEMORY;
    pack->data = data;
    pack->cap = (uint32_t)cap;
    return SC_OK;
}

/* Without memory for a smaller block it stays. */
static void sci_pack_trim(sci_members *members)
{
    sci_members_pack *pack = &members->as.pack;
    const size_t cap = sci_pack_cap(pack->len);
    if (pack->cap / 2 <= cap)
        return;
    char *data = (char *)members->memory->resize(members->memory->user, pack->data, pack->cap, cap);
    if (!data)
        return;
    pack->data = data;
    pack->cap = (uint32_t)cap;
}

/* There must be room for the whole record, also where it replaces one. */
static char *sci_pack_put(sci_members *members, const sci_record *record, size_t *added)
{
    sci_members_pack *pack = &members->as.pack;
    char *at = sci_pack_find(members, record->name);
    if (at && !members->has_values)
        return at;
    const size_t bytes = sci_record_bytes(record, members->has_values);
    if (at) {
        const sci_record old = sci_record_read(at);
        const char *tail = sci_record_end(&old);
        const size_t old_bytes = (size_t)(tail - at);
        memmove(at + bytes, tail, (size_t)(pack->data + pack->len - tail));
        pack->len = (uint32_t)(pack->len + bytes - old_bytes);
    } else {
        at = pack->data + pack->len;
        pack->len += (uint32_t)bytes;
        members->count++;
        ++*added;
    }
    sci_record_write(at, record, members->has_values);
    return at;
}

/* Do these members fit, packed? `*bytes` is what they can take at most. */
static bool sci_pack_takes(const sci_members *members, const sc_slice *words, size_t count,
                           size_t *bytes)
{
    size_t new_count = 0;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const sci_record record = sci_record_of_words(members, words, i);
        if (record.name.len > SCI_MEMBERS_PACKED_BYTES ||
            record.value.len > SCI_MEMBERS_PACKED_BYTES)
            return false;
        *bytes += sci_record_bytes(&record, members->has_values);
        /* Only where it matters: what is there takes no more place. */
        if (members->count + count > SCI_MEMBERS_PACKED && !sci_pack_find(members, record.name))
            new_count++;
        if (members->count + new_count > SCI_MEMBERS_PACKED)
            return false;
    }
    return true;
}

static void sci_pack_remove(sci_members *members, char *at)
{
    sci_members_pack *pack = &members->as.pack;
    const sci_record record = sci_record_read(at);
    const char *tail = sci_record_end(&record);
    memmove(at, tail, (size_t)(pack->data + pack->len - tail));
    pack->len -= (uint32_t)(tail - at);
    members->count--;
}

/* The first `count` of `order` become a fair choice of the numbers below `size`. */
static void sci_pack_draw(unsigned char *order, size_t size, size_t count,
                          sci_members_chance chance, void *user)
{
    for (size_t i = 0; i < size; i++)
        order[i] = (unsigned char)i;
    for (size_t i = 0; i < count; i++) {
        const size_t other = i + chance(user, size - i);
        const unsigned char drawn = order[other];
        order[other] = order[i];
        order[i] = drawn;
    }
}

static void sci_pack_choose(sci_members *members, size_t count, bool removes,
                            sci_members_chance chance, void *chance_user, sci_members_visit visit,
                            void *user)
{
    unsigned char order[SCI_MEMBERS_PACKED];
    uint32_t offsets[SCI_MEMBERS_PACKED];
    sci_members_iterator iterator = {0, 0};
    size_t size = 0;
    for (sci_member *member; (member = sci_members_next(members, &iterator));)
        offsets[size++] = (uint32_t)((char *)(void *)member - members->as.pack.data);
    sci_pack_draw(order, size, count, chance, chance_user);
    for (size_t i = 0; i < count; i++)
        visit(user, sci_member_at(members->as.pack.data + offsets[order[i]]));
    if (!removes)
        return;
    bool is_chosen[SCI_MEMBERS_PACKED] = {false};
    for (size_t i = 0; i < count; i++)
        is_chosen[order[i]] = true;
    while (size-- > 0) {
        if (is_chosen[size])
            sci_pack_remove(members, members->as.pack.data + offsets[size]);
    }
    sci_pack_trim(members);
}

/* --- In a table */

/* The bit of a slot's hash that says that the record stands in the slot itself, in place of a
   pointer: names of up to seven bytes then take no block. */
#define SCI_MEMBERS_IN_SLOT (UINT32_C(1) << 31)

static inline uint32_t sci_members_hash(const sci_members *members, sc_slice name)
{
    return (uint32_t)sci_hash(members->seed, name) & ~SCI_MEMBERS_IN_SLOT;
}

/* What a slot will hold. */
typedef struct sci_arrival {
    void *item;
    uint32_t hash;
} sci_arrival;

/* SC_ERR_MEMORY. */
static sc_status sci_arrival_make(sci_members *members, sci_arrival *arrival,
                                  const sci_record *record, uint32_t hash)
{
    const size_t size = sci_record_bytes(record, members->has_values);
    arrival->item = NULL;
    arrival->hash = hash;
    if (size <= sizeof arrival->item) {
        sci_record_write((char *)(void *)&arrival->item, record, members->has_values);
        arrival->hash |= SCI_MEMBERS_IN_SLOT;
        return SC_OK;
    }
    char *block = (char *)sci_resize(members->memory, NULL, 0, size);
    if (!block)
        return SC_ERR_MEMORY;
    sci_record_write(block, record, members->has_values);
    members->bytes += sci_counted_block(size);
    arrival->item = block;
    return SC_OK;
}

/* Nothing at all is fine. */
static void sci_arrival_free(sci_members *members, const sci_arrival *arrival)
{
    if (!arrival->item || (arrival->hash & SCI_MEMBERS_IN_SLOT))
        return;
    char *block = (char *)arrival->item;
    const sci_record record = sci_record_read(block);
    const size_t size = (size_t)(sci_record_end(&record) - block);
    members->bytes -= sci_counted_block(size);
    sci_free(members->memory, block, size);
}

static void sci_members_free_slot(sci_members *members, uint32_t number)
{
    const sci_slots_slot *slot = sci_slots_at(&members->as.slots, number);
    sci_arrival arrival;
    arrival.item = slot->item;
    arrival.hash = slot->hash;
    sci_arrival_free(members, &arrival);
}

static inline char *sci_slot_record(sci_slots_slot *slot)
{
    return (char *)(slot->hash & SCI_MEMBERS_IN_SLOT ? (void *)&slot->item : slot->item);
}

static inline char *sci_members_record(const sci_members *members, uint32_t number)
{
    return sci_slot_record(sci_slots_at(&members->as.slots, number));
}

/* The link that leads to the slot, or NULL. */
static uint32_t *sci_members_link(const sci_members *members, sc_slice name, uint32_t hash)
{
    const sci_slots *slots = &members->as.slots;
    if (slots->count == 0)
        return NULL;
    for (uint32_t *link = sci_slots_chain(slots, hash); *link;) {
        sci_slots_slot *slot = sci_slots_at(slots, *link - 1);
        if ((slot->hash & ~SCI_MEMBERS_IN_SLOT) == hash &&
            sci_slice_equal(sci_record_read(sci_slot_record(slot)).name, name))
            return link;
        link = &slot->next;
    }
    return NULL;
}

/* Everything that can fail. Empty is the arrival of a member that stays as it is. */
static sc_status sci_arrivals_make(sci_members *members, const sc_slice *words,
                                   sci_arrival *arrivals, size_t count)
{
    size_t made = 0, extra = 0;
    for (; made < count; made++) {
        const sci_record record = sci_record_of_words(members, words, made);
        sci_arrival *arrival = &arrivals[made];
        arrival->item = NULL;
        arrival->hash = sci_members_hash(members, record.name);
        const bool is_there = sci_members_link(members, record.name, arrival->hash) != NULL;
        if (is_there && !members->has_values)
            continue;
        if (sci_arrival_make(members, arrival, &record, arrival->hash) != SC_OK)
            break;
        extra += !is_there;
    }
    if (made == count && sci_slots_reserve(&members->as.slots, members->memory, extra) == SC_OK)
        return SC_OK;
    while (made-- > 0)
        sci_arrival_free(members, &arrivals[made]);
    return SC_ERR_MEMORY;
}

/* The member's record in the table. */
static char *sci_arrival_enter(sci_members *members, const sci_arrival *arrival, sc_slice name,
                               size_t *added)
{
    sci_slots *slots = &members->as.slots;
    const uint32_t *link = sci_members_link(members, name, arrival->hash & ~SCI_MEMBERS_IN_SLOT);
    if (!link) {
        sci_slots_add(slots, arrival->item, arrival->hash);
        members->count++;
        ++*added;
        return sci_members_record(members, slots->count - 1);
    }
    const uint32_t number = *link - 1;
    if (!members->has_values) {
        sci_arrival_free(members, arrival);
        return sci_members_record(members, number);
    }
    sci_slots_slot *slot = sci_slots_at(slots, number);
    sci_members_free_slot(members, number);
    slot->item = arrival->item;
    slot->hash = arrival->hash;
    return sci_slot_record(slot);
}

static void sci_members_free_slots(sci_members *members)
{
    for (uint32_t i = 0; i < members->as.slots.count; i++)
        sci_members_free_slot(members, i);
    sci_slots_free(&members->as.slots, members->memory);
}

/* From packed to a table. */
static sc_status sci_members_unpack(sci_members *members)
{
    const sci_members from = *members;
    members->is_packed = false;
    memset(&members->as.slots, 0, sizeof members->as.slots);
    sci_slots *slots = &members->as.slots;
    sc_status status =
        from.count > 0 ? sci_slots_reserve(slots, members->memory, from.count) : SC_OK;
    sci_members_iterator iterator = {0, 0};
    for (sci_member *member; status == SC_OK && (member = sci_members_next(&from, &iterator));) {
        const sci_record record = sci_record_read((const char *)(void *)member);
        sci_arrival arrival;
        status =
            sci_arrival_make(members, &arrival, &record, sci_members_hash(members, record.name));
        if (status == SC_OK)
            sci_slots_add(slots, arrival.item, arrival.hash);
    }
    if (status == SC_OK) {
        sci_free(from.memory, from.as.pack.data, from.as.pack.cap);
        return SC_OK;
    }
    sci_members_free_slots(members);
    *members = from;
    return status;
}

/* Those that are chosen gather in the first slots, where they stay. */
static void sci_slots_choose(sci_members *members, size_t count, bool removes,
                             sci_members_chance chance, void *chance_user, sci_members_visit visit,
                             void *user)
{
    sci_slots *slots = &members->as.slots;
    for (uint32_t i = 0; i < count; i++) {
        sci_slots_swap(slots, i, i + (uint32_t)chance(chance_user, slots->count - i));
        visit(user, sci_member_at(sci_members_record(members, i)));
    }
    /* From the last on: the slot that takes one's place is not one that will be removed. */
    for (uint32_t i = (uint32_t)count; removes && i-- > 0;) {
        sci_members_free_slot(members, i);
        sci_slots_remove(slots, members->memory, sci_slots_link(slots, i));
        members->count--;
    }
}

/* --- Tables */

SCI_PRIVATE sci_members *sci_members_new(const sc_memory *memory, const sci_hash_seed *seed,
                                         bool has_values)
{
    sci_members *members = (sci_members *)sci_alloc_zeroed(memory, sizeof *members);
    if (!members)
        return NULL;
    members->memory = memory;
    members->seed = seed;
    members->has_values = has_values;
    members->is_packed = true;
    return members;
}

SCI_PRIVATE void sci_members_release(sci_members *members)
{
    if (members->is_packed)
        sci_free(members->memory, members->as.pack.data, members->as.pack.cap);
    else
        sci_members_free_slots(members);
    sci_free(members->memory, members, sizeof *members);
}

static sc_status sci_members_copy_slots(sci_members *to, const sci_members *from)
{
    sci_slots *slots = &to->as.slots;
    sc_status status = SC_OK;
    if (from->count > 0)
        status = sci_slots_reserve(slots, to->memory, from->count);
    for (uint32_t i = 0; status == SC_OK && i < from->count; i++) {
        const sci_slots_slot *slot = sci_slots_at(&from->as.slots, i);
        const sci_record record = sci_record_read(sci_members_record(from, i));
        sci_arrival arrival;
        status = sci_arrival_make(to, &arrival, &record, slot->hash & ~SCI_MEMBERS_IN_SLOT);
        if (status != SC_OK)
            break;
        sci_slots_add(slots, arrival.item, arrival.hash);
    }
    return status;
}

static sc_status sci_members_copy_pack(sci_members *to, const sci_members *from)
{
    if (sci_pack_reserve(to, from->as.pack.len) != SC_OK)
        return SC_ERR_MEMORY;
    memcpy(to->as.pack.data, from->as.pack.data, from->as.pack.len);
    to->as.pack.len = from->as.pack.len;
    return SC_OK;
}

SCI_PRIVATE sci_members *sci_members_copy(const sci_members *from)
{
    sci_members *to = sci_members_new(from->memory, from->seed, from->has_values);
    if (!to)
        return NULL;
    sc_status status = SC_OK;
    to->is_packed = from->is_packed;
    if (!from->is_packed)
        status = sci_members_copy_slots(to, from);
    else if (from->count > 0)
        status = sci_members_copy_pack(to, from);
    to->count = from->count;
    if (status == SC_OK)
        return to;
    sci_members_release(to);
    return NULL;
}

SCI_PRIVATE size_t sci_members_bytes(const sci_members *members)
{
    size_t bytes = sci_counted_block(sizeof *members) + members->bytes;
    if (!members->is_packed)
        bytes += sci_slots_bytes(&members->as.slots);
    else if (members->as.pack.cap > 0)
        bytes += sci_counted_block(members->as.pack.cap);
    return bytes;
}

SCI_PRIVATE sci_member *sci_members_find(const sci_members *members, sc_slice name)
{
    if (members->is_packed)
        return sci_member_at(sci_pack_find(members, name));
    const uint32_t *link = sci_members_link(members, name, sci_members_hash(members, name));
    return link ? sci_member_at(sci_members_record(members, *link - 1)) : NULL;
}

#define SCI_MEMBERS_ARRIVALS 8u /* that need no memory */

/* As put_all; `*last` is the last of them. */
static sc_status sci_members_put_words(sci_members *members, const sc_slice *words, size_t count,
                                       size_t *added, char **last)
{
    sci_arrival few[SCI_MEMBERS_ARRIVALS], *arrivals = few;
    size_t bytes = 0;
    *added = 0;
    if (members->is_packed && sci_pack_takes(members, words, count, &bytes)) {
        if (sci_pack_reserve(members, bytes) != SC_OK)
            return SC_ERR_MEMORY;
        for (size_t i = 0; i < count; i++) {
            const sci_record record = sci_record_of_words(members, words, i);
            *last = sci_pack_put(members, &record, added);
        }
        return SC_OK;
    }
    if (members->is_packed && sci_members_unpack(members) != SC_OK)
        return SC_ERR_MEMORY;
    if (count > SCI_MEMBERS_ARRIVALS) {
        arrivals = (sci_arrival *)sci_resize(members->memory, NULL, 0, count * sizeof *arrivals);
        if (!arrivals)
            return SC_ERR_MEMORY;
    }
    const sc_status status = sci_arrivals_make(members, words, arrivals, count);
    for (size_t i = 0; status == SC_OK && i < count; i++) {
        const sci_record record = sci_record_of_words(members, words, i);
        *last = sci_arrival_enter(members, &arrivals[i], record.name, added);
    }
    if (arrivals != few)
        sci_free(members->memory, arrivals, count * sizeof *arrivals);
    return status;
}

SCI_PRIVATE sci_member *sci_members_put(sci_members *members, sc_slice name, sc_slice value,
                                        bool *is_new)
{
    sc_slice words[2];
    size_t added;
    char *at = NULL;
    words[0] = name;
    words[1] = value;
    if (sci_members_put_words(members, words, 1, &added, &at) != SC_OK)
        return NULL;
    *is_new = added > 0;
    return sci_member_at(at);
}

SCI_PRIVATE sc_status sci_members_put_all(sci_members *members, const sc_slice *words, size_t count,
                                          size_t *added)
{
    char *last;
    return sci_members_put_words(members, words, count, added, &last);
}

SCI_PRIVATE bool sci_members_remove(sci_members *members, sc_slice name)
{
    if (members->is_packed) {
        char *at = sci_pack_find(members, name);
        if (!at)
            return false;
        sci_pack_remove(members, at);
        sci_pack_trim(members);
        return true;
    }
    uint32_t *link = sci_members_link(members, name, sci_members_hash(members, name));
    if (!link)
        return false;
    sci_members_free_slot(members, *link - 1);
    sci_slots_remove(&members->as.slots, members->memory, link);
    members->count--;
    return true;
}

SCI_PRIVATE sci_member *sci_members_next(const sci_members *members, sci_members_iterator *iterator)
{
    if (iterator->index >= members->count)
        return NULL;
    const uint32_t index = iterator->index++;
    if (!members->is_packed)
        return sci_member_at(sci_members_record(members, index));
    char *at = members->as.pack.data + iterator->offset;
    const sci_record record = sci_record_read(at);
    iterator->offset = (uint32_t)(sci_record_end(&record) - members->as.pack.data);
    return sci_member_at(at);
}

SCI_PRIVATE sci_member *sci_members_at(const sci_members *members, size_t index)
{
    sci_assert(index < members->count);
    if (!members->is_packed)
        return sci_member_at(sci_members_record(members, (uint32_t)index));
    sci_members_iterator iterator = {0, 0};
    while (index-- > 0)
        (void)sci_members_next(members, &iterator);
    return sci_members_next(members, &iterator);
}

SCI_PRIVATE void sci_members_choose(sci_members *members, size_t count, bool removes,
                                    sci_members_chance chance, void *chance_user,
                                    sci_members_visit visit, void *user)
{
    count = sci_min_size(count, members->count);
    if (members->is_packed)
        sci_pack_choose(members, count, removes, chance, chance_user, visit, user);
    else
        sci_slots_choose(members, count, removes, chance, chance_user, visit, user);
}

SCI_PRIVATE uint64_t sci_members_walk(const sci_members *members, uint64_t cursor,
                                      sci_members_visit visit, void *user)
{
    if (members->is_packed) {
        sci_members_iterator iterator = {0, 0};
        for (sci_member *member; (member = sci_members_next(members, &iterator));)
            visit(user, member);
        return 0;
    }
    if (members->count == 0)
        return 0;
    const sci_slots *slots = &members->as.slots;
    for (const uint32_t *link = sci_slots_walk(slots, &cursor); *link;) {
        sci_slots_slot *slot = sci_slots_at(slots, *link - 1);
        visit(user, sci_member_at(sci_slot_record(slot)));
        link = &slot->next;
    }
    return cursor;
}
