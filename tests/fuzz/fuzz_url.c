/* URLs: no input breaks the parser, what it accepts keeps its promises, and what it refuses it
   refuses with words. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_accepted(const sci_url *url)
{
    sc_address address;
    must(url->db >= 0);
    must(url->timeout_ms == -1 || url->timeout_ms > 0);
    must(url->connect_timeout_ms == -1 || url->connect_timeout_ms > 0);
    must(!url->user || url->user[0] != '\0');
    must(!url->password || url->password[0] != '\0');
    must(!url->name || url->name[0] != '\0');
    if (url->scheme == SCI_SCHEME_UNIX) {
        must(!url->host && url->path && url->path[0] == '/');
        must(sci_address_unix(url->path, &address) == SC_OK);
    } else {
        must(url->scheme == SCI_SCHEME_REDIS || url->scheme == SCI_SCHEME_REDISS);
        must(!url->path && url->host && url->host[0] != '\0' && url->port != 0);
    }
}

/* A numeric address that is printed reads back as itself. */
static void check_address(const char *text)
{
    char printed[SCI_ADDRESS_TEXT_BYTES];
    sc_address first;
    sc_address second;
    size_t len;
    if (!sci_address_parse(text, 7, &first))
        return;
    sci_address_to_text(&first, printed);
    len = strlen(printed);
    must(len > 2 && memcmp(printed + len - 2, ":7", 2) == 0);
    if (first.family == SC_FAMILY_IPV4) {
        printed[len - 2] = '\0';
        must(sci_address_parse(printed, 7, &second));
    } else {
        must(printed[0] == '[' && printed[len - 3] == ']');
        printed[len - 3] = '\0';
        must(sci_address_parse(printed + 1, 7, &second));
    }
    must(memcmp(&first, &second, sizeof(first)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_memory memory;
    sci_url url;
    char *text = (char *)malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    must(sci_platform_memory(&memory));
    if (sci_url_parse(&memory, text, &url) == SC_OK) {
        check_accepted(&url);
        if (url.host)
            check_address(url.host);
    } else {
        must(memcmp(sc_error_text(), "URL, offset ", 12) == 0 ||
             memcmp(sc_error_text(), "the path of a Unix socket", 25) == 0);
        must(!url.host && !url.path && !url.user && !url.password && !url.name);
    }
    sci_url_free(&url);
    check_address(text);
    free(text);
    return 0;
}
