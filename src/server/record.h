#pragma once
/* A record: the length of a name and perhaps of a value, then both. */

#include "base/prelude.h"

/* A length takes seven bits of a byte, and a set eighth says that there are more. The name's is
   doubled: its last bit says that a value's follows. */
typedef struct sci_record {
    sc_slice name;
    sc_slice value;
} sci_record;

static inline size_t sci_record_length_bytes(size_t len)
{
    size_t bytes = 1;
    for (; len >= 128; len /= 128)
        bytes++;
    return bytes;
}

static inline char *sci_record_put_length(char *at, size_t len)
{
    unsigned char *to = (unsigned char *)at;
    for (; len >= 128; len /= 128)
        *to++ = (unsigned char)(len % 128 + 128);
    *to++ = (unsigned char)len;
    return (char *)to;
}

static inline const char *sci_record_get_length(const char *at, size_t *len)
{
    const unsigned char *from = (const unsigned char *)at;
    *len = *from & 127u;
    for (unsigned shift = 7; *from++ & 128u; shift += 7)
        *len |= (size_t)(*from & 127u) << shift;
    return (const char *)from;
}

static inline sci_record sci_record_read(const char *at)
{
    sci_record record;
    size_t name_len, value_len = 0;
    at = sci_record_get_length(at, &name_len);
    if (name_len & 1)
        at = sci_record_get_length(at, &value_len);
    record.name = sc_bytes(at, name_len / 2);
    record.value = sc_bytes(at + name_len / 2, value_len);
    return record;
}

static inline const char *sci_record_end(const sci_record *record)
{
    return record->value.data + record->value.len;
}

static inline size_t sci_record_bytes(const sci_record *record, bool has_value)
{
    size_t bytes = sci_record_length_bytes(record->name.len * 2 + 1) + record->name.len;
    if (has_value)
        bytes += sci_record_length_bytes(record->value.len) + record->value.len;
    return bytes;
}

static inline void sci_record_write(char *at, const sci_record *record, bool has_value)
{
    at = sci_record_put_length(at, record->name.len * 2 + (has_value ? 1 : 0));
    if (has_value)
        at = sci_record_put_length(at, record->value.len);
    if (record->name.len > 0)
        memcpy(at, record->name.data, record->name.len);
    if (has_value && record->value.len > 0)
        memcpy(at + record->name.len, record->value.data, record->value.len);
}
