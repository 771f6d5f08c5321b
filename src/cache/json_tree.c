/* JSON text to a tree with ordered objects. Nothing recurses: the tree is linked by indices, and
   each object is ordered on its own by heapsort, so that hostile texts cost O(n log n). */

#include "cache/json_tree.h"

/* MARK: - Characters */

SCI_PRIVATE sci_characters sci_characters_of_json(sc_slice raw, bool is_plain)
{
    sci_characters characters;
    characters.at = (const unsigned char *)raw.data;
    characters.end = raw.len ? characters.at + raw.len : characters.at;
    characters.is_plain = is_plain;
    return characters;
}

SCI_PRIVATE sci_characters sci_characters_of_bytes(sc_slice bytes)
{
    return sci_characters_of_json(bytes, true);
}

/* Whether RFC 3629 has this character, in so many bytes. */
static bool sci_characters_is_allowed(uint32_t character, size_t len)
{
    bool is_overlong = (len == 3 && character < 0x800) || (len == 4 && character < 0x10000);
    bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
    return !is_overlong && !is_surrogate && character <= 0x10ffff;
}

/* One character of UTF-8 as RFC 3629 allows it, or a byte that begins none. */
static uint32_t sci_characters_utf8(sci_characters *characters)
{
    const unsigned char *at = characters->at;
    size_t room = (size_t)(characters->end - at);
    unsigned char lead = at[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    characters->at++;
    if (len == 1)
        return lead;
    if (lead < 0xc2 || lead > 0xf4 || room < len)
        return SCI_CHARACTER_BYTE + lead;
    uint32_t character = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return SCI_CHARACTER_BYTE + lead;
        character = (character << 6) | (at[i] & 0x3fu);
    }
    if (!sci_characters_is_allowed(character, len))
        return SCI_CHARACTER_BYTE + lead;
    characters->at = at + len;
    return character;
}

/* The four digits of a \u escape. */
static uint32_t sci_characters_hex(const unsigned char *digits)
{
    uint32_t unit = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = digits[i];
        uint32_t digit = c <= '9' ? (uint32_t)c - '0' : ((uint32_t)c | 0x20) - 'a' + 10;
        unit = (unit << 4) | digit;
    }
    return unit;
}

/* A backslash and what follows. */
static uint32_t sci_characters_escape(sci_characters *characters)
{
    const unsigned char *at = characters->at;
    characters->at += 2;
    if (at[1] != 'u')
        return (unsigned char)sci_json_escaped((char)at[1]);
    uint32_t unit = sci_characters_hex(at + 2);
    characters->at = at + 6;
    bool can_be_pair =
        sci_is_high_surrogate(unit) && characters->end - at >= 12 && at[6] == '\\' && at[7] == 'u';
    if (can_be_pair) {
        uint32_t low = sci_characters_hex(at + 8);
        if (sci_is_low_surrogate(low)) {
            characters->at = at + 12;
            return sci_join_surrogates(unit, low);
        }
    }
    return unit;
}

SCI_PRIVATE uint32_t sci_characters_next(sci_characters *characters)
{
    if (characters->at == characters->end)
        return SCI_CHARACTER_END;
    if (!characters->is_plain && *characters->at == '\\')
        return sci_characters_escape(characters);
    return sci_characters_utf8(characters);
}

/* MARK: - Parse */

/* How many nodes and at most how many members an object of the text has; checks its grammar. */
static sc_status sci_tree_measure(sc_slice text, size_t *node_count, size_t *member_count)
{
    sci_json_reader reader;
    sci_json_token token;

    *node_count = 0;
    *member_count = 0;
    sci_json_begin(&reader, text);
    do {
        sc_status status = sci_json_next(&reader, &token);
        if (status != SC_OK)
            return status;
        if (token.kind == SCI_JSON_KEY)
            ++*member_count;
        else if (token.kind != SCI_JSON_END && token.kind != SCI_JSON_ARRAY_END &&
                 token.kind != SCI_JSON_OBJECT_END)
            ++*node_count;
    } while (token.kind != SCI_JSON_END);
    return SC_OK;
}

/* Append a node, whose name has been filled in, behind the last child of `parent`. */
static void sci_tree_link(sci_tree *tree, uint32_t index, uint32_t parent, uint32_t previous)
{
    tree->nodes[index].parent = parent;
    tree->nodes[index].first = SCI_TREE_NONE;
    tree->nodes[index].next = SCI_TREE_NONE;
    if (previous != SCI_TREE_NONE)
        tree->nodes[previous].next = index;
    else if (parent != SCI_TREE_NONE)
        tree->nodes[parent].first = index;
}

