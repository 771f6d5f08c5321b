/* Iterators over keys and members, by cursor. */

#include "base/number.h"
#include "client/command.h"

/* Command, key, cursor, COUNT n, MATCH p, TYPE t. */
#define SCI_SCAN_WORDS 9
#define SCI_SCAN_DEFAULT_COUNT 100

struct sc_scan {
    sc_client *client; /* retained */
    char *command;     /* owned, as are the next three */
    char *key;
    char *match;
    char *type;
    size_t key_len;
    size_t match_len;
    size_t type_len;
    int64_t count;
    bool has_values;
    bool is_last; /* the server said that there are no more pages */
    char cursor[SCI_I64_TEXT_BYTES];
    size_t cursor_len;
    sc_reply *page;
    const sc_item *items;
    const sc_item *next; /* of the page */
};

static bool sci_scan_copy(sc_scan *scan, char **copy, size_t *len, sc_slice text)
{
    *copy = sci_copy_text(&scan->client->memory, text);
    *len = text.len;
    return *copy != NULL;
}

/* What the command named in the configuration iterates over. */
typedef enum sci_scan_kind {
    SCI_SCAN_UNKNOWN,
    SCI_SCAN_KEYS,
    SCI_SCAN_SET,
    SCI_SCAN_PAIRS
} sci_scan_kind;

static sci_scan_kind sci_scan_kind_of(sc_slice command)
{
    if (sci_slice_equal(command, sc_text("SCAN")))
        return SCI_SCAN_KEYS;
    if (sci_slice_equal(command, sc_text("SSCAN")))
        return SCI_SCAN_SET;
    if (sci_slice_equal(command, sc_text("HSCAN")) || sci_slice_equal(command, sc_text("ZSCAN")))
        return SCI_SCAN_PAIRS;
    return SCI_SCAN_UNKNOWN;
}

static sc_status sci_scan_check(const sc_scan_config *config, sci_scan_kind kind)
{
    if (kind == SCI_SCAN_UNKNOWN)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_scan_config.command is \"%s\"; it wants SCAN, HSCAN, SSCAN or ZSCAN",
                       config->command);
    if (config->count < 0)
        return sc_fail(SC_ERR_ARGUMENT, "sc_scan_config.count must not be negative");
    if (kind == SCI_SCAN_KEYS && config->key.len)
        return sc_fail(SC_ERR_ARGUMENT, "SCAN takes no sc_scan_config.key");
    return SC_OK;
}

/* False when there is no memory. */
static bool sci_scan_copy_words(sc_scan *scan, sc_slice command, const sc_scan_config *config)
{
    size_t command_len;
    return sci_scan_copy(scan, &scan->command, &command_len, command) &&
           sci_scan_copy(scan, &scan->key, &scan->key_len, config->key) &&
           sci_scan_copy(scan, &scan->match, &scan->match_len, config->match) &&
           sci_scan_copy(scan, &scan->type, &scan->type_len, config->type);
}

SC_API sc_status sc_scan_open(sc_client *client, const sc_scan_config *config, sc_scan **scan)
{
    sc_scan_config defaults;
    *scan = NULL;
    if (!client)
        return sc_fail(SC_ERR_ARGUMENT, "the client is NULL");
    memset(&defaults, 0, sizeof defaults);
    if (!config)
        config = &defaults;
    sc_slice command = sc_text(config->command ? config->command : "SCAN");
    sci_scan_kind kind = sci_scan_kind_of(command);
    sc_status status = sci_scan_check(config, kind);
    if (status != SC_OK)
        return status;
    sc_scan *opened = (sc_scan *)sci_alloc_zeroed(&client->memory, sizeof *opened);
    if (!opened)
        return SC_ERR_MEMORY;
    sci_client_retain(client);
    opened->client = client;
    opened->count = config->count ? config->count : SCI_SCAN_DEFAULT_COUNT;
    opened->has_values = kind == SCI_SCAN_PAIRS;
    opened->cursor[0] = '0';
    opened->cursor_len = 1;
    if (!sci_scan_copy_words(opened, command, config)) {
        sc_scan_close(opened);
        return SC_ERR_MEMORY;
    }
    *scan = opened;
    return SC_OK;
}

SC_API void sc_scan_close(sc_scan *scan)
{
    if (!scan)
        return;
    sc_client *client = scan->client;
    sc_reply_release(scan->page);
    sci_free_text(&client->memory, scan->command);
    sci_free_text(&client->memory, scan->key);
    sci_free_text(&client->memory, scan->match);
    sci_free_text(&client->memory, scan->type);
    sci_free(&client->memory, scan, sizeof *scan);
    sci_client_release(client);
}

static size_t sci_scan_words(const sc_scan *scan, sc_slice *words, char *count)
{
    size_t n = 0;
    words[n++] = sc_text(scan->command);
    if (scan->command[0] != 'S' || scan->command[1] != 'C')
        words[n++] = sc_bytes(scan->key, scan->key_len);
    words[n++] = sc_bytes(scan->cursor, scan->cursor_len);
    words[n++] = sc_text("COUNT");
    words[n++] = sc_bytes(count, sci_i64_to_text(scan->count, count));
    if (scan->match_len) {
        words[n++] = sc_text("MATCH");
        words[n++] = sc_bytes(scan->match, scan->match_len);
    }
    if (scan->type_len) {
        words[n++] = sc_text("TYPE");
        words[n++] = sc_bytes(scan->type, scan->type_len);
    }
    return n;
}

/* Fetch the page at the cursor. */
static sc_status sci_scan_turn(sc_scan *scan)
{
    sc_slice words[SCI_SCAN_WORDS];
    char count[SCI_I64_TEXT_BYTES];
    sc_slice cursor;
    sc_reply *page;
    sc_call_options options;
    memset(&options, 0, sizeof options);
    options.idempotent = true;
    sc_status status =
        sc_command(scan->client, words, sci_scan_words(scan, words, count), &options, &page);
    if (status != SC_OK)
        return status;
    const sc_item *root = sc_reply_item(page);
    const sc_item *items = sc_item_at(root, 1);
    if (sc_item_bytes(sc_item_at(root, 0), &cursor) != SC_OK || cursor.len == 0 ||
        cursor.len >= sizeof scan->cursor || sc_item_kind(items) != SC_ARRAY ||
        (scan->has_values && sc_item_count(items) % 2 != 0)) {
        sc_reply_release(page);
        return sc_fail(SC_ERR_PROTOCOL, "%s was answered by something that is no page",
                       scan->command);
    }
    memcpy(scan->cursor, cursor.data, cursor.len);
    scan->cursor_len = cursor.len;
    scan->is_last = cursor.len == 1 && cursor.data[0] == '0';
    sc_reply_release(scan->page);
    scan->page = page;
    scan->items = items;
    scan->next = sc_item_first(items);
    return SC_OK;
}

SC_API sc_status sc_scan_next(sc_scan *scan, sc_slice *element, sc_slice *value)
{
    while (!scan->next) {
        if (scan->page && scan->is_last)
            return SC_END;
        sc_status status = sci_scan_turn(scan);
        if (status != SC_OK)
            return status;
    }
    *element = sc_item_slice(scan->next);
    scan->next = sc_item_next(scan->items, scan->next);
    if (value)
        *value = sc_bytes(NULL, 0);
    if (scan->has_values) {
        if (value)
            *value = sc_item_slice(scan->next);
        scan->next = sc_item_next(scan->items, scan->next);
    }
    return SC_OK;
}
