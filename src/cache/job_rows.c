/* Jobs: rows as commands. */

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "cache/job.h"
#include "resp/writer.h"

/* Of the first filter, and how much larger each next one is. */
#define SCI_JOB_FILTER_BYTES ((size_t)4096)
#define SCI_JOB_FILTER_GROWTH_BITS 3
/* A filter of so many bits for each id answers wrongly for 1 in 20, at its end. */
#define SCI_JOB_FILTER_BITS_AN_ID 8
/* What a row's words take beyond themselves, about. */
#define SCI_JOB_WORD_BYTES 32
/* A buffer above this is given back after a row. */
#define SCI_JOB_KEEP_BYTES (16u * 1024u)

/* --- The filter */

static size_t sci_job_filter_bytes(size_t index)
{
    return SCI_JOB_FILTER_BYTES << (index * SCI_JOB_FILTER_GROWTH_BITS);
}

static void sci_job_filter_grow(sci_job_filter *filter)
{
    unsigned char *bits =
        (unsigned char *)sci_alloc_zeroed(&filter->memory, sci_job_filter_bytes(filter->count));
    filter->is_full = !bits;
    if (!bits)
        return;
    filter->bits[filter->count++] = bits;
    filter->added = 0;
}

static bool sci_job_filter_has(const sci_job_filter *filter, size_t index, uint64_t hash)
{
    const unsigned char *bits = filter->bits[index];
    size_t mask = sci_job_filter_bytes(index) * 8 - 1;
    size_t one = (size_t)(hash & 0xffffffffu) & mask;
    size_t other = (size_t)(hash >> 32) & mask;
    return (bits[one >> 3] >> (one & 7) & 1) && (bits[other >> 3] >> (other & 7) & 1);
}

static void sci_job_filter_add(sci_job_filter *filter, uint64_t hash)
{
    size_t last = filter->count - 1;
    size_t mask = sci_job_filter_bytes(last) * 8 - 1;
    size_t one = (size_t)(hash & 0xffffffffu) & mask;
    size_t other = (size_t)(hash >> 32) & mask;
    filter->bits[last][one >> 3] = (unsigned char)(filter->bits[last][one >> 3] | 1u << (one & 7));
    filter->bits[last][other >> 3] =
        (unsigned char)(filter->bits[last][other >> 3] | 1u << (other & 7));
    filter->added++;
}

/* Whether this may have been asked for before. What may have been needs no adding. */
static bool sci_job_filter_saw(sci_job_filter *filter, sc_slice id)
{
    uint64_t hash = sci_hash(&filter->seed, id);
    for (size_t i = 0; i < filter->count; i++)
        if (sci_job_filter_has(filter, i, hash))
            return true;
    bool is_crowded =
        filter->count == 0 ||
        filter->added >= sci_job_filter_bytes(filter->count - 1) * 8 / SCI_JOB_FILTER_BITS_AN_ID;
    if (is_crowded && filter->count < SCI_JOB_FILTERS && !filter->is_full)
        sci_job_filter_grow(filter);
    if (filter->count == 0)
        return true;
    sci_job_filter_add(filter, hash);
    return filter->is_full;
}

static void sci_job_filter_free(sci_job_filter *filter)
{
    for (size_t i = 0; i < filter->count; i++)
        sci_free(&filter->memory, filter->bits[i], sci_job_filter_bytes(i));
    filter->count = 0;
}

/* --- A piece's life */

SCI_PRIVATE void sci_job_rows_init(sci_job_rows *rows, const sc_job *job, const sc_memory *memory)
{
    rows->job = job;
    rows->target_count = job->target_count;
    rows->filter.memory = *memory;
    rows->filter.seed = job->client->hash_seed;
    sci_bytes_init(&rows->doubts, memory);
    sci_bytes_init(&rows->id, memory);
    sci_bytes_init(&rows->member, memory);
    for (size_t i = 0; i < job->target_count; i++) {
        sci_job_target *target = &rows->targets[i];
        *target = job->targets[i];
        sci_bytes_init(&target->names, memory);
        sci_bytes_init(&target->body, memory);
        sci_bytes_init(&target->singles, memory);
        rows->has_hash = rows->has_hash || target->type == SC_JOB_HASH;
    }
}

