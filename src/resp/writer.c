/* Commands to RESP2: room is made once for a command, then bytes are only stored. */

#include "resp/writer.h"

/* Digits of the largest 64-bit length. */
#define SCI_WRITER_DIGITS 20
/* What the type byte, a length and its line end take at most. */
#define SCI_WRITER_HEADER_BYTES (1 + SCI_WRITER_DIGITS + 2)
/* What an argument takes at most besides its own bytes. */
#define SCI_WRITER_BULK_BYTES (SCI_WRITER_HEADER_BYTES + 2)
/* Arguments up to this long are stored without a call. */
#define SCI_WRITER_SHORT_BYTES 16

static inline char *sci_writer_line_end(char *at)
{
    memcpy(at, "\r\n", 2);
    return at + 2;
}

static inline char *sci_writer_number(char *at, size_t number)
{
    if (number < 10) {
        *at = (char)('0' + number);
        return at + 1;
    }
    if (number < 100) {
        at[0] = (char)('0' + number / 10);
        at[1] = (char)('0' + number % 10);
        return at + 2;
    }
    char digits[SCI_WRITER_DIGITS];
    size_t first = sizeof digits;
    for (; number > 0; number /= 10)
        digits[--first] = (char)('0' + number % 10);
    memcpy(at, digits + first, sizeof digits - first);
    return at + (sizeof digits - first);
}

static inline char *sci_writer_header(char *at, char type, size_t number)
{
    *at = type;
    return sci_writer_line_end(sci_writer_number(at + 1, number));
}

/* Words of commands and keys are mostly short: two stores that may overlap are quicker than a call
   with a length that the compiler does not know. */
static inline char *sci_writer_copy(char *at, sc_slice bytes)
{
    if (bytes.len > SCI_WRITER_SHORT_BYTES) {
        memcpy(at, bytes.data, bytes.len);
    } else if (bytes.len >= 8) {
        memcpy(at, bytes.data, 8);
        memcpy(at + bytes.len - 8, bytes.data + bytes.len - 8, 8);
    } else if (bytes.len >= 4) {
        memcpy(at, bytes.data, 4);
        memcpy(at + bytes.len - 4, bytes.data + bytes.len - 4, 4);
    } else if (bytes.len > 0) {
        at[0] = bytes.data[0];
        at[bytes.len / 2] = bytes.data[bytes.len / 2];
        at[bytes.len - 1] = bytes.data[bytes.len - 1];
    }
    return at + bytes.len;
}

static inline char *sci_writer_bulk(char *at, sc_slice argument)
{
    at = sci_writer_header(at, '$', argument.len);
    return sci_writer_line_end(sci_writer_copy(at, argument));
}

static sc_status sci_writer_refuse_size(void)
{
    return sc_fail(SC_ERR_MEMORY, "out of memory: the command's arguments are too long together");
}

SCI_PRIVATE sc_status sci_write_command(sci_bytes *out, const sc_slice *argv, size_t argc)
{
    if (argc == 0)
        return sc_fail(SC_ERR_ARGUMENT, "a command needs at least its name: argc is 0");
    if (argc > SIZE_MAX / 2 / SCI_WRITER_BULK_BYTES)
        return sci_writer_refuse_size();
    size_t most = SCI_WRITER_HEADER_BYTES + argc * SCI_WRITER_BULK_BYTES;
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len > SIZE_MAX - most)
            return sci_writer_refuse_size();
        most += argv[i].len;
    }
    sc_status status = sci_bytes_reserve(out, most);
    if (status != SC_OK)
        return status;
    char *at = sci_writer_header(out->data + out->end, '*', argc);
    for (size_t i = 0; i < argc; i++)
        at = sci_writer_bulk(at, argv[i]);
    out->end = (size_t)(at - out->data);
    return SC_OK;
}

static sc_status sci_write_header(sci_bytes *out, char type, size_t number)
{
    sc_status status = sci_bytes_reserve(out, SCI_WRITER_HEADER_BYTES);
    if (status != SC_OK)
        return status;
    out->end = (size_t)(sci_writer_header(out->data + out->end, type, number) - out->data);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_write_array_header(sci_bytes *out, size_t argc)
{
    return sci_write_header(out, '*', argc);
}

SCI_PRIVATE sc_status sci_write_bulk_header(sci_bytes *out, size_t len)
{
    return sci_write_header(out, '$', len);
}

SCI_PRIVATE sc_status sci_write_bulk(sci_bytes *out, sc_slice argument)
{
    if (argument.len > SIZE_MAX - SCI_WRITER_BULK_BYTES)
        return sci_writer_refuse_size();
    sc_status status = sci_bytes_reserve(out, argument.len + SCI_WRITER_BULK_BYTES);
    if (status != SC_OK)
        return status;
    out->end = (size_t)(sci_writer_bulk(out->data + out->end, argument) - out->data);
    return SC_OK;
}
