/* Values: one block that holds the header and, unless it stands on memory of another owner, the bytes. */

#include "api/value.h"

#include "base/atomic.h"
#include "base/memory.h"
#include "base/platform.h"

struct sc_value {
    sci_atomic_u32 references;
    sc_memory memory;
    size_t len;
    size_t block_bytes; /* what was allocated */
};

/* The bytes follow the header. */
static char *sci_value_data(const sc_value *value)
{
    return (char *)(uintptr_t)(const void *)(value + 1);
}

/* A value of `len` bytes to be filled in by its one owner; NULL when there is no memory. */
static sc_value *sci_value_reserve(const sc_memory *memory, size_t len)
{
    if (len > SIZE_MAX - sizeof(sc_value) - 1) {
        (void)sc_fail(SC_ERR_MEMORY, "a value of %zu bytes is larger than memory", len);
        return NULL;
    }
    size_t block_bytes = sizeof(sc_value) + len + 1;
    sc_value *value = (sc_value *)sci_resize(memory, NULL, 0, block_bytes);
    if (!value)
        return NULL;
    value->references.value = 1;
    value->memory = *memory;
    value->len = len;
    value->block_bytes = block_bytes;
    sci_value_data(value)[len] = '\0';
    return value;
}

SC_API sc_status sc_value_create(const sc_memory *memory, sc_slice bytes, sc_value **value)
{
    sc_memory platform;
    *value = NULL;
    if (!memory) {
        if (!sci_platform_memory(&platform))
            return sc_fail(SC_ERR_ARGUMENT, "this build has no allocator of its own: pass one");
        memory = &platform;
    }
    sc_value *created = sci_value_reserve(memory, bytes.len);
    if (!created)
        return SC_ERR_MEMORY;
    if (bytes.len)
        memcpy(sci_value_data(created), bytes.data, bytes.len);
    *value = created;
    return SC_OK;
}

SC_API sc_slice sc_value_bytes(const sc_value *value)
{
    return value ? sc_bytes(sci_value_data(value), value->len) : sc_bytes(NULL, 0);
}

SC_API sc_value *sc_value_retain(sc_value *value)
{
    if (value)
        (void)sci_atomic_add(&value->references, 1);
    return value;
}

SC_API void sc_value_release(sc_value *value)
{
    if (!value || sci_atomic_subtract(&value->references, 1) != 1)
        return;
    sc_memory memory = value->memory;
    sci_free(&memory, value, value->block_bytes);
}