SCI_PRIVATE void sci_job_rows_free(sci_job_rows *rows)
{
    sci_job_filter_free(&rows->filter);
    sci_bytes_free(&rows->doubts);
    sci_bytes_free(&rows->id);
    sci_bytes_free(&rows->member);
    for (size_t i = 0; i < rows->target_count; i++) {
        sci_bytes_free(&rows->targets[i].names);
        sci_bytes_free(&rows->targets[i].body);
        sci_bytes_free(&rows->targets[i].singles);
    }
}

SCI_PRIVATE void sci_job_rows_next(sci_job_rows *rows)
{
    for (size_t i = 0; i < rows->target_count; i++) {
        sci_bytes_reset(&rows->targets[i].body, 2 * SCI_JOB_CHUNK_BYTES);
        sci_bytes_reset(&rows->targets[i].singles, 2 * SCI_JOB_CHUNK_BYTES);
    }
    sci_bytes_reset(&rows->doubts, SCI_JOB_CHUNK_BYTES);
    rows->doubt_count = 0;
    rows->first_row = rows->row;
    rows->bytes = 0;
}

/* --- Members of a row that is JSON */

/* Words about the row that is being taken. */
static sc_status sci_job_refuse_row(const sci_job_rows *rows, const sc_job_row *row,
                                    const char *what, sc_slice property, const char *why)
{
    return sc_fail(SC_ERR_ARGUMENT, "row %lld of the job \"%.*s\" %s%s%.*s%s%s: %.*s",
                   (long long)rows->row + 1, (int)sci_min_size(rows->job->name.len, 100),
                   rows->job->name.data, what, property.len ? " \"" : "",
                   (int)sci_min_size(property.len, 60), property.len ? property.data : "",
                   property.len ? "\"" : "", why, (int)sci_min_size(row->value.len, 120),
                   row->value.len ? row->value.data : "");
}

/* Instead of what `into` has; the slice stays true until then. */
static sc_status sci_job_unescape(const sci_json_token *token, sci_bytes *into, sc_slice *text)
{
    sci_bytes_reset(into, SCI_JOB_KEEP_BYTES);
    sc_status status = sci_bytes_reserve(into, token->raw.len + 1);
    if (status != SC_OK)
        return status;
    into->end += sci_json_unescape(token, into->data + into->end);
    *text = sci_bytes_slice(into);
    return SC_OK;
}

static sc_status sci_job_is_member(const sci_json_token *token, sc_slice name, sci_bytes *room,
                                   bool *is_it)
{
    sc_slice text = token->raw;
    sc_status status = SC_OK;
    if (!token->is_plain && name.len)
        status = sci_job_unescape(token, room, &text);
    *is_it = status == SC_OK && name.len && sci_slice_equal(text, name);
    return status;
}

/* The value behind a member's name: an id, or a score, or both. Nothing when it is of another
   kind. */
static sc_status sci_job_take_member(sci_json_reader *reader, sci_json_token *token, sc_slice *id,
                                     sc_slice *score, sci_bytes *room)
{
    sc_status status = sci_json_next(reader, token);
    if (status != SC_OK)
        return status;
    if (score && token->kind == SCI_JSON_NUMBER)
        *score = token->raw;
    if (id &&
        (token->kind == SCI_JSON_NUMBER || (token->kind == SCI_JSON_STRING && token->is_plain)))
        *id = token->raw;
    else if (id && token->kind == SCI_JSON_STRING)
        status = sci_job_unescape(token, room, id);
    return status;
}

static bool sci_job_wants_members(const sc_job *job, sc_slice id, sc_slice score)
{
    return (job->id_prop.len && !id.len) || (job->score_prop.len && !score.len);
}

/* Find both members, as far as they are wanted, in the outermost object. The first of a name
   counts. */
