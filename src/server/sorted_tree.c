/* A counted B+-tree.

   Each inner node has, for each child, its first key, the number of keys below it, and the child.
   Nodes are split when they are full; two neighbours under one parent are joined when together they
   are half full, so that there are never long runs of nearly empty ones, and what was joined is far
   from being split again. */

#include "server/sorted_tree.h"

#define SCI_SORTED_TREE_KEYS 64
#define SCI_SORTED_TREE_JOINED (SCI_SORTED_TREE_KEYS / 2)
/* Two neighbours have more than half a node, so a level has at most a sixteenth of the one below:
   enough for 2^64 keys. */
#define SCI_SORTED_TREE_MAX_HEIGHT 16

struct sci_sorted_tree_node {
    size_t count;
    sci_rank_key keys[SCI_SORTED_TREE_KEYS];
};

typedef struct sci_sorted_tree_leaf {
    sci_sorted_tree_node node;
    sci_sorted_tree_node *previous;
    sci_sorted_tree_node *next;
} sci_sorted_tree_leaf;

typedef struct sci_sorted_tree_inner {
    sci_sorted_tree_node node; /* the first key of each child */
    sci_sorted_tree_node *children[SCI_SORTED_TREE_KEYS];
    size_t sizes[SCI_SORTED_TREE_KEYS]; /* keys below each child */
} sci_sorted_tree_inner;

/* From a leaf (level 0) to the root: nodes, and the place in each. */
typedef struct sci_sorted_tree_path {
    sci_sorted_tree_node *nodes[SCI_SORTED_TREE_MAX_HEIGHT + 1];
    size_t at[SCI_SORTED_TREE_MAX_HEIGHT + 1];
} sci_sorted_tree_path;

static inline sci_sorted_tree_leaf *sci_sorted_tree_as_leaf(const sci_sorted_tree_node *node)
{
    return (sci_sorted_tree_leaf *)(void *)node;
}

static inline sci_sorted_tree_inner *sci_sorted_tree_as_inner(const sci_sorted_tree_node *node)
{
    return (sci_sorted_tree_inner *)(void *)node;
}

static inline size_t sci_sorted_tree_node_size(unsigned level)
{
    return level ? sizeof(sci_sorted_tree_inner) : sizeof(sci_sorted_tree_leaf);
}

static sci_sorted_tree_node *sci_sorted_tree_node_new(sci_sorted_tree *tree, unsigned level)
{
    size_t size = sci_sorted_tree_node_size(level);
    sci_sorted_tree_node *node = (sci_sorted_tree_node *)sci_alloc_zeroed(&tree->memory, size);
    if (node)
        tree->bytes += sci_counted_block(size);
    return node;
}

static void sci_sorted_tree_node_free(sci_sorted_tree *tree, sci_sorted_tree_node *node,
                                      unsigned level)
{
    tree->bytes -= sci_counted_block(sci_sorted_tree_node_size(level));
    sci_free(&tree->memory, node, sci_sorted_tree_node_size(level));
}

SCI_PRIVATE sc_status sci_sorted_tree_init(sci_sorted_tree *tree, const sc_memory *memory)
{
    memset(tree, 0, sizeof *tree);
    tree->memory = *memory;
    tree->root = sci_sorted_tree_node_new(tree, 0);
    return tree->root ? SC_OK : SC_ERR_MEMORY;
}

static void sci_sorted_tree_free_below(sci_sorted_tree *tree, sci_sorted_tree_node *node,
                                       unsigned level)
{
    if (level > 0)
        for (size_t i = 0; i < node->count; i++)
            sci_sorted_tree_free_below(tree, sci_sorted_tree_as_inner(node)->children[i],
                                       level - 1);
    sci_sorted_tree_node_free(tree, node, level);
}

SCI_PRIVATE void sci_sorted_tree_free(sci_sorted_tree *tree)
{
    sci_sorted_tree_free_below(tree, tree->root, tree->height);
}

/* Keys below a node. */
static size_t sci_sorted_tree_sum(const sci_sorted_tree_node *node, unsigned level)
{
    if (level == 0)
        return node->count;
    size_t sum = 0;
    for (size_t i = 0; i < node->count; i++)
        sum += sci_sorted_tree_as_inner(node)->sizes[i];
    return sum;
}

/* Copy `count` keys, and what belongs to them, from one place to another; they may overlap. */
static void sci_sorted_tree_copy(sci_sorted_tree_node *to, size_t to_at,
                                 const sci_sorted_tree_node *from, size_t from_at, size_t count,
                                 unsigned level)
{
    memmove(to->keys + to_at, from->keys + from_at, count * sizeof *to->keys);
    if (level == 0)
        return;
    sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(to);
    const sci_sorted_tree_inner *source = sci_sorted_tree_as_inner(from);
    memmove(inner->children + to_at, source->children + from_at, count * sizeof *inner->children);
    memmove(inner->sizes + to_at, source->sizes + from_at, count * sizeof *inner->sizes);
}

