/* Arguments of wrapped functions: made, looked at, and gathered in lists. */

#include "cache/arg.h"

#include "base/json.h"
#include "base/number.h"
#include "cache/json_tree.h"

/* Whole numbers up to here are the same as integer and as double. */
#define SCI_ARG_SAFE_INTEGER ((int64_t)1 << 53)

/* MARK: - Make */

static sc_arg sci_arg_make(sci_arg_kind kind, int64_t integer, double number, sc_slice bytes)
{
    sc_arg arg;
    arg.kind = (int)kind;
    arg.integer = integer;
    arg.number = number;
    arg.bytes = bytes;
    return arg;
}

SC_API sc_arg sc_arg_null(void)
{
    return sci_arg_make(SCI_ARG_NULL, 0, 0, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_bool(bool value)
{
    return sci_arg_make(SCI_ARG_BOOL, value, 0, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_integer(int64_t value)
{
    return sci_arg_make(SCI_ARG_INTEGER, value, 0, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_double(double value)
{
    return sci_arg_make(SCI_ARG_DOUBLE, 0, value, sc_bytes(NULL, 0));
}

SC_API sc_arg sc_arg_text(const char *value)
{
    return value ? sc_arg_bytes(sc_text(value)) : sc_arg_null();
}

SC_API sc_arg sc_arg_bytes(sc_slice value)
{
    return sci_arg_make(SCI_ARG_BYTES, 0, 0, value);
}

SC_API sc_arg sc_arg_json(sc_slice json)
{
    return sci_arg_make(SCI_ARG_JSON, 0, 0, json);
}

/* MARK: - Look at */

/* The first token of a JSON argument: all of it, when it is a scalar. False for what is no JSON. */
static bool sci_arg_token(const sc_arg *arg, sci_json_token *token)
{
    sci_json_reader reader;
    if (arg->kind != SCI_ARG_JSON)
        return false;
    sci_json_begin(&reader, arg->bytes);
    return sci_json_next(&reader, token) == SC_OK;
}

static sc_status sci_arg_type_error(const char *wanted)
{
    return sc_fail(SC_ERR_TYPE, "the argument is no %s", wanted);
}

SC_API bool sc_arg_is_null(const sc_arg *arg)
{
    sci_json_token token;
    return arg->kind == SCI_ARG_NULL || (sci_arg_token(arg, &token) && token.kind == SCI_JSON_NULL);
}

SC_API sc_status sc_arg_get_bool(const sc_arg *arg, bool *value)
{
    sci_json_token token;
    if (arg->kind == SCI_ARG_BOOL) {
        *value = arg->integer != 0;
        return SC_OK;
    }
    if (!sci_arg_token(arg, &token) ||
        (token.kind != SCI_JSON_TRUE && token.kind != SCI_JSON_FALSE))
        return sci_arg_type_error("bool");
    *value = token.kind == SCI_JSON_TRUE;
    return SC_OK;
}

SC_API sc_status sc_arg_get_double(const sc_arg *arg, double *value)
{
    sci_json_token token;
    if (arg->kind == SCI_ARG_DOUBLE) {
        *value = arg->number;
        return SC_OK;
    }
    if (arg->kind == SCI_ARG_INTEGER) {
        *value = (double)arg->integer;
        return SC_OK;
    }
    if (!sci_arg_token(arg, &token) || token.kind != SCI_JSON_NUMBER ||
        !sci_text_to_double(token.raw, value))
        return sci_arg_type_error("number");
    return SC_OK;
}

SC_API sc_status sc_arg_get_integer(const sc_arg *arg, int64_t *value)
{
    sci_json_token token;
    double number;
    if (arg->kind == SCI_ARG_INTEGER) {
        *value = arg->integer;
        return SC_OK;
    }
    if (sci_arg_token(arg, &token) && token.kind == SCI_JSON_NUMBER &&
        sci_text_to_i64(token.raw, value))
        return SC_OK;
    /* 1.0 and 1e3 are integers too; beyond 2^53 a double may not be the one that was meant. */
    if (sc_arg_get_double(arg, &number) != SC_OK ||
        !(number >= (double)-SCI_ARG_SAFE_INTEGER && number <= (double)SCI_ARG_SAFE_INTEGER))
        return sci_arg_type_error("integer");
    int64_t whole = (int64_t)number;
    if ((double)whole < number || (double)whole > number)
        return sci_arg_type_error("integer");
    *value = whole;
    return SC_OK;
}

SC_API sc_status sc_arg_get_bytes(const sc_arg *arg, sc_slice *value)
{
    sci_json_token token;
    if (arg->kind == SCI_ARG_BYTES) {
        *value = arg->bytes;
        return SC_OK;
    }
    if (!sci_arg_token(arg, &token) || token.kind != SCI_JSON_STRING)
        return sci_arg_type_error("string");
    if (!token.is_plain)
        return sc_fail(SC_ERR_TYPE,
                       "the argument is a JSON string with escapes: take its JSON text");
    *value = token.raw;
    return SC_OK;
}

SC_API sc_status sc_arg_get_json(const sc_arg *arg, sc_slice *value)
{
    if (arg->kind != SCI_ARG_JSON)
        return sci_arg_type_error("JSON text");
    *value = arg->bytes;
    return SC_OK;
}

/* MARK: - Lists */

/* A block for `count` arguments and `byte_count` bytes, which begin at the returned place. NULL
   when there is no memory. */
static char *sci_args_allocate(const sc_memory *memory, size_t count, size_t byte_count,
                               sci_args *args)
{
    args->memory = *memory;
    args->at = NULL;
    args->count = count;
    args->block_bytes = 0;
    if (count > (SIZE_MAX - byte_count) / sizeof(sc_arg)) {
        (void)sc_fail(SC_ERR_MEMORY, "out of memory: %zu arguments are too many", count);
        return NULL;
    }
    size_t size = count * sizeof(sc_arg) + byte_count;
    sc_arg *at = (sc_arg *)sci_resize(memory, NULL, 0, sci_max_size(size, 1));
    if (!at)
        return NULL;
    args->at = at;
    args->block_bytes = sci_max_size(size, 1);
    return (char *)(at + count);
}

SCI_PRIVATE void sci_args_free(sci_args *args)
{
    sci_free(&args->memory, args->at, args->block_bytes);
    args->at = NULL;
    args->count = 0;
    args->block_bytes = 0;
}

SCI_PRIVATE sc_status sci_args_copy(const sc_memory *memory, const sc_arg *from, size_t count,
                                    sci_args *args)
{
    size_t byte_count = 0;

    if (!from && count > 0)
        return sc_fail(SC_ERR_ARGUMENT, "args is NULL, but arg_count is %zu", count);
    for (size_t i = 0; i < count; i++) {
        /* More than fits in memory can be asked for: slices may overlap. */
        if (from[i].bytes.len > SIZE_MAX / 2 - byte_count)
            return sc_fail(SC_ERR_MEMORY, "out of memory: the arguments are too large");
        byte_count += from[i].bytes.len;
    }
    char *bytes = sci_args_allocate(memory, count, byte_count, args);
    if (!bytes)
        return SC_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        args->at[i] = from[i];
        if (from[i].bytes.len == 0)
            continue;
        memcpy(bytes, from[i].bytes.data, from[i].bytes.len);
        args->at[i].bytes.data = bytes;
        bytes += from[i].bytes.len;
    }
    return SC_OK;
}

/* True when the escapes of a string's raw text hold a surrogate without its other half. */
static bool sci_args_has_lone_surrogate(const sci_json_token *token)
{
    sci_characters characters = sci_characters_of_json(token->raw, token->is_plain);
    uint32_t c;
    while ((c = sci_characters_next(&characters)) != SCI_CHARACTER_END)
        if (sci_is_high_surrogate(c) || sci_is_low_surrogate(c))
            return true;
    return false;
}

/* The array being taken apart: once to count, and once to fill. */
typedef struct sci_args_scan {
    sci_json_reader reader;
    sci_json_token token; /* the first of the element */
    sc_slice element;     /* its text */
} sci_args_scan;

/* The next element; its kind is SCI_JSON_ARRAY_END at the array's end, where the text has been
   checked to its end. */
static sc_status sci_args_scan_next(sci_args_scan *scan)
{
    sci_json_token token;
    unsigned depth = scan->reader.depth;

    sc_status status = sci_json_next(&scan->reader, &scan->token);
    if (status != SC_OK)
        return status;
    if (scan->token.kind == SCI_JSON_ARRAY_END)
        return sci_json_next(&scan->reader, &token);
    scan->element = scan->token.raw;
    if (scan->token.kind != SCI_JSON_ARRAY_BEGIN && scan->token.kind != SCI_JSON_OBJECT_BEGIN)
        return SC_OK;
    size_t start = scan->reader.at - 1;
    while (scan->reader.depth > depth) {
        status = sci_json_next(&scan->reader, &token);
        if (status != SC_OK)
            return status;
    }
    scan->element = sc_bytes(scan->reader.text.data + start, scan->reader.at - start);
    return SC_OK;
}

static sc_status sci_args_scan_begin(sci_args_scan *scan, sc_slice json)
{
    sci_json_begin(&scan->reader, json);
    sc_status status = sci_json_next(&scan->reader, &scan->token);
    if (status == SC_OK && scan->token.kind != SCI_JSON_ARRAY_BEGIN)
        return sc_fail(SC_ERR_ARGUMENT, "the arguments must be a JSON array, such as [\"foo\", 1]");
    return status;
}

/* The element as an argument. `*bytes` is where unescaped text goes, and is moved on. */
static sc_arg sci_args_element(const sci_args_scan *scan, char **bytes)
{
    const sci_json_token *token = &scan->token;
    int64_t integer;

    switch (token->kind) {
    case SCI_JSON_NULL:
        return sc_arg_null();
    case SCI_JSON_FALSE:
    case SCI_JSON_TRUE:
        return sc_arg_bool(token->kind == SCI_JSON_TRUE);
    case SCI_JSON_NUMBER:
        if (sci_text_to_i64(token->raw, &integer) && integer >= -SCI_ARG_SAFE_INTEGER &&
            integer <= SCI_ARG_SAFE_INTEGER)
            return sc_arg_integer(integer);
        return sc_arg_json(token->raw);
    case SCI_JSON_STRING:
        break;
    default:
        return sc_arg_json(scan->element);
    }
    if (token->is_plain)
        return sc_arg_bytes(token->raw);
    if (sci_args_has_lone_surrogate(token)) /* with its quotes */
        return sc_arg_json(sc_bytes(token->raw.data - 1, token->raw.len + 2));
    size_t len = sci_json_unescape(token, *bytes);
    sc_arg arg = sc_arg_bytes(sc_bytes(*bytes, len));
    *bytes += len;
    return arg;
}

SCI_PRIVATE sc_status sci_args_from_json(const sc_memory *memory, sc_slice json, sci_args *args)
{
    sci_args_scan scan;
    size_t count = 0;
    size_t escaped_bytes = 0;

    sc_status status = sci_args_scan_begin(&scan, json);
    for (; status == SC_OK; count++) {
        status = sci_args_scan_next(&scan);
        if (status != SC_OK || scan.token.kind == SCI_JSON_ARRAY_END)
            break;
        if (scan.token.kind == SCI_JSON_STRING && !scan.token.is_plain)
            escaped_bytes += scan.token.raw.len;
    }
    if (status != SC_OK)
        return status;
    char *bytes = sci_args_allocate(memory, count, escaped_bytes, args);
    if (!bytes)
        return SC_ERR_MEMORY;
    /* The same text a second time, so nothing can fail. */
    (void)sci_args_scan_begin(&scan, json);
    for (size_t i = 0; i < count; i++) {
        (void)sci_args_scan_next(&scan);
        args->at[i] = sci_args_element(&scan, &bytes);
    }
    return SC_OK;
}