/* Fill the nodes; the text has been measured, so it is right and they suffice. */
static sc_status sci_tree_fill(sci_tree *tree)
{
    sci_json_reader reader;
    sci_json_token token;
    uint32_t count = 0;
    uint32_t parent = SCI_TREE_NONE;
    uint32_t previous = SCI_TREE_NONE; /* the last child of `parent` so far */

    sci_json_begin(&reader, tree->text);
    for (;;) {
        sc_status status = sci_json_next(&reader, &token);
        if (status != SC_OK || token.kind == SCI_JSON_END)
            return status;
        if (token.kind == SCI_JSON_ARRAY_END || token.kind == SCI_JSON_OBJECT_END) {
            previous = parent;
            parent = tree->nodes[parent].parent;
            continue;
        }
        sci_assert(count < tree->node_count);
        sci_tree_node *node = &tree->nodes[count];
        uint32_t at = token.raw.len ? (uint32_t)(token.raw.data - tree->text.data) : 0;
        if (token.kind == SCI_JSON_KEY) {
            node->is_member = true;
            node->is_name_plain = token.is_plain;
            node->name_at = at;
            node->name_len = (uint32_t)token.raw.len;
            continue; /* the value comes into the same node */
        }
        node->kind = (unsigned char)token.kind;
        node->is_raw_plain = token.is_plain;
        node->raw_at = at;
        node->raw_len = (uint32_t)token.raw.len;
        sci_tree_link(tree, count, parent, previous);
        bool is_container =
            token.kind == SCI_JSON_ARRAY_BEGIN || token.kind == SCI_JSON_OBJECT_BEGIN;
        parent = is_container ? count : parent;
        previous = is_container ? SCI_TREE_NONE : count;
        count++;
    }
}

/* MARK: - Order */

/* A member while its object is being ordered. */
typedef struct sci_tree_member {
    uint32_t name;  /* the node with the name that counts for the place: the first of its name */
    uint32_t value; /* the node with the value that counts: the last of its name */
    uint32_t rank;  /* array index, or SCI_TREE_NONE for other names */
} sci_tree_member;

typedef int (*sci_tree_compare)(const sci_tree *tree, const sci_tree_member *a,
                                const sci_tree_member *b);

static int sci_tree_compare_names(const sci_tree *tree, const sci_tree_member *a,
                                  const sci_tree_member *b)
{
    sci_characters left = sci_tree_name(tree, &tree->nodes[a->name]);
    sci_characters right = sci_tree_name(tree, &tree->nodes[b->name]);
    for (;;) {
        uint32_t l = sci_characters_next(&left);
        uint32_t r = sci_characters_next(&right);
        if (l == SCI_CHARACTER_END || r == SCI_CHARACTER_END)
            return (l != SCI_CHARACTER_END) - (r != SCI_CHARACTER_END);
        if (l != r)
            return l < r ? -1 : 1;
    }
}

/* Total: members of one name keep their order in the text. */
static int sci_tree_compare_sorted(const sci_tree *tree, const sci_tree_member *a,
                                   const sci_tree_member *b)
{
    int by_name = sci_tree_compare_names(tree, a, b);
    return by_name ? by_name : (a->name > b->name) - (a->name < b->name);
}

static int sci_tree_compare_javascript(const sci_tree *tree, const sci_tree_member *a,
                                       const sci_tree_member *b)
{
    (void)tree;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

static void sci_tree_sift(const sci_tree *tree, sci_tree_member *members, size_t at, size_t count,
                          sci_tree_compare compare)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && compare(tree, &members[child], &members[child + 1]) < 0)
            child++;
        if (compare(tree, &members[at], &members[child]) >= 0)
            return;
        sci_tree_member swapped = members[at];
        members[at] = members[child];
        members[child] = swapped;
        at = child;
    }
}

/* Heapsort (Williams, 1964): in place, O(n log n) at worst, no recursion. */
static void sci_tree_sort(const sci_tree *tree, sci_tree_member *members, size_t count,
                          sci_tree_compare compare)
{
    for (size_t i = count / 2; i > 0; i--)
        sci_tree_sift(tree, members, i - 1, count, compare);
    for (size_t end = count; end > 1; end--) {
        sci_tree_member largest = members[0];
        members[0] = members[end - 1];
        members[end - 1] = largest;
        sci_tree_sift(tree, members, 0, end - 1, compare);
    }
}

