/* A log's records: written, parsed, found; and the check over a batch. */

#include "server/log_record.h"

#include "base/error.h"
#include "base/number.h"

#define SCI_LOG_RECORD_HEAD "*2\r\n$4\r\nECHO\r\n$"
#define SCI_LOG_RECORD_FIRST_WORD "smartcache:log:"
#define SCI_LOG_RECORD_FIRST_NOW "smartcache:log:1:"
#define SCI_LOG_RECORD_BATCH_WORD "smartcache:batch:"
#define SCI_LOG_RECORD_DIGITS 16

static char *sci_log_record_hex(char *at, uint64_t number, size_t digits)
{
    for (size_t i = digits; i > 0; i--, number /= 16)
        at[i - 1] = "0123456789abcdef"[number % 16];
    return at + digits;
}

static char *sci_log_record_text(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

/* The command around the text that is there. */
static size_t sci_log_record_close(char out[SCI_LOG_RECORD_BYTES], size_t text_len)
{
    char head[SCI_LOG_RECORD_BYTES];
    size_t len = sci_format(head, sizeof head, "%s%zu\r\n", SCI_LOG_RECORD_HEAD, text_len);
    memmove(out + len, out, text_len);
    memcpy(out, head, len);
    memcpy(out + len + text_len, "\r\n", 2);
    return len + text_len + 2;
}

/* The check of what was written of the text, and a second number; then the command around it. */
static size_t sci_log_record_finish(char out[SCI_LOG_RECORD_BYTES], char *at,
                                    const sci_hash_seed *seed, uint64_t place)
{
    sci_hash_seed keyed = *seed;
    keyed.k1 ^= place;
    uint64_t check = sci_hash(&keyed, sc_bytes(out, (size_t)(at - out)));
    *at++ = ':';
    at = sci_log_record_hex(at, check & UINT32_MAX, SCI_LOG_RECORD_DIGITS / 2);
    return sci_log_record_close(out, (size_t)(at - out));
}

SCI_PRIVATE size_t sci_log_record_first(char out[SCI_LOG_RECORD_BYTES], const sci_hash_seed *seed)
{
    char *at = sci_log_record_text(out, SCI_LOG_RECORD_FIRST_NOW);
    at = sci_log_record_hex(at, seed->k0, SCI_LOG_RECORD_DIGITS);
    at = sci_log_record_hex(at, seed->k1, SCI_LOG_RECORD_DIGITS);
    return sci_log_record_finish(out, at, seed, 0);
}

SCI_PRIVATE size_t sci_log_record_batch(char out[SCI_LOG_RECORD_BYTES], const sci_hash_seed *seed,
                                        const sci_log_record *record)
{
    char *at = sci_log_record_text(out, SCI_LOG_RECORD_BATCH_WORD);
    at += sci_u64_to_text(record->bytes, at);
    *at++ = ':';
    at += sci_u64_to_text(record->at_risk, at);
    *at++ = ':';
    at = sci_log_record_hex(at, record->check, SCI_LOG_RECORD_DIGITS);
    return sci_log_record_finish(out, at, seed, record->at);
}

/* --- Parsing takes a record's numbers, and compares with what they would have been written as. */

static bool sci_log_record_take(sc_slice *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len || memcmp(text->data, word, len) != 0)
        return false;
    *text = sc_bytes(text->data + len, text->len - len);
    return true;
}

static uint64_t sci_log_record_take_number(sc_slice *text, unsigned base)
{
    uint64_t number = 0;
    size_t i = 0;
    for (; i < text->len; i++) {
        int digit = sci_hex_digit((unsigned char)text->data[i]);
        if (digit < 0 || digit >= (int)base || (base == 16 && i == SCI_LOG_RECORD_DIGITS))
            break;
        number = number * base + (unsigned)digit;
    }
    *text = sc_bytes(text->data + i, text->len - i);
    return number;
}

static bool sci_log_record_is(sc_slice data, const char *written, size_t len)
{
    return data.len >= len && memcmp(data.data, written, len) == 0;
}

static void sci_log_record_parse_first(sc_slice data, sc_slice text, sci_log_record *record)
{
    char written[SCI_LOG_RECORD_BYTES];
    record->seed.k0 = sci_log_record_take_number(&text, 16);
    record->seed.k1 = sci_log_record_take_number(&text, 16);
    record->len = sci_log_record_first(written, &record->seed);
    if (data.len >= record->len)
        record->kind = sci_log_record_is(data, written, record->len) ? SCI_LOG_RECORD_FIRST
                                                                     : SCI_LOG_RECORD_WRONG;
}

static void sci_log_record_parse_batch(sc_slice data, sc_slice text, const sci_hash_seed *seed,
                                       sci_log_record *record)
{
    char written[SCI_LOG_RECORD_BYTES];
    record->kind = SCI_LOG_RECORD_WRONG;
    record->bytes = sci_log_record_take_number(&text, 10);
    (void)sci_log_record_take(&text, ":");
    record->at_risk = sci_log_record_take_number(&text, 10);
    (void)sci_log_record_take(&text, ":");
    record->check = sci_log_record_take_number(&text, 16);
    record->len = sci_log_record_batch(written, seed, record);
    if (sci_log_record_is(data, written, record->len))
        record->kind = SCI_LOG_RECORD_BATCH;
}

SCI_PRIVATE void sci_log_record_parse(sc_slice data, const sci_hash_seed *seed, uint64_t at,
                                      sci_log_record *record)
{
    sc_slice text = data;
    memset(record, 0, sizeof *record);
    record->at = at;
    if (!sci_log_record_take(&text, SCI_LOG_RECORD_HEAD))
        return;
    (void)sci_log_record_take_number(&text, 10);
    if (!sci_log_record_take(&text, "\r\n"))
        return;
    if (sci_log_record_take(&text, SCI_LOG_RECORD_FIRST_NOW)) {
        sci_log_record_parse_first(data, text, record);
    } else if (sci_log_record_take(&text, SCI_LOG_RECORD_FIRST_WORD)) {
        if (text.len > 1)
            record->kind = SCI_LOG_RECORD_UNKNOWN;
    } else if (sci_log_record_take(&text, SCI_LOG_RECORD_BATCH_WORD)) {
        sci_log_record_parse_batch(data, text, seed, record);
    }
}

SCI_PRIVATE size_t sci_log_record_find(sc_slice data)
{
    const char head[] = SCI_LOG_RECORD_HEAD;
    size_t at = 0;
    while (at < data.len) {
        const char *star = (const char *)memchr(data.data + at, head[0], data.len - at);
        if (!star)
            break;
        at = (size_t)(star - data.data);
        if (memcmp(star, head, sci_min_size(sizeof head - 1, data.len - at)) == 0)
            return at;
        at++;
    }
    return data.len;
}

SCI_PRIVATE uint64_t sci_log_record_check_piece(const sci_hash_seed *seed, uint64_t check,
                                                sc_slice piece)
{
    sci_hash_seed keyed = *seed;
    keyed.k0 ^= check;
    return sci_hash(&keyed, piece);
}

SCI_PRIVATE uint64_t sci_log_record_check(const sci_hash_seed *seed, sc_slice batch)
{
    uint64_t check = 0;
    while (batch.len > 0) {
        size_t len = sci_min_size(batch.len, SCI_LOG_RECORD_PIECE_BYTES);
        check = sci_log_record_check_piece(seed, check, sc_bytes(batch.data, len));
        batch = sc_bytes(batch.data + len, batch.len - len);
    }
    return check;
}
