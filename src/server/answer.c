/* Answers in RESP2. */

#include "server/server.h"

#include "base/error.h"
#include "resp/writer.h"

/* A type byte, 20 digits and a line end. */
#define SCI_ANSWER_LINE_BYTES 24

static void sci_answer_broken(sci_call *call)
{
    if (call->session)
        call->session->is_broken = true;
}

static void sci_answer_add(sci_call *call, sc_slice bytes)
{
    if (SCI_UNLIKELY(sci_bytes_append(call->out, bytes) != SC_OK))
        sci_answer_broken(call);
}

SCI_PRIVATE void sci_answer_ok(sci_call *call)
{
    sci_answer_add(call, sc_bytes("+OK\r\n", 5));
}

/* A line from pieces of known length. */
static void sci_answer_line(sci_call *call, char type, sc_slice text)
{
    if (SCI_UNLIKELY(sci_bytes_reserve(call->out, text.len + 3) != SC_OK)) {
        sci_answer_broken(call);
        return;
    }
    char *at = call->out->data + call->out->end;
    at[0] = type;
    memcpy(at + 1, text.data, text.len);
    memcpy(at + 1 + text.len, "\r\n", 2);
    call->out->end += text.len + 3;
}

SCI_PRIVATE void sci_answer_simple(sci_call *call, const char *text)
{
    sci_answer_line(call, '+', sc_text(text));
}

SCI_PRIVATE void sci_answer_i64(sci_call *call, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_answer_line(call, ':', sc_bytes(text, sci_i64_to_text(number, text)));
}

SCI_PRIVATE void sci_answer_bulk(sci_call *call, sc_slice bytes)
{
    if (SCI_UNLIKELY(sci_write_bulk(call->out, bytes) != SC_OK))
        sci_answer_broken(call);
}

SCI_PRIVATE void sci_answer_text(sci_call *call, const char *text)
{
    sci_answer_bulk(call, sc_text(text));
}

SCI_PRIVATE void sci_answer_i64_bulk(sci_call *call, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_answer_bulk(call, sc_bytes(text, sci_i64_to_text(number, text)));
}

SCI_PRIVATE void sci_answer_double(sci_call *call, double number)
{
    char text[SCI_SCORE_TEXT_BYTES];
    sci_answer_bulk(call, sc_bytes(text, sci_score_to_text(number, text)));
}

SCI_PRIVATE void sci_answer_nil(sci_call *call, sci_nil nil)
{
    static const char *const words[] = {"$-1\r\n", "*-1\r\n", "+OK\r\n"};
    sci_answer_add(call, sc_bytes(words[nil], 5));
}

SCI_PRIVATE void sci_answer_array(sci_call *call, size_t count)
{
    if (SCI_UNLIKELY(sci_write_array_header(call->out, count) != SC_OK))
        sci_answer_broken(call);
}

/* Room for a header of one digit; one with more pushes the elements on. */
#define SCI_ANSWER_SHORT_HEADER 4

SCI_PRIVATE size_t sci_answer_array_begin(sci_call *call)
{
    size_t mark = sci_bytes_len(call->out);
    sci_answer_add(call, sc_bytes("*0\r\n", SCI_ANSWER_SHORT_HEADER));
    return mark;
}

SCI_PRIVATE void sci_answer_array_end(sci_call *call, size_t mark, size_t count)
{
    sci_bytes *out = call->out;
    char header[SCI_ANSWER_LINE_BYTES];
    header[0] = '*';
    size_t len = 1 + sci_u64_to_text(count, header + 1);
    memcpy(header + len, "\r\n", 2);
    len += 2;
    size_t more = len - SCI_ANSWER_SHORT_HEADER;
    /* Without its own header there was no memory for that either. */
    if (sci_bytes_len(out) < mark + SCI_ANSWER_SHORT_HEADER ||
        sci_bytes_reserve(out, more) != SC_OK) {
        sci_answer_broken(call);
        return;
    }
    char *at = out->data + out->start + mark;
    if (more > 0)
        memmove(at + len, at + SCI_ANSWER_SHORT_HEADER,
                sci_bytes_len(out) - mark - SCI_ANSWER_SHORT_HEADER);
    memcpy(at, header, len);
    out->end += more;
}

SCI_PRIVATE void sci_answer_error(sci_call *call, const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Of line ends that a word brings, Redis leaves the last ones out. */
    while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
        len--;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    sci_answer_line(call, '-', sc_bytes(text, len));
}

SCI_PRIVATE void sci_answer_wrong_type(sci_call *call)
{
    sci_answer_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

SCI_PRIVATE void sci_answer_syntax_error(sci_call *call)
{
    sci_answer_error(call, "ERR syntax error");
}

SCI_PRIVATE void sci_answer_no_memory(sci_call *call)
{
    sci_answer_error(call, "OOM out of memory");
}
