/* Values: one block that holds the header and the bytes, or a header over bytes of another owner.
 */

#include "base/value.h"

#include "base/atomic.h"
#include "base/memory.h"
#include "base/platform.h"

struct sc_value {
    sci_atomic_u32 references;
    sc_memory memory;
    const char *data; /* behind the header, or another's */
    size_t len;
    size_t block_bytes; /* what was allocated */
};

/* A value over bytes that are not its own. */
typedef struct sci_borrowing_value {
    sc_value value;
    void (*let_go)(void *owner);
    void *owner;
} sci_borrowing_value;

/* NULL when there is no memory. `own` receives where the bytes go. */
static sc_value *sci_value_reserve(const sc_memory *memory, size_t len, char **own)
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
    *own = (char *)(value + 1);
    (*own)[len] = '\0';
    value->data = *own;
    return value;
}

SCI_PRIVATE sc_value *sci_value_over(const sc_memory *memory, sc_slice bytes,
                                     void (*let_go)(void *owner), void *owner)
{
    sci_borrowing_value *over = (sci_borrowing_value *)sci_resize(memory, NULL, 0, sizeof *over);
    if (!over)
        return NULL;
    over->value.references.value = 1;
    over->value.memory = *memory;
    over->value.data = bytes.data;
    over->value.len = bytes.len;
    over->value.block_bytes = sizeof *over;
    over->let_go = let_go;
    over->owner = owner;
    return &over->value;
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
    char *own;
    sc_value *created = sci_value_reserve(memory, bytes.len, &own);
    if (!created)
        return SC_ERR_MEMORY;
    if (bytes.len)
        memcpy(own, bytes.data, bytes.len);
    *value = created;
    return SC_OK;
}

SC_API sc_slice sc_value_bytes(const sc_value *value)
{
    return value ? sc_bytes(value->data, value->len) : sc_bytes(NULL, 0);
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
    if (value->data != (const char *)(value + 1)) {
        sci_borrowing_value *over = SCI_CONTAINER(value, sci_borrowing_value, value);
        over->let_go(over->owner);
    }
    sci_free(&memory, value, value->block_bytes);
}
