#pragma once
/* Hashes and sets in the table of types. */

#include "server/keyspace.h"

SCI_PRIVATE void sci_members_type_release(const sc_memory *memory, void *object);
SCI_PRIVATE void *sci_members_type_copy(const sc_memory *memory, const void *object);
SCI_PRIVATE sc_status sci_members_type_dump(const void *object, sc_slice key, sci_dump *dump);
SCI_PRIVATE size_t sci_members_type_bytes(const void *object);
