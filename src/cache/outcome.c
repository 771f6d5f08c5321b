/* Outcomes of loads: making them, and their form in messages and results. */

#include "cache/outcome.h"

#include "base/number.h"
#include "cache/flight.h"

SCI_PRIVATE void sci_outcome_init(sci_outcome *outcome, sc_status status)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->status = status;
}

SCI_PRIVATE void sci_outcome_free(sci_outcome *outcome)
{
    sc_value_release(outcome->value);
    sc_value_release(outcome->error_text);
    sc_value_release(outcome->encoded);
    sci_outcome_init(outcome, SC_OK);
}

SCI_PRIVATE void sci_outcome_set_value(sci_outcome *outcome, const sc_memory *memory,
                                       sc_slice bytes)
{
    outcome->status = sc_value_create(memory, bytes, &outcome->value);
}

/* The words, and the payload "STATUS WORDS". Without memory for them the status still stands. */
static void sci_outcome_set_error(sci_outcome *outcome, const sc_memory *memory, sc_status status,
                                  sc_slice words)
{
    sci_bytes encoded;
    outcome->status = status;
    (void)sc_value_create(memory, words, &outcome->error_text);
    sci_bytes_init(&encoded, memory);
    sc_status written = sci_bytes_append_i64(&encoded, status);
    if (written == SC_OK)
        written = sci_bytes_append_char(&encoded, ' ');
    if (written == SC_OK)
        written = sci_bytes_append(&encoded, words);
    if (written == SC_OK)
        (void)sc_value_create(memory, sci_bytes_slice(&encoded), &outcome->encoded);
    sci_bytes_free(&encoded);
}

SCI_PRIVATE void sci_outcome_from_load(sci_outcome *outcome, sc_load *load, sc_status status,
                                       sc_status (*judge)(sc_slice value), const sc_memory *memory)
{
    outcome->is_from_loader = true;
    if (status == SC_OK && load->write_status != SC_OK)
        status = sc_fail(load->write_status, "out of memory while the loader wrote its value");
    if (status == SC_OK) {
        outcome->value = load->taken;
        load->taken = NULL;
        if (!outcome->value)
            sci_outcome_set_value(outcome, memory, sci_bytes_slice(&load->bytes));
        status = outcome->status;
    }
    sci_bytes_free(&load->bytes);
    if (status == SC_OK && judge) {
        status = judge(sc_value_bytes(outcome->value));
        if (status == SC_MISS) {
            load->ttl_ms = SC_TTL_NONE;
            status = SC_OK;
        }
    }
    if (status > 0)
        status = SC_MISS; /* "there is none", whichever informative status says it */
    outcome->status = status;
    if (status == SC_OK)
        return;
    sc_value_release(outcome->value);
    outcome->value = NULL;
    if (status < 0) {
        const char *words = sc_error_text();
        sci_outcome_set_error(outcome, memory, status,
                              sc_text(*words ? words : sc_status_message(status)));
    }
}

/* A status that came over the wire: one of the list's errors, else SC_ERR_LOADER. */
static sc_status sci_outcome_status(int64_t code)
{
    static const sc_status known[] = {
#define SCI_OUTCOME_STATUS(name, number, message) name,
        SC_STATUS_LIST(SCI_OUTCOME_STATUS)
#undef SCI_OUTCOME_STATUS
    };
    for (size_t i = 0; i < SCI_COUNT(known); i++)
        if (code < 0 && (int64_t)known[i] == code)
            return known[i];
    return SC_ERR_LOADER;
}

static void sci_outcome_decode(sci_outcome *outcome, const sc_memory *memory, char kind,
                               sc_slice payload)
{
    if (kind == 'v') {
        sci_outcome_set_value(outcome, memory, payload);
    } else if (kind == 'm') {
        outcome->status = SC_MISS;
    } else {
        int64_t code = SC_ERR_LOADER;
        const char *space =
            payload.len ? (const char *)memchr(payload.data, ' ', payload.len) : NULL;
        size_t digits = space ? (size_t)(space - payload.data) : 0;
        if (space && sci_text_to_i64(sc_bytes(payload.data, digits), &code))
            payload = sc_bytes(space + 1, payload.len - digits - 1);
        outcome->status = sci_outcome_status(code);
        (void)sc_value_create(memory, payload, &outcome->error_text);
    }
    outcome->is_from_loader = true;
}

SCI_PRIVATE bool sci_outcome_from_message(sci_outcome *outcome, const sc_memory *memory,
                                          sc_slice message, char *awaited)
{
    if (message.len < 1 + SCI_TOKEN_LEN)
        return false; /* not ours: anybody may publish */
    char kind = message.data[0];
    bool is_awaited = memcmp(awaited, message.data + 1, SCI_TOKEN_LEN) == 0;
    memcpy(awaited, message.data + 1, SCI_TOKEN_LEN);
    if (!is_awaited || (kind != 'v' && kind != 'm' && kind != 'e'))
        return false;
    sci_outcome_decode(outcome, memory, kind,
                       sc_bytes(message.data + 1 + SCI_TOKEN_LEN, message.len - 1 - SCI_TOKEN_LEN));
    return true;
}

SCI_PRIVATE bool sci_outcome_from_result(sci_outcome *outcome, const sc_memory *memory,
                                         sc_slice result)
{
    size_t head = 2 + SCI_TOKEN_LEN;
    if (result.len < head)
        return false;
    char kind = result.data[head - 1];
    if (kind != 'v' && kind != 'm' && kind != 'e')
        return false;
    sci_outcome_decode(outcome, memory, kind, sc_bytes(result.data + head, result.len - head));
    return true;
}

SCI_PRIVATE sc_slice sci_outcome_payload(const sci_outcome *outcome)
{
    return sc_value_bytes(outcome->value ? outcome->value : outcome->encoded);
}
