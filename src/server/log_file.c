/* A log's file: gathering, writing, room in advance. */

#include "server/log_file.h"

#include "base/error.h"
#include "base/number.h"
#include "resp/writer.h"

/* In front of the commands, for the records before them. */
#define SCI_LOG_RECORDS_BYTES ((size_t)2 * SCI_LOG_RECORD_BYTES)
/* A buffer that is larger is given back once it is empty. */
#define SCI_LOG_KEPT_BYTES ((size_t)256 << 10)
/* Room is reserved in pieces of an eighth of the file within these bounds; less when less is left.
 */
#define SCI_LOG_LEAST_CHUNK ((uint64_t)256 << 10)
#define SCI_LOG_MOST_CHUNK ((uint64_t)4 << 20)
#define SCI_LOG_PAGE_BYTES 4096u

SCI_PRIVATE void sci_log_file_init(sci_log_file *file, const sc_memory *memory,
                                   const sc_files *files)
{
    memset(file, 0, sizeof *file);
    file->files = files;
    file->db = -1;
    file->needs_first = true;
    if (!files->reserve)
        file->reserved_end = UINT64_MAX;
    sci_bytes_init(&file->pending, memory);
}

SCI_PRIVATE void sci_log_file_free(sci_log_file *file)
{
    sci_bytes_free(&file->pending);
    if (file->handle)
        file->files->shut(file->handle);
    file->handle = NULL;
}

/* --- Gathering */

SCI_PRIVATE size_t sci_log_file_pending(const sci_log_file *file)
{
    size_t len = sci_bytes_len(&file->pending);
    return len ? len - SCI_LOG_RECORDS_BYTES : 0;
}

static void sci_log_file_lose(sci_log_file *file)
{
    sci_bytes_reset(&file->pending, SCI_LOG_KEPT_BYTES);
    file->is_lost = true;
}

static void sci_log_file_put(sci_log_file *file, const sc_slice *argv, size_t argc)
{
    sci_bytes *pending = &file->pending;
    if (file->is_lost)
        return;
    if (sci_bytes_len(pending) == 0) {
        if (sci_bytes_reserve(pending, SCI_LOG_RECORDS_BYTES) != SC_OK) {
            sci_log_file_lose(file);
            return;
        }
        pending->end = pending->start + SCI_LOG_RECORDS_BYTES;
    }
    if (sci_write_command(pending, argv, argc) != SC_OK)
        sci_log_file_lose(file);
}

static void sci_log_file_put_word(sci_log_file *file, const char *word)
{
    sc_slice argv = sc_text(word);
    sci_log_file_put(file, &argv, 1);
}

SCI_PRIVATE void sci_log_file_add(sci_log_file *file, int db, const sc_slice *argv, size_t argc)
{
    if (file->db != db) {
        char digits[SCI_I64_TEXT_BYTES];
        sc_slice words[2];
        words[0] = sc_text("SELECT");
        words[1] = sc_bytes(digits, sci_i64_to_text(db, digits));
        sci_log_file_put(file, words, SCI_COUNT(words));
        file->db = db;
    }
    sci_log_file_put(file, argv, argc);
}

SCI_PRIVATE void sci_log_file_add_multi(sci_log_file *file)
{
    sci_log_file_put_word(file, "MULTI");
    file->is_in_multi = true;
}

SCI_PRIVATE void sci_log_file_add_exec(sci_log_file *file)
{
    sci_log_file_put_word(file, "EXEC");
    file->is_in_multi = false;
}

/* --- Writing */

/* A half-written batch would make the next one unreadable. */
static sc_status sci_log_file_cut(sci_log_file *file)
{
    if (!file->needs_cut)
        return SC_OK;
    sc_status status = file->files->cut(file->handle, file->size);
    if (status != SC_OK)
        return status;
    file->needs_cut = false;
    if (file->reserved_end != UINT64_MAX)
        file->reserved_end = file->size; /* cutting gives back what was reserved */
    return SC_OK;
}

