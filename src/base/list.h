#pragma once
/* An intrusive, circular, doubly linked list: no allocation, removal without knowing the list. */

#include "base/prelude.h"

typedef struct sci_link {
    struct sci_link *next;
    struct sci_link *previous;
} sci_link;

/* The head of a list and a link that is in no list both point to themselves. */
static inline void sci_list_init(sci_link *link)
{
    link->next = link;
    link->previous = link;
}

static inline bool sci_list_is_empty(const sci_link *list)
{
    return list->next == list;
}

static inline bool sci_link_is_in_list(const sci_link *link)
{
    return link->next != link;
}

static inline void sci_list_append(sci_link *list, sci_link *link)
{
    sci_assert(link->next == link);
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

/* Fine for a link that is in no list. */
static inline void sci_list_remove(sci_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    sci_list_init(link);
}

/* The first link, taken out; NULL when the list is empty. */
static inline sci_link *sci_list_take_first(sci_link *list)
{
    sci_link *first = list->next;
    if (first == list)
        return NULL;
    sci_list_remove(first);
    return first;
}

/* Move all of `from` to the end of `to`. */
static inline void sci_list_move_all(sci_link *to, sci_link *from)
{
    if (sci_list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    sci_list_init(from);
}
