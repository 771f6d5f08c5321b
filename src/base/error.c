/* The words for statuses, and this thread's detail text. */

#include "base/error.h"

#include "base/number.h"
#include "base/thread.h"

static SCI_THREAD_LOCAL char sci_error_buffer[SC_ERROR_TEXT_BYTES];

SC_API const char *sc_status_name(sc_status status)
{
    switch (status) {
#define SCI_STATUS_NAME(name, code, message)                                                       \
    case name:                                                                                     \
        return #name;
        SC_STATUS_LIST(SCI_STATUS_NAME)
#undef SCI_STATUS_NAME
    }
    return "?";
}

SC_API const char *sc_status_message(sc_status status)
{
    switch (status) {
#define SCI_STATUS_MESSAGE(name, code, message)                                                    \
    case name:                                                                                     \
        return message;
        SC_STATUS_LIST(SCI_STATUS_MESSAGE)
#undef SCI_STATUS_MESSAGE
    }
    return "a number that is no status";
}

SC_API bool sc_not_executed(sc_status status)
{
    switch (status) {
    case SC_CONFLICT:
    case SC_ERR_ARGUMENT:
    case SC_ERR_URL:
    case SC_ERR_RESOLVE:
    case SC_ERR_CONNECT:
    case SC_ERR_AUTH:
    case SC_ERR_NOT_SENT:
    case SC_ERR_FULL:
    case SC_ERR_CLOSED:
        return true;
    default:
        return false;
    }
}

/* Where formatted text goes: cut at `end`, which keeps one byte for the NUL. */
typedef struct sci_format_out {
    char *at;
    char *end;
} sci_format_out;

static void sci_format_put(sci_format_out *out, const char *text, size_t len)
{
    size_t room = (size_t)(out->end - out->at);
    len = sci_min_size(len, room);
    if (len > 0)
        memcpy(out->at, text, len);
    out->at += len;
}

/* A string up to its NUL or, when `limit` is not negative, at most `limit` bytes. */
static void sci_format_put_text(sci_format_out *out, const char *text, int limit)
{
    if (!text)
        text = "(null)";
    size_t len = 0;
    while ((limit < 0 || len < (size_t)limit) && text[len])
        len++;
    sci_format_put(out, text, len);
}

static void sci_format_put_signed(sci_format_out *out, int64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_format_put(out, text, sci_i64_to_text(number, text));
}

static void sci_format_put_unsigned(sci_format_out *out, uint64_t number)
{
    char text[SCI_I64_TEXT_BYTES];
    sci_format_put(out, text, sci_u64_to_text(number, text));
}

static void sci_format_put_hex(sci_format_out *out, unsigned number)
{
    char digits[2 * sizeof number];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % 16];
        number /= 16;
    } while (number > 0);
    sci_format_put(out, digits + at, sizeof digits - at);
}

/* True when `*at` begins with `word`; then moves past it. */
static bool sci_format_take(const char **at, const char *word)
{
    size_t len = strlen(word);
    if (strncmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

SCI_PRIVATE size_t sci_format_list(char *out, size_t cap, const char *format, va_list arguments)
{
    if (cap == 0)
        return 0;
    sci_format_out to;
    to.at = out;
    to.end = out + cap - 1;
    while (*format) {
        const char *percent = format;
        while (*percent && *percent != '%')
            percent++;
        sci_format_put(&to, format, (size_t)(percent - format));
        format = percent;
        if (!sci_format_take(&format, "%"))
            break;
        if (sci_format_take(&format, "s")) {
            sci_format_put_text(&to, va_arg(arguments, const char *), -1);
        } else if (sci_format_take(&format, ".*s")) {
            int limit = va_arg(arguments, int);
            sci_format_put_text(&to, va_arg(arguments, const char *), limit);
        } else if (sci_format_take(&format, "c")) {
            char c = (char)va_arg(arguments, int);
            sci_format_put(&to, &c, 1);
        } else if (sci_format_take(&format, "d")) {
            sci_format_put_signed(&to, va_arg(arguments, int));
        } else if (sci_format_take(&format, "u")) {
            sci_format_put_unsigned(&to, va_arg(arguments, unsigned));
        } else if (sci_format_take(&format, "x")) {
            sci_format_put_hex(&to, va_arg(arguments, unsigned));
        } else if (sci_format_take(&format, "ld")) {
            sci_format_put_signed(&to, va_arg(arguments, long));
        } else if (sci_format_take(&format, "lu")) {
            sci_format_put_unsigned(&to, va_arg(arguments, unsigned long));
        } else if (sci_format_take(&format, "lld")) {
            sci_format_put_signed(&to, va_arg(arguments, long long));
        } else if (sci_format_take(&format, "llu")) {
            sci_format_put_unsigned(&to, va_arg(arguments, unsigned long long));
        } else if (sci_format_take(&format, "zu")) {
            sci_format_put_unsigned(&to, va_arg(arguments, size_t));
        } else if (sci_format_take(&format, "%")) {
            sci_format_put(&to, "%", 1);
        } else {
            /* Unknown, so its argument's size is unknown too: show the rest as it stands. */
            sci_format_put(&to, "%", 1);
            sci_format_put_text(&to, format, -1);
            break;
        }
    }
    *to.at = '\0';
    return (size_t)(to.at - out);
}

SCI_PRIVATE size_t sci_format(char *out, size_t cap, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(out, cap, format, arguments);
    va_end(arguments);
    return len;
}

SC_API const char *sc_error_text(void)
{
    return sci_error_buffer;
}

SC_API sc_status sc_fail(sc_status status, const char *format, ...)
{
    /* By way of a copy: an argument may be the text that is there now. */
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(sci_error_buffer, text, len + 1);
    return status;
}

SCI_PRIVATE void sci_error_text_set(const char *text, size_t len)
{
    len = sci_min_size(len, SC_ERROR_TEXT_BYTES - 1);
    if (len > 0)
        memmove(sci_error_buffer, text, len);
    sci_error_buffer[len] = '\0';
}

SCI_PRIVATE void sci_error_text_add(const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t start = strlen(sci_error_buffer);
    len = sci_min_size(len, SC_ERROR_TEXT_BYTES - 1 - start);
    memcpy(sci_error_buffer + start, text, len);
    sci_error_buffer[start + len] = '\0';
}
