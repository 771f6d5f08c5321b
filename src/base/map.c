/* An intrusive hash map: chains of nodes that their owners own, under an array of buckets that
   doubles and halves with the count. */

#include "base/map.h"

SCI_PRIVATE void sci_map_init(sci_map *map, const sc_memory *memory, sci_hash_seed seed)
{
    memset(map, 0, sizeof *map);
    map->memory = *memory;
    map->seed = seed;
    map->buckets = map->inline_buckets;
    map->bucket_count = SCI_MAP_INLINE_BUCKETS;
}

static void sci_map_free_buckets(sci_map *map)
{
    if (map->buckets != map->inline_buckets)
        sci_free(&map->memory, map->buckets, map->bucket_count * sizeof *map->buckets);
}

SCI_PRIVATE void sci_map_free(sci_map *map)
{
    sci_map_free_buckets(map);
    memset(map->inline_buckets, 0, sizeof map->inline_buckets);
    map->buckets = map->inline_buckets;
    map->bucket_count = SCI_MAP_INLINE_BUCKETS;
    map->count = 0;
}

SCI_PRIVATE uint64_t sci_map_hash(const sci_map *map, sc_slice key)
{
    return sci_hash(&map->seed, key);
}

static inline size_t sci_map_index(const sci_map *map, uint64_t hash)
{
    return (size_t)hash & (map->bucket_count - 1);
}

SCI_PRIVATE sci_map_node *sci_map_find(const sci_map *map, sc_slice key, uint64_t hash)
{
    sci_map_node *node = map->buckets[sci_map_index(map, hash)];
    while (node && !(node->hash == hash && sci_slice_equal(node->key, key)))
        node = node->next;
    return node;
}

static void sci_map_link(sci_map *map, sci_map_node *node)
{
    size_t index = sci_map_index(map, node->hash);
    node->next = map->buckets[index];
    map->buckets[index] = node;
}

/* Move all nodes to an array of `bucket_count`; without memory for it nothing changes, and that is
   no failure, so the table is called without setting the detail text. */
static void sci_map_rehash(sci_map *map, size_t bucket_count)
{
    sci_map_node **old_buckets = map->buckets;
    size_t old_count = map->bucket_count;
    sci_map_node **buckets = map->inline_buckets;
    size_t size = bucket_count * sizeof *buckets;
    if (bucket_count > SCI_MAP_INLINE_BUCKETS)
        buckets = (sci_map_node **)map->memory.resize(map->memory.user, NULL, 0, size);
    if (!buckets)
        return;
    memset(buckets, 0, size);
    /* From the inline array to the inline array there is no way: the counts differ. */
    sci_assert(buckets != old_buckets);
    map->buckets = buckets;
    map->bucket_count = bucket_count;
    for (size_t i = 0; i < old_count; i++) {
        for (sci_map_node *node = old_buckets[i], *next; node; node = next) {
            next = node->next;
            sci_map_link(map, node);
        }
    }
    if (old_buckets != map->inline_buckets)
        sci_free(&map->memory, old_buckets, old_count * sizeof *old_buckets);
}

SCI_PRIVATE void sci_map_put(sci_map *map, sci_map_node *node, sc_slice key, uint64_t hash)
{
    sci_assert(!sci_map_find(map, key, hash));
    if (map->count >= map->bucket_count && map->bucket_count <= SIZE_MAX / 2 / sizeof *map->buckets)
        sci_map_rehash(map, map->bucket_count * 2);
    node->key = key;
    node->hash = hash;
    sci_map_link(map, node);
    map->count++;
}

SCI_PRIVATE void sci_map_remove(sci_map *map, sci_map_node *node)
{
    sci_map_node **at = &map->buckets[sci_map_index(map, node->hash)];
    while (*at != node) {
        sci_assert(*at);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    map->count--;
    /* An eighth full is far from both doubling and halving again. */
    if (map->bucket_count > SCI_MAP_INLINE_BUCKETS && map->count < map->bucket_count / 8)
        sci_map_rehash(map, map->bucket_count / 2);
}
