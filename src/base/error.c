/* The words for statuses, and this thread's detail text. */

#include "base/error.h"

#include "base/number.h"
#include "base/thread.h"

/* Where this thread's text stands; NULL when there is no memory for it. */
#if defined(SCI_THREAD_LOCAL)
static SCI_THREAD_LOCAL char sci_error_buffer[SC_ERROR_TEXT_BYTES];

static inline char *sci_error_own(void)
{
    return sci_error_buffer;
}
#else
static inline char *sci_error_own(void)
{
    return sci_thread_text();
}
#endif

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

/* Where formatted text goes, cut at `end`, which keeps one byte for the NUL; and where its
   arguments come from. */
typedef struct sci_format_out {
    char *at;
    char *end;
    va_list arguments;
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

/* The conversion of text at `*at`, moved past; false when there is none. */
static bool sci_format_string(sci_format_out *out, const char **at)
{
    if (sci_format_take(at, "s")) {
        sci_format_put_text(out, va_arg(out->arguments, const char *), -1);
    } else if (sci_format_take(at, ".*s")) {
        int limit = va_arg(out->arguments, int);
        sci_format_put_text(out, va_arg(out->arguments, const char *), limit);
    } else if (sci_format_take(at, "c")) {
        char c = (char)va_arg(out->arguments, int);
        sci_format_put(out, &c, 1);
    } else if (sci_format_take(at, "%")) {
        sci_format_put(out, "%", 1);
    } else {
        return false;
    }
    return true;
}

/* The conversion of a number at `*at`, moved past; false when there is none. */
static bool sci_format_number(sci_format_out *out, const char **at)
{
    if (sci_format_take(at, "d"))
        sci_format_put_signed(out, va_arg(out->arguments, int));
    else if (sci_format_take(at, "u"))
        sci_format_put_unsigned(out, va_arg(out->arguments, unsigned));
    else if (sci_format_take(at, "x"))
        sci_format_put_hex(out, va_arg(out->arguments, unsigned));
    else if (sci_format_take(at, "ld"))
        sci_format_put_signed(out, va_arg(out->arguments, long));
    else if (sci_format_take(at, "lu"))
        sci_format_put_unsigned(out, va_arg(out->arguments, unsigned long));
    else if (sci_format_take(at, "lld"))
        sci_format_put_signed(out, va_arg(out->arguments, long long));
    else if (sci_format_take(at, "llu"))
        sci_format_put_unsigned(out, va_arg(out->arguments, unsigned long long));
    else if (sci_format_take(at, "zu"))
        sci_format_put_unsigned(out, va_arg(out->arguments, size_t));
    else
        return false;
    return true;
}

SCI_PRIVATE size_t sci_format_list(char *out, size_t cap, const char *format, va_list arguments)
{
    if (cap == 0)
        return 0;
    sci_format_out to;
    to.at = out;
    to.end = out + cap - 1;
    va_copy(to.arguments, arguments);
    while (*format) {
        const char *percent = format;
        while (*percent && *percent != '%')
            percent++;
        sci_format_put(&to, format, (size_t)(percent - format));
        format = percent;
        if (!sci_format_take(&format, "%"))
            break;
        if (!sci_format_string(&to, &format) && !sci_format_number(&to, &format)) {
            /* Unknown, so its argument's size is unknown too: show the rest as it stands. */
            sci_format_put(&to, "%", 1);
            sci_format_put_text(&to, format, -1);
            break;
        }
    }
    va_end(to.arguments);
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
    const char *own = sci_error_own();
    return own ? own : "";
}

SC_API sc_status sc_fail(sc_status status, const char *format, ...)
{
    /* By way of a copy: an argument may be the text that is there now. */
    char text[SC_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    sci_error_text_set(text, len);
    return status;
}

SCI_PRIVATE void sci_error_text_set(const char *text, size_t len)
{
    char *own = sci_error_own();
    if (!own)
        return;
    len = sci_min_size(len, SC_ERROR_TEXT_BYTES - 1);
    if (len > 0)
        memmove(own, text, len);
    own[len] = '\0';
}

SCI_PRIVATE void sci_error_text_add(const char *format, ...)
{
    char text[SC_ERROR_TEXT_BYTES];
    char *own = sci_error_own();
    if (!own)
        return;
    va_list arguments;
    va_start(arguments, format);
    size_t len = sci_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t start = strlen(own);
    len = sci_min_size(len, SC_ERROR_TEXT_BYTES - 1 - start);
    memcpy(own + start, text, len);
    own[start + len] = '\0';
}

SCI_PRIVATE sc_status sci_check_ms(const char *options, const char *field, int64_t ms,
                                   int64_t least, int64_t most)
{
    if (ms >= least && ms <= most)
        return SC_OK;
    return sc_fail(SC_ERR_ARGUMENT, "%s.%s is %lld; it wants %lld to %lld milliseconds", options,
                   field, (long long)ms, (long long)least, (long long)most);
}