static sc_status sci_job_find_members(sci_job_rows *rows, sc_slice value, sc_slice *id,
                                      sc_slice *score)
{
    sci_json_reader reader;
    sci_json_token token;
    const sc_job *job = rows->job;
    sc_status status = SC_OK;
    sci_json_begin(&reader, value);
    while (status == SC_OK && sci_job_wants_members(job, *id, *score)) {
        bool is_id = false;
        bool is_score = false;
        status = sci_json_next(&reader, &token);
        if (status != SC_OK || token.kind == SCI_JSON_END)
            break;
        if (token.kind != SCI_JSON_KEY || reader.depth != 1)
            continue;
        status = sci_job_is_member(&token, job->id_prop, &rows->member, &is_id);
        if (status == SC_OK)
            status = sci_job_is_member(&token, job->score_prop, &rows->member, &is_score);
        if (status == SC_OK && (is_id || is_score))
            status = sci_job_take_member(&reader, &token, is_id ? id : NULL,
                                         is_score ? score : NULL, &rows->id);
    }
    return status;
}

static sc_status sci_job_read_members(sci_job_rows *rows, const sc_job_row *row, sc_slice *id,
                                      sc_slice *score)
{
    const sc_job *job = rows->job;
    sc_slice none = sc_bytes(NULL, 0);
    sc_status status = sci_job_find_members(rows, row->value, id, score);
    if (status == SC_ERR_MEMORY)
        return status;
    if (status != SC_OK) {
        char why[SC_ERROR_TEXT_BYTES / 2];
        (void)sci_format(why, sizeof why, " (%s)", sc_error_text());
        return sci_job_refuse_row(rows, row, "is not JSON", none, why);
    }
    if (job->id_prop.len && !id->len)
        return sci_job_refuse_row(rows, row, "has no string or number", job->id_prop, " (id_prop)");
    if (job->score_prop.len && !score->len)
        return sci_job_refuse_row(rows, row, "has no number", job->score_prop, " (score_prop)");
    return SC_OK;
}

/* --- Encoding */

static sc_status sci_job_add_text(sci_job_target *target, bool is_first, sc_slice value)
{
    sc_status status = sci_bytes_append_char(&target->body, is_first ? '[' : ',');
    if (status == SC_OK)
        status = sci_bytes_append(&target->body, value);
    target->size += 1 + (int64_t)value.len;
    return status;
}

static sc_status sci_job_add_field(sci_job_target *target, sc_slice id, sc_slice value,
                                   bool is_doubted)
{
    const sc_slice words[4] = {sc_text("HSET"), target->shadow, id, value};
    if (is_doubted)
        return sci_write_command(&target->singles, words, 4);
    sc_status status = sci_write_bulk(&target->body, id);
    return status == SC_OK ? sci_write_bulk(&target->body, value) : status;
}

static sc_status sci_job_add_scored(sci_job_target *target, sc_slice score, sc_slice value)
{
    sc_status status = sci_write_bulk(&target->body, score);
    return status == SC_OK ? sci_write_bulk(&target->body, value) : status;
}

/* The row's score as text, if it has not been read from it. */
static sc_slice sci_job_score_text(double score, char text[SCI_DOUBLE_TEXT_BYTES])
{
    size_t len = sci_double_to_text(score, text);
    if (text[0] == 'I')
        return sc_text("inf");
    return text[0] == '-' && text[1] == 'I' ? sc_text("-inf") : sc_bytes(text, len);
}

static sc_status sci_job_add_doubt(sci_job_rows *rows, sc_slice id)
{
    sci_job_doubt doubt;
    doubt.row = rows->row + 1;
    doubt.len = id.len;
    rows->doubt_count++;
    sc_status status = sci_bytes_append(&rows->doubts, sc_bytes(&doubt, sizeof doubt));
    return status == SC_OK ? sci_bytes_append(&rows->doubts, id) : status;
}

static sc_status sci_job_add_to(sci_job_rows *rows, sci_job_target *target, sc_slice id,
                                sc_slice score, sc_slice value, bool is_doubted)
{
    switch (target->type) {
    case SC_JOB_STRING:
        return sci_job_add_text(target, rows->row == 0, value);
    case SC_JOB_LIST:
        target->size++;
        return sci_write_bulk(&target->body, value);
    case SC_JOB_HASH:
        target->size++;
        return sci_job_add_field(target, id, value, is_doubted);
    case SC_JOB_SORTED_SET:
        return sci_job_add_scored(target, score, value);
    default:
        return sci_write_bulk(&target->body, value);
    }
}

