/* Strings that are numbers. */

#include "server/cmd_string.h"
#include "server/commands.h"

static void sci_number_add(sci_call *call, int64_t delta)
{
    sc_slice key = call->argv[1];
    char digits[SCI_I64_TEXT_BYTES];
    sci_entry *entry;
    int64_t number = 0;
    if (!sci_typed_for_write(call, key, SCI_STRING, &entry))
        return;
    if (entry && !sci_text_to_i64(sci_entry_string(entry), &number)) {
        sci_answer_error(call, "ERR value is not an integer or out of range");
        return;
    }
    if (delta < 0 ? number < INT64_MIN - delta : number > INT64_MAX - delta) {
        sci_answer_error(call, "ERR increment or decrement would overflow");
        return;
    }
    number += delta;
    size_t len = sci_i64_to_text(number, digits);
    if (!sci_string_store(call, &entry, key, sc_bytes(digits, len)))
        return;
    sci_changed(call, key, SCI_EVENT_STRING, "incrby");
    sci_answer_i64(call, number);
}

static void sci_command_incr(sci_call *call)
{
    sci_number_add(call, 1);
}

static void sci_command_decr(sci_call *call)
{
    sci_number_add(call, -1);
}

static void sci_command_incrby(sci_call *call)
{
    int64_t delta;
    if (sci_arg_i64(call, 2, &delta))
        sci_number_add(call, delta);
}

static void sci_command_decrby(sci_call *call)
{
    int64_t delta;
    if (!sci_arg_i64(call, 2, &delta))
        return;
    if (delta == INT64_MIN)
        sci_answer_error(call, "ERR decrement would overflow");
    else
        sci_number_add(call, -delta);
}

/* The result is logged: whoever loads it may compute otherwise. */
static void sci_float_log(sci_call *call, sc_slice key, sc_slice value)
{
    sc_slice words[4];
    words[0] = sc_text("SET");
    words[1] = key;
    words[2] = value;
    words[3] = sc_text("KEEPTTL");
    sci_log_instead(call, words, SCI_COUNT(words));
}

static void sci_command_incrbyfloat(sci_call *call)
{
    sc_slice key = call->argv[1];
    char digits[SCI_EXTENDED_TEXT_BYTES];
    sci_extended number, delta;
    sci_entry *entry;
    if (!sci_typed_for_write(call, key, SCI_STRING, &entry))
        return;
    if (!sci_text_to_extended(entry ? sci_entry_string(entry) : sc_text("0"), &number)) {
        sci_answer_error(call, "ERR value is not a valid float");
        return;
    }
    if (!sci_arg_extended(call, 2, &delta))
        return;
    number = sci_extended_add(&number, &delta);
    if (!sci_extended_is_finite(&number)) {
        sci_answer_error(call, "ERR increment would produce NaN or Infinity");
        return;
    }
    sc_slice value = sc_bytes(digits, sci_extended_to_text(&number, digits));
    if (!sci_string_store(call, &entry, key, value))
        return;
    sci_changed(call, key, SCI_EVENT_STRING, "incrbyfloat");
    sci_float_log(call, key, value);
    sci_answer_bulk(call, value);
}

SCI_PRIVATE sci_command_list sci_number_commands(void)
{
    static const sci_command commands[] = {
        {"incr", sci_command_incr, 2, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"decr", sci_command_decr, 2, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"incrby", sci_command_incrby, 3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"decrby", sci_command_decrby, 3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST, 1, 1, 1},
        {"incrbyfloat", sci_command_incrbyfloat, 3, SCI_CMD_WRITE | SCI_CMD_DENYOOM | SCI_CMD_FAST,
         1, 1, 1},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
