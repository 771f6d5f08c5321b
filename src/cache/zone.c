/* TZif data, and the spans of a zone. */

#include "cache/zone.h"

#include "base/error.h"

/* RFC 9636, 3.1: the header, and the sizes of what a block has of each kind. */
#define SCI_TZIF_HEADER_BYTES 44
#define SCI_TZIF_VERSION_AT 4
#define SCI_TZIF_COUNTS_AT 20
#define SCI_TZIF_TYPE_BYTES 6
/* The tools' limit. An index has a byte: it would take 256 types or characters. */
#define SCI_TZIF_MOST_TRANSITIONS 2000
#define SCI_TZIF_MOST_TYPES 256
#define SCI_TZIF_MOST_NAME_BYTES 256

typedef struct sci_tzif {
    const unsigned char *data;
    size_t len;
    size_t at; /* of the current header, then of its block */
    size_t time_bytes;
    uint32_t is_ut_count, is_std_count, leap_count, time_count, type_count, name_bytes;
} sci_tzif;

static uint32_t sci_tzif_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Two's complement, without relying on how the compiler converts. */
static int32_t sci_tzif_i32(const unsigned char *at)
{
    uint32_t bits = sci_tzif_u32(at);
    return bits <= INT32_MAX ? (int32_t)bits : -(int32_t)(UINT32_MAX - bits) - 1;
}

static int64_t sci_tzif_time(const sci_tzif *tzif, size_t index)
{
    const unsigned char *at = tzif->data + tzif->at + index * tzif->time_bytes;
    if (tzif->time_bytes == 4)
        return sci_tzif_i32(at);
    return (int64_t)sci_tzif_i32(at) * ((int64_t)1 << 32) + (int64_t)sci_tzif_u32(at + 4);
}

static sc_status sci_tzif_fail(size_t at, const char *why)
{
    return sc_fail(SC_ERR_ARGUMENT, "TZif data, byte %zu: %s", at, why);
}

static uint64_t sci_tzif_block_bytes(const sci_tzif *tzif)
{
    return (uint64_t)tzif->time_count * (tzif->time_bytes + 1) +
           (uint64_t)tzif->type_count * SCI_TZIF_TYPE_BYTES + tzif->name_bytes +
           (uint64_t)tzif->leap_count * (tzif->time_bytes + 4) + tzif->is_std_count +
           tzif->is_ut_count;
}

/* Reads the header at `at`, whose times have so many bytes, and moves to its block, which is known
   to be there then. */
static sc_status sci_tzif_header(sci_tzif *tzif, size_t time_bytes)
{
    const unsigned char *header = tzif->data + tzif->at;
    if (tzif->len - tzif->at < SCI_TZIF_HEADER_BYTES || memcmp(header, "TZif", 4) != 0)
        return sci_tzif_fail(tzif->at, "there is no header of TZif");
    const unsigned char *counts = header + SCI_TZIF_COUNTS_AT;
    tzif->time_bytes = time_bytes;
    tzif->is_ut_count = sci_tzif_u32(counts);
    tzif->is_std_count = sci_tzif_u32(counts + 4);
    tzif->leap_count = sci_tzif_u32(counts + 8);
    tzif->time_count = sci_tzif_u32(counts + 12);
    tzif->type_count = sci_tzif_u32(counts + 16);
    tzif->name_bytes = sci_tzif_u32(counts + 20);
    if (sci_tzif_block_bytes(tzif) > tzif->len - tzif->at - SCI_TZIF_HEADER_BYTES)
        return sci_tzif_fail(tzif->at, "the data ends before what its header announces");
    tzif->at += SCI_TZIF_HEADER_BYTES;
    return SC_OK;
}

static sc_status sci_tzif_check_counts(const sci_tzif *tzif)
{
    size_t at = tzif->at - SCI_TZIF_HEADER_BYTES;
    if (tzif->leap_count > 0)
        return sci_tzif_fail(at,
                             "it counts leap seconds, which POSIX clocks do not: use the zone's "
                             "file that is not in \"right/\"");
    if (tzif->time_count > SCI_TZIF_MOST_TRANSITIONS)
        return sci_tzif_fail(at, "there are more than 2000 transitions");
    if (tzif->type_count == 0 || tzif->type_count > SCI_TZIF_MOST_TYPES)
        return sci_tzif_fail(at, "the number of local time types is not within 1 to 256");
    if (tzif->name_bytes == 0 || tzif->name_bytes > SCI_TZIF_MOST_NAME_BYTES)
        return sci_tzif_fail(at, "the abbreviations do not have 1 to 256 bytes");
    return SC_OK;
}