SCI_PRIVATE sc_status sci_job_rows_add(sci_job_rows *rows, const sc_job_row *row)
{
    char text[SCI_DOUBLE_TEXT_BYTES];
    const sc_job *job = rows->job;
    sc_slice none = sc_bytes(NULL, 0);
    sc_slice id = job->id_prop.len ? none : row->id;
    sc_slice score = none;
    sc_status status = SC_OK;
    if (job->id_prop.len || job->score_prop.len)
        status = sci_job_read_members(rows, row, &id, &score);
    if (status != SC_OK)
        return status;
    if (rows->has_hash && !id.len)
        return sci_job_refuse_row(rows, row, "has no id", none, "");
    if (!job->score_prop.len && row->score != row->score)
        return sci_job_refuse_row(rows, row, "has no number as its score", none, "");
    if (!job->score_prop.len)
        score = sci_job_score_text(row->score, text);
    bool is_doubted = rows->has_hash && sci_job_filter_saw(&rows->filter, id);
    for (size_t i = 0; i < rows->target_count && status == SC_OK; i++)
        status = sci_job_add_to(rows, &rows->targets[i], id, score, row->value, is_doubted);
    if (status == SC_OK && is_doubted)
        status = sci_job_add_doubt(rows, id);
    rows->bytes += rows->target_count * (row->value.len + id.len + SCI_JOB_WORD_BYTES);
    rows->row++;
    return status;
}

SCI_PRIVATE sc_status sci_job_rows_finish(sci_job_rows *rows)
{
    sc_status status = SC_OK;
    for (size_t i = 0; i < rows->target_count && status == SC_OK; i++) {
        sci_job_target *target = &rows->targets[i];
        if (target->type != SC_JOB_STRING || rows->row == 0)
            continue;
        status = sci_bytes_append_char(&target->body, ']');
        target->size++;
    }
    return status;
}

/* --- Writing */

SCI_PRIVATE uint32_t sci_job_rows_commands(const sci_job_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->target_count; i++) {
        const sci_job_target *target = &rows->targets[i];
        count += sci_bytes_len(&target->body) > 0;
        count += target->type == SC_JOB_HASH ? rows->doubt_count : 0;
    }
    return (uint32_t)count;
}

/* The one command for most of a target's rows: its name, the key, and what is in `body`. */
static sc_status sci_job_write_body(const sci_job_rows *rows, const sci_job_target *target,
                                    sci_bytes *out)
{
    static const char *const commands[] = {"APPEND", "RPUSH", "HSET", "SADD", "ZADD"};
    size_t count = (size_t)(rows->row - rows->first_row);
    sc_slice body = sci_bytes_slice(&target->body);
    if (target->type == SC_JOB_STRING)
        count = 1;
    else if (target->type == SC_JOB_HASH)
        count = 2 * (count - rows->doubt_count);
    else if (target->type == SC_JOB_SORTED_SET)
        count = 2 * count;
    sc_status status = sci_write_array_header(out, 2 + count);
    if (status == SC_OK)
        status = sci_write_bulk(out, sc_text(commands[target->type - SC_JOB_STRING]));
    if (status == SC_OK)
        status = sci_write_bulk(out, target->shadow);
    if (status != SC_OK)
        return status;
    return target->type == SC_JOB_STRING ? sci_write_bulk(out, body) : sci_bytes_append(out, body);
}

SCI_PRIVATE sc_status sci_job_rows_write(const sci_job_rows *rows, sci_bytes *out)
{
    sc_status status = SC_OK;
    for (size_t i = 0; i < rows->target_count && status == SC_OK; i++) {
        const sci_job_target *target = &rows->targets[i];
        if (sci_bytes_len(&target->body) > 0)
            status = sci_job_write_body(rows, target, out);
        if (status == SC_OK)
            status = sci_bytes_append(out, sci_bytes_slice(&target->singles));
    }
    return status;
}

SCI_PRIVATE const char *sci_job_size_command(sc_job_type type)
{
    static const char *const commands[] = {"STRLEN", "LLEN", "HLEN", "SCARD", "ZCARD"};
    return commands[type - SC_JOB_STRING];
}
