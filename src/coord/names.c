/* Names that share a key's hash slot. */

#include "coord/names.h"

#include "base/number.h"

#define SCI_HASH_SLOTS 16384u

SCI_PRIVATE void sci_names_init(sci_names *names, const sc_memory *memory)
{
    memset(names, 0, sizeof *names);
    sci_bytes_init(&names->block, memory);
}

SCI_PRIVATE void sci_names_free(sci_names *names)
{
    sci_bytes_free(&names->block);
}

/* CRC-16/XMODEM, a byte at a time: what the polynomial x^16 + x^12 + x^5 + 1 does in eight steps. */
static unsigned sci_crc16(sc_slice bytes)
{
    unsigned crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned top = (crc >> 8) ^ (unsigned char)bytes.data[i];
        top ^= top >> 4;
        crc = ((crc << 8) ^ (top << 12) ^ (top << 5) ^ top) & 0xffffu;
    }
    return crc;
}

/* The part of a key that is hashed: between the first { and the first } after it, unless empty. */
static sc_slice sci_hash_tag(sc_slice key)
{
    const char *open = key.len ? (const char *)memchr(key.data, '{', key.len) : NULL;
    if (!open)
        return key;
    size_t rest = key.len - (size_t)(open + 1 - key.data);
    const char *end = rest ? (const char *)memchr(open + 1, '}', rest) : NULL;
    if (!end || end == open + 1)
        return key;
    return sc_bytes(open + 1, (size_t)(end - open - 1));
}

SCI_PRIVATE unsigned sci_hash_slot(sc_slice key)
{
    return sci_crc16(sci_hash_tag(key)) % SCI_HASH_SLOTS;
}

/* The smallest decimal number that hashes to `slot`: for keys that cannot be put into a tag. There
   is one in every few ten thousand, and each call with such a key looks for it; so the sum is made
   for the tens alone. It is linear: what another last digit changes is the same behind all others. */
static size_t sci_tag_for_slot(unsigned slot, char text[SCI_I64_TEXT_BYTES])
{
    static const char digits[] = "0123456789";
    unsigned changes[10];
    for (int i = 0; i < 10; i++)
        changes[i] = sci_crc16(sc_bytes(digits, 1)) ^ sci_crc16(sc_bytes(digits + i, 1));
    for (int64_t tens = 0;; tens += 10) {
        size_t len = sci_i64_to_text(tens, text);
        unsigned crc = sci_crc16(sc_bytes(text, len));
        for (int i = 0; i < 10; i++) {
            if ((crc ^ changes[i]) % SCI_HASH_SLOTS != slot)
                continue;
            text[len - 1] = digits[i];
            return len;
        }
    }
}

/* What a name puts between its kind and the key, and behind it, to hash as the key does. Names are
   different for different keys:
     key with a tag       kind:KEY
     key without braces   kind{KEY}
     any other            kind#{NUMBER}KEY */
typedef struct sci_name_form {
    char before[3 + SCI_I64_TEXT_BYTES];
    const char *behind;
} sci_name_form;

static void sci_name_form_choose(sci_name_form *form, sc_slice key)
{
    bool has_tag = sci_hash_tag(key).len != key.len;
    bool has_brace = key.len == 0 || memchr(key.data, '}', key.len);
    memset(form, 0, sizeof *form);
    form->behind = "";
    if (has_tag) {
        form->before[0] = ':';
    } else if (!has_brace) {
        form->before[0] = '{';
        form->behind = "}";
    } else {
        memcpy(form->before, "#{", 2);
        size_t len = sci_tag_for_slot(sci_hash_slot(key), form->before + 2);
        form->before[2 + len] = '}';
    }
}

static sc_status sci_names_append(sci_bytes *out, const char *kind, const sci_name_form *form,
                                  sc_slice key)
{
    sc_status status = sci_bytes_append_text(out, kind);
    if (status == SC_OK)
        status = sci_bytes_append_text(out, form->before);
    if (status == SC_OK)
        status = sci_bytes_append(out, key);
    return status == SC_OK ? sci_bytes_append_text(out, form->behind) : status;
}

SCI_PRIVATE sc_status sci_names_build(sci_bytes *block, sc_slice key, const char *const *kinds,
                                      size_t count, sc_slice *names)
{
    sci_name_form form;
    sci_name_form_choose(&form, key);
    sc_status status = sci_bytes_append(block, key);
    names[0].len = sci_bytes_len(block);
    for (size_t i = 0; i < count && status == SC_OK; i++) {
        size_t before = sci_bytes_len(block);
        status = sci_names_append(block, kinds[i], &form, key);
        names[1 + i].len = sci_bytes_len(block) - before;
    }
    if (status != SC_OK)
        return status;
    const char *at = sci_bytes_slice(block).data; /* it stands still from here on */
    for (size_t i = 0; i <= count; at += names[i++].len)
        names[i].data = at;
    return SC_OK;
}

SCI_PRIVATE sc_status sci_names_derive(sci_names *names, sc_slice key)
{
    static const char *const kinds[] = {"sc:lease", "sc:result", "sc:done"};
    sc_slice made[1 + SCI_COUNT(kinds)];
    sc_status status = sci_names_build(&names->block, key, kinds, SCI_COUNT(kinds), made);
    if (status != SC_OK)
        return status;
    names->value = made[0];
    names->lease = made[1];
    names->result = made[2];
    names->channel = made[3];
    return SC_OK;
}

static sc_slice sci_names_moved(const sci_names *names, const sci_names *from, sc_slice name)
{
    if (!name.len)
        return name;
    size_t offset = (size_t)(name.data - sci_bytes_slice(&from->block).data);
    return sc_bytes(sci_bytes_slice(&names->block).data + offset, name.len);
}

SCI_PRIVATE sc_status sci_names_copy(sci_names *names, const sci_names *from)
{
    sc_status status = sci_bytes_append(&names->block, sci_bytes_slice(&from->block));
    if (status != SC_OK)
        return status;
    names->value = sci_names_moved(names, from, from->value);
    names->lease = sci_names_moved(names, from, from->lease);
    names->result = sci_names_moved(names, from, from->result);
    names->channel = sci_names_moved(names, from, from->channel);
    names->raw_channel = sci_names_moved(names, from, from->raw_channel);
    return SC_OK;
}