/* What the transitions of the block at `at` become, in one block of memory. */
typedef struct sci_tzif_parts {
    int64_t *at_s;
    sci_zone_type *types;
    unsigned char *type_of;
    char *names;
} sci_tzif_parts;

static sc_status sci_tzif_alloc(const sci_tzif *tzif, sci_zone *zone, sci_tzif_parts *parts)
{
    size_t times = tzif->time_count * sizeof(int64_t);
    size_t types = tzif->type_count * sizeof(sci_zone_type);
    zone->block_bytes = times + types + tzif->time_count + tzif->name_bytes;
    zone->block = sci_alloc_zeroed(&zone->memory, zone->block_bytes);
    if (!zone->block)
        return SC_ERR_MEMORY;
    parts->at_s = (int64_t *)zone->block;
    parts->types = (sci_zone_type *)(void *)((char *)zone->block + times);
    parts->type_of = (unsigned char *)zone->block + times + types;
    parts->names = (char *)parts->type_of + tzif->time_count;
    zone->count = tzif->time_count;
    zone->at_s = parts->at_s;
    zone->types = parts->types;
    zone->type_of = parts->type_of;
    zone->names = parts->names;
    return SC_OK;
}

static sc_status sci_tzif_transitions(const sci_tzif *tzif, const sci_tzif_parts *parts)
{
    const unsigned char *type_of = tzif->data + tzif->at + tzif->time_count * tzif->time_bytes;
    for (size_t i = 0; i < tzif->time_count; i++) {
        size_t at = tzif->at + i * tzif->time_bytes;
        parts->at_s[i] = sci_tzif_time(tzif, i);
        if (parts->at_s[i] < -SCI_ZONE_EVER_S || parts->at_s[i] >= SCI_ZONE_EVER_S)
            return sci_tzif_fail(at, "a transition is not within 2^59 seconds of 1970");
        if (i > 0 && parts->at_s[i] <= parts->at_s[i - 1])
            return sci_tzif_fail(at, "the transitions do not ascend");
        if (type_of[i] >= tzif->type_count)
            return sci_tzif_fail((size_t)(type_of + i - tzif->data),
                                 "a transition is to a type that is not there");
        parts->type_of[i] = type_of[i];
    }
    return SC_OK;
}

static sc_status sci_tzif_types(const sci_tzif *tzif, const sci_tzif_parts *parts)
{
    size_t at = tzif->at + tzif->time_count * (tzif->time_bytes + 1);
    const unsigned char *names = tzif->data + at + tzif->type_count * SCI_TZIF_TYPE_BYTES;
    memcpy(parts->names, names, tzif->name_bytes);
    for (size_t i = 0; i < tzif->type_count; i++, at += SCI_TZIF_TYPE_BYTES) {
        const unsigned char *type = tzif->data + at;
        sci_zone_type *made = &parts->types[i];
        made->offset_s = sci_tzif_i32(type);
        made->is_dst = type[4] == 1;
        made->name_at = type[5];
        if (made->offset_s < SCI_ZONE_LEAST_OFFSET_S || made->offset_s > SCI_ZONE_MOST_OFFSET_S)
            return sci_tzif_fail(at, "an offset from UTC is more than a day and an hour");
        if (type[4] > 1)
            return sci_tzif_fail(at + 4, "whether time is daylight saving time is not 0 or 1");
        if (type[5] >= tzif->name_bytes ||
            !memchr(names + type[5], '\0', tzif->name_bytes - type[5]))
            return sci_tzif_fail(at + 5, "an abbreviation does not end within the abbreviations");
    }
    return SC_OK;
}

