/* A command's words: what they say, and the numbers in them. */

#include "server/command.h"

#include "base/double_c.h"

/* 73 years: more would overflow as nanoseconds. */
#define SCI_WORD_MOST_TIMEOUT_MS (INT64_MAX / 4 / 1000000)

SCI_PRIVATE bool sci_word_is(sc_slice word, const char *lower)
{
    size_t i = 0;
    for (; i < word.len && lower[i]; i++) {
        char c = word.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if (c != lower[i])
            return false;
    }
    return i == word.len && !lower[i];
}

SCI_PRIVATE bool sci_word_to_double(sc_slice word, double *number)
{
    bool is_out_of_range;
    return sci_text_to_double_as_c(word, number, &is_out_of_range) && !is_out_of_range;
}

SCI_PRIVATE bool sci_arg_i64(sci_call *call, size_t i, int64_t *number)
{
    if (sci_text_to_i64(call->argv[i], number))
        return true;
    sci_answer_error(call, "ERR value is not an integer or out of range");
    return false;
}

SCI_PRIVATE bool sci_arg_i64_between(sci_call *call, size_t i, int64_t least, int64_t most,
                                     int64_t *number)
{
    if (!sci_arg_i64(call, i, number))
        return false;
    if (*number >= least && *number <= most)
        return true;
    sci_answer_error(call, "ERR value is out of range, value must between %lld and %lld",
                     (long long)least, (long long)most);
    return false;
}

SCI_PRIVATE bool sci_arg_double(sci_call *call, size_t i, double *number)
{
    if (sci_word_to_double(call->argv[i], number))
        return true;
    sci_answer_error(call, "ERR value is not a valid float");
    return false;
}

SCI_PRIVATE bool sci_arg_extended(sci_call *call, size_t i, sci_extended *number)
{
    if (sci_text_to_extended(call->argv[i], number))
        return true;
    sci_answer_error(call, "ERR value is not a valid float");
    return false;
}

SCI_PRIVATE bool sci_arg_timeout(sci_call *call, size_t i, int64_t *timeout_ms)
{
    sci_extended seconds;
    if (!sci_text_to_extended(call->argv[i], &seconds)) {
        sci_answer_error(call, "ERR timeout is not a float or out of range");
        return false;
    }
    sci_extended milliseconds = sci_extended_multiply(&seconds, 1000);
    int64_t ms = sci_extended_ceiling(&milliseconds);
    /* What is too large overflows in Redis, and is negative then. */
    if (ms < 0 || ms == INT64_MAX) {
        sci_answer_error(call, "ERR timeout is negative");
        return false;
    }
    *timeout_ms = sci_min_i64(ms, SCI_WORD_MOST_TIMEOUT_MS);
    return true;
}

SCI_PRIVATE size_t sci_score_to_text(double number, char text[SCI_SCORE_TEXT_BYTES])
{
    return sci_double_to_text_17(number, text);
}
