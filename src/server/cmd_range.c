/* Parts of strings. */

#include "server/cmd_string.h"
#include "server/commands.h"

static void sci_command_append(sci_call *call)
{
    sc_slice key = call->argv[1], value = call->argv[2];
    sci_entry *entry;
    if (!sci_typed_for_write(call, key, SCI_STRING, &entry))
        return;
    size_t len = entry ? entry->len : 0;
    if (entry && !sci_string_may_have(call, len, value.len))
        return;
    char *bytes = sci_string_open(call, &entry, key, len + value.len);
    if (!bytes)
        return;
    if (value.len > 0)
        memcpy(bytes + len, value.data, value.len);
    sci_changed(call, key, SCI_EVENT_STRING, "append");
    sci_answer_i64(call, (int64_t)(len + value.len));
}

static void sci_command_strlen(sci_call *call)
{
    sci_entry *entry;
    if (sci_typed_for_read(call, call->argv[1], SCI_STRING, &entry))
        sci_answer_i64(call, entry ? entry->len : 0);
}

/* Counted from the end when it is negative, and not before the begin. */
static int64_t sci_range_end(int64_t end, int64_t len)
{
    return sci_max_i64(end < 0 ? len + end : end, 0);
}

static void sci_command_getrange(sci_call *call)
{
    sci_entry *entry;
    int64_t start, end;
    if (!sci_arg_i64(call, 2, &start) || !sci_arg_i64(call, 3, &end) ||
        !sci_typed_for_read(call, call->argv[1], SCI_STRING, &entry))
        return;
    int64_t len = entry ? entry->len : 0;
    bool is_backwards = start < 0 && end < 0 && start > end;
    start = sci_range_end(start, len);
    end = sci_min_i64(sci_range_end(end, len), len - 1);
    if (is_backwards || start > end)
        sci_answer_bulk(call, sc_text(""));
    else
        sci_answer_bulk(call,
                        sc_bytes(sci_entry_string(entry).data + start, (size_t)(end - start) + 1));
}

static void sci_command_setrange(sci_call *call)
{
    sc_slice key = call->argv[1], value = call->argv[3];
    sci_entry *entry;
    int64_t offset;
    if (!sci_arg_i64(call, 2, &offset))
        return;
    if (offset < 0) {
        sci_answer_error(call, "ERR offset is out of range");
        return;
    }
    if (!sci_typed_for_write(call, key, SCI_STRING, &entry))
        return;
    size_t len = entry ? entry->len : 0;
    if (value.len == 0) {
        sci_answer_i64(call, (int64_t)len);
        return;
    }
    size_t at = (uint64_t)offset > SIZE_MAX ? SIZE_MAX : (size_t)offset;
    if (!sci_string_may_have(call, at, value.len))
        return;
    len = sci_max_size(len, at + value.len);
    char *bytes = sci_string_open(call, &entry, key, len);
    if (!bytes)
        return;
    memcpy(bytes + at, value.data, value.len);
    sci_changed(call, key, SCI_EVENT_STRING, "setrange");
    sci_answer_i64(call, (int64_t)len);
}

SCI_PRIVATE sci_command_list sci_range_commands(void)
{
    static const sci_command commands[] = {
        {"append", sci_command_append, 3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"strlen", sci_command_strlen, 2, SCI_CMD_READONLY | SCI_CMD_FAST, 1, 1, 1},
        {"getrange", sci_command_getrange, 4, SCI_CMD_READONLY, 1, 1, 1},
        {"substr", sci_command_getrange, 4, SCI_CMD_READONLY, 1, 1, 1},
        {"setrange", sci_command_setrange, 4, SCI_CMD_WRITE | SCI_CMD_DENYOOM, 1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