/* A new line, the rule or nothing, and a new line. */
static sc_status sci_tzif_footer(const sci_tzif *tzif, sci_zone *zone)
{
    size_t at = tzif->at + (size_t)sci_tzif_block_bytes(tzif);
    const char *footer = (const char *)tzif->data + at;
    const char *end = NULL;
    if (at < tzif->len && footer[0] == '\n')
        end = (const char *)memchr(footer + 1, '\n', tzif->len - at - 1);
    if (!end)
        return sci_tzif_fail(at, "there is no footer between two new lines");
    sc_slice text = sc_bytes(footer + 1, (size_t)(end - footer - 1));
    zone->has_rule = text.len > 0;
    sc_status status = zone->has_rule ? sci_zone_rule_parse(text, &zone->rule) : SC_OK;
    if (status != SC_OK)
        sci_error_text_add(" (in the footer of TZif data)");
    return status;
}

static sc_status sci_tzif_parse(sci_tzif *tzif, sci_zone *zone)
{
    sci_tzif_parts parts;
    sc_status status = sci_tzif_header(tzif, 4);
    if (status != SC_OK)
        return status;
    /* From version 2 on there is a second header, with a block of 64-bit times. */
    bool is_old = tzif->data[SCI_TZIF_VERSION_AT] == '\0';
    if (!is_old) {
        tzif->at += (size_t)sci_tzif_block_bytes(tzif);
        status = sci_tzif_header(tzif, 8);
    }
    zone->has_rule = false;
    if (status == SC_OK)
        status = sci_tzif_check_counts(tzif);
    if (status == SC_OK)
        status = sci_tzif_alloc(tzif, zone, &parts);
    if (status == SC_OK)
        status = sci_tzif_transitions(tzif, &parts);
    if (status == SC_OK)
        status = sci_tzif_types(tzif, &parts);
    if (status == SC_OK && !is_old)
        status = sci_tzif_footer(tzif, zone);
    return status;
}

SCI_PRIVATE sc_status sci_zone_read(sci_zone *zone, const sc_memory *memory, sc_slice data)
{
    sci_tzif tzif;
    sci_zone_set_utc(zone);
    if (data.len > SCI_ZONE_DATA_BYTES)
        return sc_fail(SC_ERR_LIMIT, "TZif data has %zu bytes; at most %zu are read", data.len,
                       SCI_ZONE_DATA_BYTES);
    memset(&tzif, 0, sizeof tzif);
    tzif.data = (const unsigned char *)data.data;
    tzif.len = data.len;
    zone->memory = *memory;
    sc_status status = sci_tzif_parse(&tzif, zone);
    if (status != SC_OK)
        sci_zone_close(zone);
    return status;
}

SCI_PRIVATE void sci_zone_set_utc(sci_zone *zone)
{
    memset(zone, 0, sizeof *zone);
    sci_zone_rule_fix(&zone->rule, 0, sc_bytes("UTC", 3));
    zone->has_rule = true;
}

SCI_PRIVATE void sci_zone_close(sci_zone *zone)
{
    if (zone->block)
        sci_free(&zone->memory, zone->block, zone->block_bytes);
    sci_zone_set_utc(zone);
}

SCI_PRIVATE void sci_zone_find(const sci_zone *zone, int64_t at_s, sci_zone_span *span)
{
    size_t passed = 0, end = zone->count; /* transitions up to `at_s` */
    while (passed < end) {
        size_t middle = passed + (end - passed) / 2;
        if (zone->at_s[middle] <= at_s)
            passed = middle + 1;
        else
            end = middle;
    }
    int64_t begins_s = passed > 0 ? zone->at_s[passed - 1] : -SCI_ZONE_EVER_S;
    if (passed == zone->count && zone->has_rule) {
        sci_zone_rule_find(&zone->rule, at_s, span);
        span->begins_s = sci_max_i64(span->begins_s, begins_s);
        return;
    }
    const sci_zone_type *type = &zone->types[passed > 0 ? zone->type_of[passed - 1] : 0];
    span->begins_s = begins_s;
    span->ends_s = passed < zone->count ? zone->at_s[passed] : SCI_ZONE_EVER_S;
    span->offset_s = type->offset_s;
    span->is_dst = type->is_dst;
    span->name = zone->names + type->name_at;
}