/* The number that a name spells when it is an ECMAScript array index: "0" or digits that do not
   begin with 0, below 2^32 - 1. */
static uint32_t sci_tree_index_rank(sci_characters name)
{
    uint64_t index = 0;
    uint32_t first = sci_characters_next(&name);
    uint32_t digit = first;

    if (first == '0')
        return sci_characters_next(&name) == SCI_CHARACTER_END ? 0 : SCI_TREE_NONE;
    for (; digit >= '0' && digit <= '9'; digit = sci_characters_next(&name)) {
        index = index * 10 + (digit - '0');
        if (index >= UINT32_MAX)
            return SCI_TREE_NONE;
    }
    return digit == SCI_CHARACTER_END && first != SCI_CHARACTER_END ? (uint32_t)index
                                                                    : SCI_TREE_NONE;
}

/* Of members sorted by name, leave one a name, with the first one's place and the last one's value.
 */
static size_t sci_tree_merge_names(const sci_tree *tree, sci_tree_member *members, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && sci_tree_compare_names(tree, &members[kept - 1], &members[i]) == 0)
            members[kept - 1].value = members[i].value;
        else
            members[kept++] = members[i];
    }
    return kept;
}

static void sci_tree_order_object(sci_tree *tree, uint32_t object, sci_tree_member *members,
                                  sci_tree_order order)
{
    size_t count = 0;
    for (uint32_t i = tree->nodes[object].first; i != SCI_TREE_NONE; i = tree->nodes[i].next) {
        members[count].name = i;
        members[count].value = i;
        members[count].rank = order == SCI_TREE_JAVASCRIPT
                                  ? sci_tree_index_rank(sci_tree_name(tree, &tree->nodes[i]))
                                  : SCI_TREE_NONE;
        count++;
    }
    sci_tree_sort(tree, members, count, sci_tree_compare_sorted);
    count = sci_tree_merge_names(tree, members, count);
    if (order == SCI_TREE_JAVASCRIPT)
        sci_tree_sort(tree, members, count, sci_tree_compare_javascript);

    for (size_t i = 0; i < count; i++)
        tree->nodes[members[i].value].next = i + 1 < count ? members[i + 1].value : SCI_TREE_NONE;
    tree->nodes[object].first = count ? members[0].value : SCI_TREE_NONE;
}

/* MARK: - Build */

static sc_status sci_tree_order_all(sci_tree *tree, size_t member_count, sci_tree_order order)
{
    if (member_count < 2)
        return SC_OK;
    size_t size = member_count * sizeof(sci_tree_member);
    sci_tree_member *members = (sci_tree_member *)sci_resize(&tree->memory, NULL, 0, size);
    if (!members)
        return SC_ERR_MEMORY;
    for (uint32_t i = 0; i < tree->node_count; i++)
        if (tree->nodes[i].kind == SCI_JSON_OBJECT_BEGIN)
            sci_tree_order_object(tree, i, members, order);
    sci_free(&tree->memory, members, size);
    return SC_OK;
}

SCI_PRIVATE sc_status sci_tree_build(sci_tree *tree, const sc_memory *memory, sc_slice text,
                                     sci_tree_order order)
{
    size_t member_count = 0;

    tree->memory = *memory;
    tree->text = text;
    tree->nodes = NULL;
    tree->node_count = 0;
    /* Offsets have 32 bits, and so have the sizes below on a 32-bit machine. */
    if (text.len >= SCI_TREE_NONE || text.len > SIZE_MAX / sizeof(sci_tree_node))
        return sc_fail(SC_ERR_LIMIT, "the JSON text is too long: %zu bytes", text.len);
    sc_status status = sci_tree_measure(text, &tree->node_count, &member_count);
    if (status != SC_OK)
        return status;
    tree->nodes =
        (sci_tree_node *)sci_alloc_zeroed(&tree->memory, tree->node_count * sizeof(sci_tree_node));
    if (!tree->nodes)
        return SC_ERR_MEMORY;
    status = sci_tree_fill(tree);
    if (status == SC_OK)
        status = sci_tree_order_all(tree, member_count, order);
    if (status != SC_OK)
        sci_tree_free(tree);
    return status;
}

SCI_PRIVATE void sci_tree_free(sci_tree *tree)
{
    sci_free(&tree->memory, tree->nodes, tree->node_count * sizeof(sci_tree_node));
    tree->nodes = NULL;
    tree->node_count = 0;
}