/* --- Looking up */

/* How many keys of a node, from `first` on, are before. */
static size_t sci_sorted_tree_search(const sci_sorted_tree_node *node, size_t first,
                                     sci_sorted_tree_before *before, const void *user)
{
    size_t low = first, high = node->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (before(user, &node->keys[middle]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The way to the place after the last key that is before; in inner nodes, to the child that has it.
   Returns its rank. */
static size_t sci_sorted_tree_descend(const sci_sorted_tree *tree, sci_sorted_tree_before *before,
                                      const void *user, sci_sorted_tree_path *path)
{
    sci_sorted_tree_node *node = tree->root;
    size_t rank = 0;
    for (unsigned level = tree->height; level > 0; level--) {
        sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(node);
        size_t child = sci_sorted_tree_search(node, 1, before, user) - 1;
        path->nodes[level] = node;
        path->at[level] = child;
        for (size_t i = 0; i < child; i++)
            rank += inner->sizes[i];
        node = inner->children[child];
    }
    path->nodes[0] = node;
    path->at[0] = sci_sorted_tree_search(node, 0, before, user);
    return rank + path->at[0];
}

static int sci_rank_key_compare(const sci_rank_key *a, const sci_rank_key *b)
{
    if (a->score < b->score)
        return -1;
    if (a->score > b->score)
        return 1;
    return a->member == b->member ? 0
                                  : sci_slice_compare(sci_sorted_member_bytes(a->member),
                                                      sci_sorted_member_bytes(b->member));
}

static bool sci_sorted_tree_is_less(const void *user, const sci_rank_key *key)
{
    return sci_rank_key_compare(key, (const sci_rank_key *)user) < 0;
}

static bool sci_sorted_tree_is_up_to(const void *user, const sci_rank_key *key)
{
    return sci_rank_key_compare(key, (const sci_rank_key *)user) <= 0;
}

SCI_PRIVATE size_t sci_sorted_tree_rank(const sci_sorted_tree *tree, sci_sorted_tree_before *before,
                                        const void *user)
{
    sci_sorted_tree_path path;
    return sci_sorted_tree_descend(tree, before, user, &path);
}

SCI_PRIVATE size_t sci_sorted_tree_rank_of(const sci_sorted_tree *tree, const sci_rank_key *key)
{
    return sci_sorted_tree_rank(tree, sci_sorted_tree_is_less, key);
}

SCI_PRIVATE sci_sorted_tree_at sci_sorted_tree_seek(const sci_sorted_tree *tree, size_t rank)
{
    sci_assert(rank <= tree->count);
    const sci_sorted_tree_node *node = tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        const sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(node);
        size_t child = 0;
        while (child + 1 < node->count && rank >= inner->sizes[child])
            rank -= inner->sizes[child++];
        node = inner->children[child];
    }
    sci_sorted_tree_at at;
    at.leaf = node;
    at.index = rank;
    return at;
}

SCI_PRIVATE const sci_rank_key *sci_sorted_tree_next(sci_sorted_tree_at *at)
{
    if (at->index == at->leaf->count) {
        const sci_sorted_tree_node *next = sci_sorted_tree_as_leaf(at->leaf)->next;
        if (!next)
            return NULL;
        at->leaf = next;
        at->index = 0;
    }
    return &at->leaf->keys[at->index++];
}

SCI_PRIVATE const sci_rank_key *sci_sorted_tree_previous(sci_sorted_tree_at *at)
{
    if (at->index == 0) {
        const sci_sorted_tree_node *previous = sci_sorted_tree_as_leaf(at->leaf)->previous;
        if (!previous)
            return NULL;
        at->leaf = previous;
        at->index = previous->count;
    }
    return &at->leaf->keys[--at->index];
}

/* --- Inserting */

/* Nodes that a split takes, asked for before anything is changed. */
typedef struct sci_sorted_tree_spares {
    sci_sorted_tree_node *nodes[SCI_SORTED_TREE_MAX_HEIGHT + 2]; /* by level */
} sci_sorted_tree_spares;

static sc_status sci_sorted_tree_spare(sci_sorted_tree *tree, const sci_sorted_tree_path *path,
                                       sci_sorted_tree_spares *spares)
{
    unsigned level = 0;
    bool is_full = true;
    for (; is_full && level <= tree->height + 1; level++) {
        is_full = level > tree->height || path->nodes[level]->count == SCI_SORTED_TREE_KEYS;
        if (!is_full)
            break;
        spares->nodes[level] = sci_sorted_tree_node_new(tree, level);
        if (!spares->nodes[level]) {
            while (level-- > 0)
                sci_sorted_tree_node_free(tree, spares->nodes[level], level);
            return SC_ERR_MEMORY;
        }
    }
    return SC_OK;
}

static void sci_sorted_tree_link_after(sci_sorted_tree_node *node, sci_sorted_tree_node *fresh)
{
    sci_sorted_tree_leaf *left = sci_sorted_tree_as_leaf(node);
    sci_sorted_tree_leaf *right = sci_sorted_tree_as_leaf(fresh);
    right->previous = node;
    right->next = left->next;
    if (left->next)
        sci_sorted_tree_as_leaf(left->next)->previous = fresh;
    left->next = fresh;
}

static void sci_sorted_tree_unlink(sci_sorted_tree_node *node)
{
    sci_sorted_tree_leaf *leaf = sci_sorted_tree_as_leaf(node);
    if (leaf->previous)
        sci_sorted_tree_as_leaf(leaf->previous)->next = leaf->next;
    if (leaf->next)
        sci_sorted_tree_as_leaf(leaf->next)->previous = leaf->previous;
}

static void sci_sorted_tree_put_at(sci_sorted_tree_node *node, size_t at, const sci_rank_key *key,
                                   sci_sorted_tree_node *child, size_t size, unsigned level)
{
    sci_sorted_tree_copy(node, at + 1, node, at, node->count - at, level);
    node->keys[at] = *key;
    if (level > 0) {
        sci_sorted_tree_as_inner(node)->children[at] = child;
        sci_sorted_tree_as_inner(node)->sizes[at] = size;
    }
    node->count++;
}

/* What a level hands to the one above. */
typedef struct sci_sorted_tree_carry {
    sci_rank_key key;
    sci_sorted_tree_node *child; /* NULL: nothing; above the leaves, a new node */
    size_t size;                 /* of it */
} sci_sorted_tree_carry;

/* Put what is carried into the node of `level`, splitting it when it is full; `carry` is then the
   new right half. Keys that come in order, as time stamps do, leave full nodes behind: then
   `is_at_an_end`, and the node is split where the key goes. */
static void sci_sorted_tree_put(sci_sorted_tree_node *node, size_t at, sci_sorted_tree_carry *carry,
                                bool is_at_an_end, sci_sorted_tree_node *spare, unsigned level)
{
    if (node->count < SCI_SORTED_TREE_KEYS) {
        sci_sorted_tree_put_at(node, at, &carry->key, carry->child, carry->size, level);
        carry->child = NULL;
        return;
    }
    size_t split = is_at_an_end ? at : SCI_SORTED_TREE_KEYS / 2;
    sci_sorted_tree_copy(spare, 0, node, split, node->count - split, level);
    spare->count = node->count - split;
    node->count = split;
    if (level == 0)
        sci_sorted_tree_link_after(node, spare);
    if (at < split || (at == split && split < SCI_SORTED_TREE_KEYS))
        sci_sorted_tree_put_at(node, at, &carry->key, carry->child, carry->size, level);
    else
        sci_sorted_tree_put_at(spare, at - split, &carry->key, carry->child, carry->size, level);
    carry->key = spare->keys[0];
    carry->child = spare;
    carry->size = sci_sorted_tree_sum(spare, level);
}

static void sci_sorted_tree_grow(sci_sorted_tree *tree, sci_sorted_tree_node *root,
                                 const sci_sorted_tree_carry *carry)
{
    sci_sorted_tree_node *old = tree->root;
    unsigned level = tree->height + 1;
    sci_sorted_tree_put_at(root, 0, &old->keys[0], old, sci_sorted_tree_sum(old, tree->height),
                           level);
    sci_sorted_tree_put_at(root, 1, &carry->key, carry->child, carry->size, level);
    tree->root = root;
    tree->height = level;
}

SCI_PRIVATE sc_status sci_sorted_tree_insert(sci_sorted_tree *tree, const sci_rank_key *key)
{
    sci_sorted_tree_path path;
    sci_sorted_tree_spares spares;
    size_t rank = sci_sorted_tree_descend(tree, sci_sorted_tree_is_up_to, key, &path);
    if (sci_sorted_tree_spare(tree, &path, &spares) != SC_OK)
        return SC_ERR_MEMORY;
    bool is_at_an_end = rank == 0 || rank == tree->count;
    sci_sorted_tree_carry carry;
    carry.key = *key;
    carry.child = NULL;
    carry.size = 1;
    sci_sorted_tree_put(path.nodes[0], path.at[0], &carry, is_at_an_end, spares.nodes[0], 0);
    for (unsigned level = 1; level <= tree->height; level++) {
        sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(path.nodes[level]);
        size_t at = path.at[level];
        inner->node.keys[at] = inner->children[at]->keys[0];
        inner->sizes[at]++;
        if (carry.child) {
            inner->sizes[at] -= carry.size;
            sci_sorted_tree_put(&inner->node, at + 1, &carry, is_at_an_end, spares.nodes[level],
                                level);
        }
    }
    if (carry.child)
        sci_sorted_tree_grow(tree, spares.nodes[tree->height + 1], &carry);
    tree->count++;
    return SC_OK;
}

/* --- Removing */

static void sci_sorted_tree_take_at(sci_sorted_tree_node *node, size_t at, unsigned level)
{
    node->count--;
    sci_sorted_tree_copy(node, at, node, at + 1, node->count - at, level);
}

/* Free a child whose keys are in its neighbour now, or that has none. */
static void sci_sorted_tree_drop(sci_sorted_tree *tree, sci_sorted_tree_inner *inner, size_t at,
                                 unsigned level)
{
    sci_sorted_tree_node *child = inner->children[at];
    if (level == 1)
        sci_sorted_tree_unlink(child);
    sci_sorted_tree_node_free(tree, child, level - 1);
    sci_sorted_tree_take_at(&inner->node, at, level);
}

/* Join two neighbours if that leaves room enough. */
static bool sci_sorted_tree_join(sci_sorted_tree *tree, sci_sorted_tree_inner *inner, size_t at,
                                 unsigned level)
{
    sci_sorted_tree_node *left = inner->children[at];
    sci_sorted_tree_node *right = inner->children[at + 1];
    if (left->count + right->count > SCI_SORTED_TREE_JOINED)
        return false;
    sci_sorted_tree_copy(left, left->count, right, 0, right->count, level - 1);
    left->count += right->count;
    inner->sizes[at] += inner->sizes[at + 1];
    sci_sorted_tree_drop(tree, inner, at + 1, level);
    return true;
}

SCI_PRIVATE void sci_sorted_tree_remove(sci_sorted_tree *tree, const sci_rank_key *key)
{
    sci_sorted_tree_path path;
    (void)sci_sorted_tree_descend(tree, sci_sorted_tree_is_up_to, key, &path);
    sci_assert(path.at[0] > 0 && path.nodes[0]->keys[path.at[0] - 1].member == key->member);
    sci_sorted_tree_take_at(path.nodes[0], path.at[0] - 1, 0);
    for (unsigned level = 1; level <= tree->height; level++) {
        sci_sorted_tree_inner *inner = sci_sorted_tree_as_inner(path.nodes[level]);
        size_t at = path.at[level];
        inner->sizes[at]--;
        if (inner->children[at]->count == 0) {
            sci_sorted_tree_drop(tree, inner, at, level);
            continue;
        }
        inner->node.keys[at] = inner->children[at]->keys[0];
        bool is_joined = at + 1 < inner->node.count && sci_sorted_tree_join(tree, inner, at, level);
        if (!is_joined && at > 0)
            (void)sci_sorted_tree_join(tree, inner, at - 1, level);
    }
    while (tree->height > 0 && tree->root->count == 1) {
        sci_sorted_tree_node *root = tree->root;
        tree->root = sci_sorted_tree_as_inner(root)->children[0];
        sci_sorted_tree_node_free(tree, root, tree->height);
        tree->height--;
    }
    tree->count--;
}

/* Where the neighbours in its leaf allow it, change the score alone: a score that counts up seldom
   changes the order. The first and the last of a leaf are left out, since other nodes know them. */
static bool sci_sorted_tree_move_in_place(sci_sorted_tree *tree, const sci_rank_key *key,
                                          const sci_rank_key *moved)
{
    sci_sorted_tree_path path;
    (void)sci_sorted_tree_descend(tree, sci_sorted_tree_is_up_to, key, &path);
    sci_sorted_tree_node *leaf = path.nodes[0];
    size_t at = path.at[0] - 1;
    if (at == 0 || at + 1 == leaf->count || sci_rank_key_compare(&leaf->keys[at - 1], moved) > 0 ||
        sci_rank_key_compare(&leaf->keys[at + 1], moved) < 0)
        return false;
    leaf->keys[at].score = moved->score;
    return true;
}

SCI_PRIVATE sc_status sci_sorted_tree_move(sci_sorted_tree *tree, const sci_rank_key *key,
                                           double score)
{
    sci_rank_key moved = *key;
    moved.score = score;
    if (sci_sorted_tree_move_in_place(tree, key, &moved))
        return SC_OK;
    if (sci_sorted_tree_insert(tree, &moved) != SC_OK)
        return SC_ERR_MEMORY;
    sci_sorted_tree_remove(tree, key);
    return SC_OK;
}
