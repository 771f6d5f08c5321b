/* Strings of bits; the highest bit of a byte comes first. */

#include "server/cmd_string.h"
#include "server/commands.h"

/* --- Single bits */

/* argv[2] as a bit's number. False after answering. */
static bool sci_arg_bit_offset(sci_call *call, uint64_t *offset)
{
    int64_t number;
    if (!sci_text_to_i64(call->argv[2], &number) || number < 0 ||
        (uint64_t)number / 8 >= call->server->config.max_bulk_bytes) {
        sci_answer_error(call, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)number;
    return true;
}

static bool sci_bit_at(sc_slice bytes, uint64_t offset)
{
    return ((unsigned char)bytes.data[(size_t)(offset / 8)] >> (7 - offset % 8)) & 1;
}

static void sci_command_getbit(sci_call *call)
{
    sci_entry *entry;
    uint64_t offset;
    if (!sci_arg_bit_offset(call, &offset) ||
        !sci_typed_for_read(call, call->argv[1], SCI_STRING, &entry))
        return;
    bool is_inside = entry && offset / 8 < entry->len;
    sci_answer_i64(call, is_inside && sci_bit_at(sci_entry_string(entry), offset));
}

static void sci_command_setbit(sci_call *call)
{
    sc_slice key = call->argv[1];
    sci_entry *entry;
    uint64_t offset;
    int64_t bit;
    if (!sci_arg_bit_offset(call, &offset))
        return;
    if (!sci_text_to_i64(call->argv[3], &bit) || (bit != 0 && bit != 1)) {
        sci_answer_error(call, "ERR bit is not an integer or out of range");
        return;
    }
    if (!sci_typed_for_write(call, key, SCI_STRING, &entry))
        return;
    size_t len = entry ? entry->len : 0, at = (size_t)(offset / 8);
    bool old = at < len && sci_bit_at(sci_entry_string(entry), offset);
    if (at >= len || old != (bit == 1)) {
        char *bytes = sci_string_open(call, &entry, key, sci_max_size(len, at + 1));
        if (!bytes)
            return;
        unsigned mask = 1u << (7 - offset % 8);
        unsigned byte = (unsigned char)bytes[at];
        bytes[at] = (char)(unsigned char)(bit ? byte | mask : byte & ~mask);
        sci_changed(call, key, SCI_EVENT_STRING, "setbit");
    }
    sci_answer_i64(call, old);
}

/* --- Ranges */

/* Bits from `first` to `last`, both included; none when first > last. */
typedef struct sci_bit_range {
    int64_t first, last;
    bool has_end; /* the command names it */
} sci_bit_range;

/* argv[i] is BIT or BYTE. False after answering. */
static bool sci_arg_is_bit(sci_call *call, size_t i, bool *is_bit)
{
    *is_bit = sci_word_is(call->argv[i], "bit");
    if (*is_bit || sci_word_is(call->argv[i], "byte"))
        return true;
    sci_answer_syntax_error(call);
    return false;
}

/* start and end as numbers of a string with `len` bytes, in bits or bytes; negative ones count from
   its end. */
static void sci_bit_range_set(sci_bit_range *range, int64_t start, int64_t end, size_t len,
                              bool is_bit)
{
    int64_t total = (int64_t)len * (is_bit ? 8 : 1);
    start = sci_max_i64(start < 0 ? total + start : start, 0);
    end = sci_min_i64(sci_max_i64(end < 0 ? total + end : end, 0), total - 1);
    range->first = start;
    range->last = end;
    if (!is_bit && start <= end) {
        range->first = start * 8;
        range->last = end * 8 + 7;
    }
}

static inline uint64_t sci_bit_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* In parallel (H. Warren, "Hacker's Delight", 2002, chapter 5). */
static inline unsigned sci_bit_count_word(uint64_t word)
{
    word -= (word >> 1) & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)((word * UINT64_C(0x0101010101010101)) >> 56);
}

/* The bits of the byte at `at` that are in the range. */
static unsigned sci_bit_range_byte(const sci_bit_range *range, sc_slice bytes, int64_t at)
{
    unsigned byte = (unsigned char)bytes.data[at];
    if (at == range->first / 8)
        byte &= 0xffu >> (range->first % 8);
    if (at == range->last / 8)
        byte &= 0xffu << (7 - range->last % 8);
    return byte;
}

