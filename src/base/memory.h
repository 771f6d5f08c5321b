#pragma once
/* Allocation through the caller's table. Sizes are told on freeing, as sc_memory wants them. */

#include "base/prelude.h"

/* NULL when there is no memory; then the thread's detail text says so. Zeroed. */
SCI_PRIVATE void *sci_alloc_zeroed(const sc_memory *memory, size_t size);
/* As realloc; on NULL the old block is as it was. `new_size` > 0. */
SCI_PRIVATE void *sci_resize(const sc_memory *memory, void *block, size_t old_size,
                             size_t new_size);
/* NULL is fine. */
SCI_PRIVATE void sci_free(const sc_memory *memory, void *block, size_t size);
/* A NUL-terminated copy, freed by sci_free_text. NULL when there is no memory. */
SCI_PRIVATE char *sci_copy_text(const sc_memory *memory, sc_slice text);
SCI_PRIVATE void sci_free_text(const sc_memory *memory, char *text);
/* Overwrite a secret so that the compiler cannot leave it out, then free. NULL is fine. */
SCI_PRIVATE void sci_free_secret_text(const sc_memory *memory, char *text);