/* All of `len` bytes, or none. */
static sc_status sci_log_file_append(sci_log_file *file, const char *data, size_t len)
{
    size_t count = 0;
    sc_status status = sci_log_file_cut(file);
    if (status != SC_OK)
        return status;
    status = file->files->append(file->handle, data, len, &count);
    if (status == SC_OK) {
        file->last_bytes = len;
        file->size += len;
        return SC_OK;
    }
    char words[SC_ERROR_TEXT_BYTES];
    (void)sci_format(words, sizeof words, "%s", sc_error_text());
    file->needs_cut = true;
    (void)sci_log_file_cut(file);
    return sc_fail(status, "%s", words);
}

SCI_PRIVATE sc_status sci_log_file_begin(sci_log_file *file)
{
    char record[SCI_LOG_RECORD_BYTES];
    file->first_at = file->size;
    sc_status status = sci_log_file_append(file, record, sci_log_record_first(record, &file->seed));
    if (status == SC_OK)
        file->needs_first = false;
    file->last_bytes = 0;
    return status;
}

/* The records that go in front, right before the commands; returns where they begin. */
static const char *sci_log_file_head(sci_log_file *file, uint64_t at_risk)
{
    char records[SCI_LOG_RECORDS_BYTES];
    sci_log_record record;
    size_t len = 0;
    char *commands = file->pending.data + file->pending.start + SCI_LOG_RECORDS_BYTES;
    sc_slice batch = sc_bytes(commands, sci_log_file_pending(file));
    if (file->needs_first) {
        file->first_at = file->size;
        len = sci_log_record_first(records, &file->seed);
    }
    memset(&record, 0, sizeof record);
    record.at = file->size + len - file->first_at;
    record.bytes = batch.len;
    record.at_risk = at_risk;
    record.check = sci_log_record_check(&file->seed, batch);
    len += sci_log_record_batch(records + len, &file->seed, &record);
    memcpy(commands - len, records, len);
    return commands - len;
}

SCI_PRIVATE sc_status sci_log_file_write(sci_log_file *file, uint64_t at_risk)
{
    file->last_bytes = 0;
    if (sci_log_file_pending(file) == 0)
        return SC_OK;
    const char *from = sci_log_file_head(file, at_risk);
    return sci_log_file_append(file, from, (size_t)(file->pending.data + file->pending.end - from));
}

SCI_PRIVATE void sci_log_file_forget(sci_log_file *file)
{
    if (file->last_bytes)
        file->needs_first = false;
    file->last_bytes = 0;
    sci_bytes_reset(&file->pending, SCI_LOG_KEPT_BYTES);
}

SCI_PRIVATE void sci_log_file_take_back(sci_log_file *file)
{
    file->size -= file->last_bytes;
    file->last_bytes = 0;
    file->needs_cut = true;
    (void)sci_log_file_cut(file);
}

/* --- Room */

/* So much more than the file has. */
static sc_status sci_log_file_ask(sci_log_file *file, uint64_t bytes)
{
    sc_status status = file->files->reserve(file->handle, bytes);
    if (status == SC_ERR_UNSUPPORTED) {
        file->reserved_end = UINT64_MAX;
        return SC_OK;
    }
    if (status == SC_OK)
        file->reserved_end = file->size + bytes;
    return status;
}

SCI_PRIVATE sc_status sci_log_file_reserve(sci_log_file *file, uint64_t bytes)
{
    if (sci_log_file_has_room(file, bytes))
        return SC_OK;
    sc_status status = sci_log_file_cut(file);
    if (status != SC_OK)
        return status;
    uint64_t least = sci_bytes_len(&file->pending) + bytes;
    uint64_t more = file->size / 8;
    if (more < SCI_LOG_LEAST_CHUNK)
        more = SCI_LOG_LEAST_CHUNK;
    if (more > SCI_LOG_MOST_CHUNK)
        more = SCI_LOG_MOST_CHUNK;
    for (; more >= SCI_LOG_PAGE_BYTES; more /= 4) {
        if (sci_log_file_ask(file, least + more) == SC_OK)
            return SC_OK;
    }
    return sci_log_file_ask(file, least);
}
