/* Numeric addresses to and from text: dotted quads, IPv6 as RFC 4291 writes it and RFC 5952 prints
   it, and paths of Unix sockets. Pure: no name is looked up here. */

#include "net/address.h"

#include "base/error.h"
#include "base/number.h"

#define SCI_ADDRESS_IPV4_BYTES 4
#define SCI_ADDRESS_IPV6_GROUPS 8

/* An IPv6 address may be followed by its scope. */
static bool sci_address_at_end(const char *text)
{
    return *text == '\0' || *text == '%';
}

/* Four decimal bytes up to the end or a '%'; no leading zeros, which some read as octal. Returns
   where the quad ends, NULL when there is none. */
static const char *sci_address_parse_quad(const char *text, uint8_t ip[SCI_ADDRESS_IPV4_BYTES])
{
    for (int i = 0; i < SCI_ADDRESS_IPV4_BYTES; i++) {
        unsigned number = 0;
        const char *first;
        if (i > 0 && *text++ != '.')
            return NULL;
        first = text;
        while (*text >= '0' && *text <= '9' && text - first < 3)
            number = number * 10 + (unsigned)(*text++ - '0');
        if (text == first || number > 255 || (*first == '0' && text - first > 1))
            return NULL;
        ip[i] = (uint8_t)number;
    }
    return sci_address_at_end(text) ? text : NULL;
}

/* One group of up to four hexadecimal digits. Returns where it ends, NULL when there is none. */
static const char *sci_address_parse_group(const char *text, uint8_t pair[2])
{
    const char *first = text;
    unsigned number = 0;
    while (sci_hex_digit(*text) >= 0 && text - first < 4)
        number = number * 16 + (unsigned)sci_hex_digit(*text++);
    if (text == first)
        return NULL;
    pair[0] = (uint8_t)(number >> 8);
    pair[1] = (uint8_t)(number & 0xff);
    return text;
}

