/* A program of two files: this one declares, implement.c implements. Both must agree on every
   symbol, also when one is C and the other C++. */
#include "smartcache.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
    sc_value *value = NULL;
    sc_slice bytes;

    if (strcmp(sc_status_name(SC_ERR_TIMEOUT), "SC_ERR_TIMEOUT") != 0) {
        fprintf(stderr, "sc_status_name says %s\n", sc_status_name(SC_ERR_TIMEOUT));
        return 1;
    }
    if (sc_fail(SC_ERR_ARGUMENT, "%s %d", "answer", 42) != SC_ERR_ARGUMENT ||
        strcmp(sc_error_text(), "answer 42") != 0) {
        fprintf(stderr, "sc_error_text says \"%s\"\n", sc_error_text());
        return 1;
    }
    if (sc_value_create(NULL, sc_text("shared"), &value) != SC_OK) {
        fprintf(stderr, "sc_value_create: %s\n", sc_error_text());
        return 1;
    }
    bytes = sc_value_bytes(value);
    if (bytes.len != 6 || memcmp(bytes.data, "shared", 6) != 0) {
        fprintf(stderr, "sc_value_bytes gave %lu bytes\n", (unsigned long)bytes.len);
        return 1;
    }
    sc_value_release(value);
    return 0;
}
