#pragma once
/* A JSON text as a tree whose objects have their members in a chosen order, and the characters of
   its strings. The tree borrows the text. */

#include "base/json.h"
#include "base/memory.h"

/* How the members of an object follow each other. In both, of members with one name the last one's
   value counts. */
typedef enum sci_tree_order {
    SCI_TREE_SORTED,    /* by name: ascending code points, which is the byte order of UTF-8 */
    SCI_TREE_JAVASCRIPT /* as JSON.parse leaves them: names that are array indices (0 to 2^32-2)
                           first, ascending; then the others as they first appear */
} sci_tree_order;

#define SCI_TREE_NONE UINT32_MAX

typedef struct sci_tree_node {
    uint32_t name_at, name_len; /* in the text, escaped; members only */
    uint32_t raw_at, raw_len;   /* in the text: a number; a string, escaped, without its quotes */
    uint32_t parent;            /* SCI_TREE_NONE for the root, which is node 0 */
    uint32_t first;             /* array and object: the first child, or SCI_TREE_NONE */
    uint32_t next;              /* the next sibling, or SCI_TREE_NONE */
    unsigned char kind;         /* sci_json_kind; of the two ends of a container, its begin */
    bool is_member;
    bool is_name_plain; /* has no escapes */
    bool is_raw_plain;
} sci_tree_node;

typedef struct sci_tree {
    sc_memory memory;
    sc_slice text;        /* borrowed */
    sci_tree_node *nodes; /* owned */
    size_t node_count;
} sci_tree;

/* Parse and order. SC_ERR_ARGUMENT and SC_ERR_LIMIT as sci_json_next; SC_ERR_LIMIT for a text of 4
   GiB; SC_ERR_MEMORY. On an error there is nothing to free. */
SCI_PRIVATE sc_status sci_tree_build(sci_tree *tree, const sc_memory *memory, sc_slice text,
                                     sci_tree_order order);
SCI_PRIVATE void sci_tree_free(sci_tree *tree);

/* Iterates over the characters of a string. */
typedef struct sci_characters {
    const unsigned char *at;
    const unsigned char *end;
    bool is_plain; /* no backslash escapes */
} sci_characters;

/* What sci_characters_next gives: a code point (a lone surrogate from an escape included), or
   SCI_CHARACTER_BYTE plus a byte that is not UTF-8, or SCI_CHARACTER_END. */
#define SCI_CHARACTER_BYTE 0x110000u
#define SCI_CHARACTER_END 0xffffffffu

/* Over any bytes. */
SCI_PRIVATE sci_characters sci_characters_of_bytes(sc_slice bytes);
/* Over a JSON string's raw text, which sci_json_next has checked. */
SCI_PRIVATE sci_characters sci_characters_of_json(sc_slice raw, bool is_plain);
SCI_PRIVATE uint32_t sci_characters_next(sci_characters *characters);

static inline sci_characters sci_tree_name(const sci_tree *tree, const sci_tree_node *node)
{
    return sci_characters_of_json(sc_bytes(tree->text.data + node->name_at, node->name_len),
                                  node->is_name_plain);
}

static inline sc_slice sci_tree_raw(const sci_tree *tree, const sci_tree_node *node)
{
    return sc_bytes(tree->text.data + node->raw_at, node->raw_len);
}

static inline bool sci_is_high_surrogate(uint32_t character)
{
    return character >= 0xd800 && character <= 0xdbff;
}

static inline bool sci_is_low_surrogate(uint32_t character)
{
    return character >= 0xdc00 && character <= 0xdfff;
}

/* The code point that a high and a low surrogate stand for. */
static inline uint32_t sci_join_surrogates(uint32_t high, uint32_t low)
{
    return 0x10000u + ((high - 0xd800u) << 10) + (low - 0xdc00u);
}
