/* Words of the configuration. */

#include "server/words.h"

#include "base/number.h"
#include "server/command.h"

#define SCI_KILO UINT64_C(1000)
#define SCI_KIBI UINT64_C(1024)

SCI_PRIVATE bool sci_bytes_from_text(sc_slice text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1},
                 {"b", 1},
                 {"k", SCI_KILO},
                 {"kb", SCI_KIBI},
                 {"m", SCI_KILO * SCI_KILO},
                 {"mb", SCI_KIBI * SCI_KIBI},
                 {"g", SCI_KILO * SCI_KILO * SCI_KILO},
                 {"gb", SCI_KIBI * SCI_KIBI * SCI_KIBI}};
    size_t digits = 0;
    int64_t number;
    while (digits < text.len && sci_is_digit(text.data[digits]))
        digits++;
    if (!sci_text_to_i64(sc_bytes(text.data, digits), &number))
        return false;
    for (size_t i = 0; i < SCI_COUNT(units); i++) {
        if (!sci_word_is(sc_bytes(text.data + digits, text.len - digits), units[i].name))
            continue;
        *bytes = (uint64_t)number * units[i].factor;
        return (uint64_t)number <= UINT64_MAX / units[i].factor;
    }
    return false;
}

/* In the order of sc_eviction. */
static const char *const sci_eviction_names[] = {
    "noeviction",   "allkeys-lru",  "allkeys-lfu",   "allkeys-fifo",    "allkeys-random",
    "volatile-lru", "volatile-lfu", "volatile-fifo", "volatile-random", "volatile-ttl"};
SCI_STATIC_ASSERT(SCI_COUNT(sci_eviction_names) == SC_EVICTION_VOLATILE_TTL + 1,
                  eviction_has_a_name);

/* In the order of sc_sync; one more name for the last. */
static const char *const sci_sync_names[] = {"everysec", "always", "no", "never"};
SCI_STATIC_ASSERT(SCI_COUNT(sci_sync_names) == SC_SYNC_NEVER + 2, sync_has_a_name);

/* The place of a word among names; their count when it is none. */
static size_t sci_name_find(sc_slice word, const char *const *names, size_t count)
{
    size_t i = 0;
    while (i < count && !sci_word_is(word, names[i]))
        i++;
    return i;
}

SCI_PRIVATE const char *sci_eviction_to_text(sc_eviction eviction)
{
    return sci_eviction_names[eviction];
}

SCI_PRIVATE bool sci_eviction_from_text(sc_slice text, sc_eviction *eviction)
{
    size_t i = sci_name_find(text, sci_eviction_names, SCI_COUNT(sci_eviction_names));
    if (i == SCI_COUNT(sci_eviction_names))
        return false;
    *eviction = (sc_eviction)i;
    return true;
}

SCI_PRIVATE const char *sci_sync_to_text(sc_sync when)
{
    return sci_sync_names[when];
}

SCI_PRIVATE bool sci_sync_from_text(sc_slice text, sc_sync *when)
{
    size_t i = sci_name_find(text, sci_sync_names, SCI_COUNT(sci_sync_names));
    if (i == SCI_COUNT(sci_sync_names))
        return false;
    *when = i < SC_SYNC_NEVER ? (sc_sync)i : SC_SYNC_NEVER; /* whatever its name */
    return true;
}