static int64_t sci_bit_range_count(const sci_bit_range *range, sc_slice bytes)
{
    int64_t count = 0;
    int64_t at = range->first / 8, last = range->last / 8;
    if (range->first > range->last)
        return 0;
    count += sci_bit_count_word(sci_bit_range_byte(range, bytes, at++));
    for (; at + 8 <= last; at += 8)
        count += sci_bit_count_word(sci_bit_word(bytes.data + at));
    for (; at <= last; at++)
        count += sci_bit_count_word(sci_bit_range_byte(range, bytes, at));
    return count;
}

static void sci_command_bitcount(sci_call *call)
{
    sci_bit_range range = {0, -1, false};
    sci_entry *entry;
    int64_t start = 0, end = -1;
    bool is_bit = false;
    if (!sci_typed_for_read(call, call->argv[1], SCI_STRING, &entry))
        return;
    if (!entry) {
        sci_answer_i64(call, 0);
        return;
    }
    if (call->argc == 3 || call->argc > 5) {
        sci_answer_syntax_error(call);
        return;
    }
    if (call->argc > 2 && (!sci_arg_i64(call, 2, &start) || !sci_arg_i64(call, 3, &end)))
        return;
    if (start < 0 && end < 0 && start > end) {
        sci_answer_i64(call, 0);
        return;
    }
    if (call->argc > 4 && !sci_arg_is_bit(call, 4, &is_bit))
        return;
    sci_bit_range_set(&range, start, end, entry->len, is_bit);
    sci_answer_i64(call, sci_bit_range_count(&range, sci_entry_string(entry)));
}

/* The first bit of the range that is `bit`; -1: there is none. */
static int64_t sci_bit_range_find(const sci_bit_range *range, sc_slice bytes, bool bit)
{
    const uint64_t dull_word = bit ? 0 : ~UINT64_C(0);
    int64_t at = range->first;
    while (at <= range->last) {
        bool is_aligned = at % 8 == 0 && at + 64 <= range->last;
        if (is_aligned && sci_bit_word(bytes.data + at / 8) == dull_word)
            at += 64;
        else if (sci_bit_at(bytes, (uint64_t)at) == bit)
            return at;
        else
            at++;
    }
    return -1;
}

/* BITPOS's words from argv[3] on. False after answering. */
static bool sci_bitpos_parse(sci_call *call, size_t len, sci_bit_range *range)
{
    int64_t start = 0, end = -1;
    bool is_bit = false;
    if (call->argc > 6) {
        sci_answer_syntax_error(call);
        return false;
    }
    if ((call->argc > 3 && !sci_arg_i64(call, 3, &start)) ||
        (call->argc > 5 && !sci_arg_is_bit(call, 5, &is_bit)) ||
        (call->argc > 4 && !sci_arg_i64(call, 4, &end)))
        return false;
    sci_bit_range_set(range, start, end, len, is_bit);
    range->has_end = call->argc > 4;
    return true;
}

static void sci_command_bitpos(sci_call *call)
{
    sci_bit_range range;
    sci_entry *entry;
    int64_t bit;
    if (!sci_arg_i64(call, 2, &bit))
        return;
    if (bit != 0 && bit != 1) {
        sci_answer_error(call, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (!sci_typed_for_read(call, call->argv[1], SCI_STRING, &entry))
        return;
    if (!entry) {
        sci_answer_i64(call, bit ? -1 : 0);
        return;
    }
    if (!sci_bitpos_parse(call, entry->len, &range))
        return;
    int64_t found = sci_bit_range_find(&range, sci_entry_string(entry), bit == 1);
    /* A string whose end is not named goes on with zeros. */
    if (found < 0 && bit == 0 && !range.has_end && range.first <= range.last)
        found = range.last + 1;
    sci_answer_i64(call, found);
}

SCI_PRIVATE sci_command_list sci_bit_commands(void)
{
    static const sci_command commands[] = {
        {"setbit", sci_command_setbit, 4, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
        {"getbit", sci_command_getbit, 3, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"bitcount", sci_command_bitcount, -2, SCI_CMD_READONLY, 1, 1, 1},
        {"bitpos", sci_command_bitpos, -3, SCI_CMD_READONLY, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
