#pragma once
/* An intrusive hash map from bytes to structs. The node lives in the owner's struct and borrows the
   owner's key; nothing but the bucket array is allocated, and putting never fails: when the array
   cannot grow, chains get longer. The array halves again when nodes go. */

#include "base/hash.h"
#include "base/memory.h"

typedef struct sci_map_node {
    struct sci_map_node *next;
    uint64_t hash;
    sc_slice key; /* borrowed from the owner, unchanged while in the map */
} sci_map_node;

#define SCI_MAP_INLINE_BUCKETS 8

typedef struct sci_map {
    sc_memory memory;
    sci_hash_seed seed;
    sci_map_node **buckets; /* `inline_buckets`, or owned */
    size_t bucket_count;    /* a power of two */
    size_t count;           /* nodes */
    sci_map_node *inline_buckets[SCI_MAP_INLINE_BUCKETS];
} sci_map;

/* A map must not be moved after this. */
SCI_PRIVATE void sci_map_init(sci_map *map, const sc_memory *memory, sci_hash_seed seed);
/* Frees the bucket array; nodes belong to their owners. */
SCI_PRIVATE void sci_map_free(sci_map *map);
SCI_PRIVATE uint64_t sci_map_hash(const sci_map *map, sc_slice key);
/* The node, or NULL. `hash` comes from sci_map_hash. */
SCI_PRIVATE sci_map_node *sci_map_find(const sci_map *map, sc_slice key, uint64_t hash);
/* Insert a node whose key is not in the map; fills in `node`. */
SCI_PRIVATE void sci_map_put(sci_map *map, sci_map_node *node, sc_slice key, uint64_t hash);
/* Remove a node that is in the map. */
SCI_PRIVATE void sci_map_remove(sci_map *map, sci_map_node *node);

/* For structs of `size` bytes that begin with their node and have their key, copied, behind them:
   make one, zeroed, and put it as above (NULL: no memory); remove it and free it. */
static inline void *sci_map_make(sci_map *map, size_t size, sc_slice key, uint64_t hash)
{
    char *made = (char *)sci_alloc_zeroed(&map->memory, size + key.len);
    if (!made)
        return NULL;
    if (key.len)
        memcpy(made + size, key.data, key.len);
    sci_map_put(map, (sci_map_node *)(void *)made, sc_bytes(made + size, key.len), hash);
    return made;
}

static inline void sci_map_unmake(sci_map *map, size_t size, sci_map_node *node)
{
    size_t key_len = node->key.len;
    sci_map_remove(map, node);
    sci_free(&map->memory, node, size + key_len);
}