/* "%3": the number of an interface; nothing means 0. The text must end after it. */
static bool sci_address_parse_scope(const char *text, uint32_t *scope_id)
{
    uint64_t number = 0;
    *scope_id = 0;
    if (*text == '\0')
        return true;
    if (*text++ != '%' || *text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9' && number <= UINT32_MAX; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    *scope_id = (uint32_t)number;
    return *text == '\0' && number <= UINT32_MAX;
}

/* Spread the groups around the "::" that stood before byte `gap` of the `len` bytes read. */
static bool sci_address_fill_gap(uint8_t ip[16], int len, int gap)
{
    if (gap < 0)
        return len == 16;
    if (len > 14)
        return false; /* "::" stands for one group at least */
    memmove(ip + 16 - (len - gap), ip + gap, (size_t)(len - gap));
    memset(ip + gap, 0, (size_t)(16 - len));
    return true;
}

/* What follows a group that ends `len` bytes: the end, ":" and more, or the one "::", which sets
   `*gap`. Returns where it ends, NULL when it is none of these. */
static const char *sci_address_parse_colons(const char *text, int len, int *gap)
{
    if (sci_address_at_end(text))
        return text;
    if (*text++ != ':')
        return NULL;
    if (*text != ':')
        return sci_address_at_end(text) ? NULL : text;
    if (*gap >= 0)
        return NULL;
    *gap = len;
    return text + 1;
}

static bool sci_address_parse_ipv6(const char *text, uint8_t ip[16], uint32_t *scope_id)
{
    int len = 0;  /* bytes read so far */
    int gap = -1; /* where "::" stands among them */
    if (text[0] == ':' && text[1] == ':') {
        gap = 0;
        text += 2;
    }
    while (text && !sci_address_at_end(text)) {
        const char *end = len <= 12 ? sci_address_parse_quad(text, ip + len) : NULL;
        if (end) {
            len += SCI_ADDRESS_IPV4_BYTES;
            text = end;
            break;
        }
        if (len == 16)
            return false;
        text = sci_address_parse_group(text, ip + len);
        len += 2;
        if (text)
            text = sci_address_parse_colons(text, len, &gap);
    }
    if (!text)
        return false;
    return sci_address_fill_gap(ip, len, gap) && sci_address_parse_scope(text, scope_id);
}

SCI_PRIVATE bool sci_address_parse(const char *host, uint16_t port, sc_address *address)
{
    const char *end;
    memset(address, 0, sizeof(*address));
    address->port = port;
    end = sci_address_parse_quad(host, address->ip);
    if (end && *end == '\0') {
        address->family = SC_FAMILY_IPV4;
        return true;
    }
    memset(address->ip, 0, sizeof(address->ip));
    address->family = SC_FAMILY_IPV6;
    return sci_address_parse_ipv6(host, address->ip, &address->scope_id);
}

SCI_PRIVATE sc_status sci_address_unix(const char *path, sc_address *address)
{
    size_t len = strlen(path);
    memset(address, 0, sizeof(*address));
    address->family = SC_FAMILY_UNIX;
    if (len == 0)
        return sc_fail(SC_ERR_URL, "the path of a Unix socket is empty");
    if (len >= SC_PATH_BYTES)
        return sc_fail(SC_ERR_URL,
                       "the path of a Unix socket has %zu bytes, at most %d are possible: "
                       "use a shorter path or a symbolic link",
                       len, SC_PATH_BYTES - 1);
    memcpy(address->path, path, len + 1);
    return SC_OK;
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 section 4.2). */
static int sci_address_zero_run(const unsigned *groups, int count, int *run_len)
{
    int best = -1;
    *run_len = 1;
    for (int i = 0; i < count; i++) {
        int len = 0;
        while (i + len < count && groups[i + len] == 0)
            len++;
        if (len > *run_len) {
            best = i;
            *run_len = len;
        }
    }
    return best;
}

static size_t sci_address_ipv6_to_text(const uint8_t ip[16], char *text, size_t cap)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    unsigned groups[SCI_ADDRESS_IPV6_GROUPS];
    size_t len = 0;
    int run_len = 0;
    int run;
    if (memcmp(ip, mapped, sizeof(mapped)) == 0)
        return sci_format(text, cap, "::ffff:%u.%u.%u.%u", (unsigned)ip[12], (unsigned)ip[13],
                          (unsigned)ip[14], (unsigned)ip[15]);
    for (int i = 0; i < SCI_ADDRESS_IPV6_GROUPS; i++)
        groups[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
    run = sci_address_zero_run(groups, SCI_ADDRESS_IPV6_GROUPS, &run_len);
    for (int i = 0; i < SCI_ADDRESS_IPV6_GROUPS; i++) {
        if (i == run) {
            len += sci_format(text + len, cap - len, "::");
            i += run_len - 1;
        } else {
            bool follows_group = i > 0 && (run < 0 || i != run + run_len);
            if (follows_group)
                len += sci_format(text + len, cap - len, ":");
            len += sci_format(text + len, cap - len, "%x", groups[i]);
        }
    }
    return len;
}

SCI_PRIVATE void sci_address_to_text(const sc_address *address, char text[SCI_ADDRESS_TEXT_BYTES])
{
    const size_t cap = SCI_ADDRESS_TEXT_BYTES;
    size_t len;
    if (address->family == SC_FAMILY_UNIX) {
        const void *end = memchr(address->path, '\0', SC_PATH_BYTES);
        len = end ? (size_t)((const char *)end - address->path) : SC_PATH_BYTES;
        memcpy(text, address->path, len);
        text[len] = '\0';
        return;
    }
    if (address->family == SC_FAMILY_IPV4) {
        sci_format(text, cap, "%u.%u.%u.%u:%u", (unsigned)address->ip[0], (unsigned)address->ip[1],
                   (unsigned)address->ip[2], (unsigned)address->ip[3], (unsigned)address->port);
        return;
    }
    len = sci_format(text, cap, "[");
    len += sci_address_ipv6_to_text(address->ip, text + len, cap - len);
    if (address->scope_id)
        len += sci_format(text + len, cap - len, "%%%lu", (unsigned long)address->scope_id);
    sci_format(text + len, cap - len, "]:%u", (unsigned)address->port);
}
