/* A short text and a place in it. */

#include "base/phrase.h"

#include "base/error.h"
#include "base/number.h"

/* Of the text, so that the words behind it have room. */
#define SCI_PHRASE_SHOWN_BYTES 128

static bool sci_phrase_is_printable(int c)
{
    return c >= ' ' && c < 0x7f;
}

SCI_PRIVATE int sci_phrase_peek(const sci_phrase *phrase)
{
    return phrase->at < phrase->text.len ? (unsigned char)phrase->text.data[phrase->at] : -1;
}

SCI_PRIVATE bool sci_phrase_take(sci_phrase *phrase, char c)
{
    if (sci_phrase_peek(phrase) != (unsigned char)c)
        return false;
    phrase->at++;
    return true;
}

SCI_PRIVATE bool sci_phrase_number(sci_phrase *phrase, int most, int *number)
{
    size_t at = phrase->at;
    int value = 0;
    for (; at < phrase->text.len && sci_is_digit(phrase->text.data[at]); at++) {
        value = value * 10 + (phrase->text.data[at] - '0');
        if (value > most)
            return false;
    }
    if (at == phrase->at)
        return false;
    phrase->at = at;
    *number = value;
    return true;
}

/* Text that would not stand on one line is shown up to there. */
static int sci_phrase_shown(const sci_phrase *phrase)
{
    size_t len = 0;
    while (len < sci_min_size(phrase->text.len, SCI_PHRASE_SHOWN_BYTES) &&
           sci_phrase_is_printable((unsigned char)phrase->text.data[len]))
        len++;
    return (int)len;
}

SCI_PRIVATE sc_status sci_phrase_refuse(const sci_phrase *phrase, const char *why)
{
    return sc_fail(SC_ERR_ARGUMENT, "%s \"%.*s\", byte %zu: %s", phrase->what,
                   sci_phrase_shown(phrase), phrase->text.len ? phrase->text.data : "", phrase->at,
                   why);
}

SCI_PRIVATE sc_status sci_phrase_fail(const sci_phrase *phrase, const char *expected)
{
    int found = sci_phrase_peek(phrase);
    sc_status status = sci_phrase_refuse(phrase, expected);
    if (found < 0)
        sci_error_text_add(" was expected, not the end");
    else if (sci_phrase_is_printable(found))
        sci_error_text_add(" was expected, not '%c'", found);
    else
        sci_error_text_add(" was expected, not the byte 0x%x", (unsigned)found);
    return status;
}
