/* Keys that hold tables of members. */

#include "server/collection.h"

#include "server/pubsub.h"

SCI_PRIVATE bool sci_collection_for_read(sci_call *call, size_t key_at, sci_type type,
                                         sci_members **members)
{
    sci_entry *entry;
    if (!sci_typed_for_read(call, call->argv[key_at], type, &entry))
        return false;
    *members = entry ? (sci_members *)entry->value.object : NULL;
    return true;
}

SCI_PRIVATE bool sci_collection_for_write(sci_call *call, size_t key_at, sci_type type,
                                          sci_entry **entry, sci_members **members)
{
    if (!sci_typed_for_write(call, call->argv[key_at], type, entry))
        return false;
    *members = *entry ? (sci_members *)(*entry)->value.object : NULL;
    return true;
}

SCI_PRIVATE sci_members *sci_collection_new(sci_call *call, sci_type type)
{
    sc_server *server = call->server;
    sci_members *members =
        sci_members_new(&server->data.table, &server->hash_seed, type == SCI_HASH);
    if (!members)
        sci_answer_no_memory(call);
    return members;
}

SCI_PRIVATE bool sci_collection_put(sci_call *call, sc_slice key, sci_type type, sci_entry *entry,
                                    const sc_slice *words, size_t count, size_t *added)
{
    sci_members *members =
        entry ? (sci_members *)entry->value.object : sci_collection_new(call, type);
    if (!members)
        return false;
    if (sci_members_put_all(members, words, count, added) == SC_OK &&
        (entry || sci_entry_add(call, key, type, members)))
        return true;
    if (!entry)
        sci_members_release(members);
    sci_answer_no_memory(call);
    return false;
}

SCI_PRIVATE void sci_collection_shrunk(sci_call *call, sc_slice key, sci_entry *entry,
                                       unsigned event_class, const char *event)
{
    sci_changed(call, key, event_class, event);
    if (((const sci_members *)entry->value.object)->count > 0)
        return;
    sci_entry_delete(call, entry);
    sci_notify(call, SCI_EVENT_GENERIC, "del", key);
}

SCI_PRIVATE size_t sci_collection_chance(void *server, size_t bound)
{
    return sci_random_below((sc_server *)server, bound);
}

/* --- By chance */

SCI_PRIVATE bool sci_collection_arg_count(sci_call *call, size_t i, int64_t *count)
{
    return sci_arg_i64_between(call, i, -INT64_MAX, INT64_MAX, count);
}

static const sci_member *sci_collection_draw(const sci_call *call, const sci_members *members)
{
    return sci_members_at(members, sci_random_below(call->server, members->count));
}

SCI_PRIVATE void sci_collection_answer_one(sci_call *call, const sci_members *members)
{
    if (members)
        sci_answer_bulk(call, sci_member_name(sci_collection_draw(call, members)));
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

typedef struct sci_collection_choice {
    sci_call *call;
    bool with_values;
} sci_collection_choice;

static void sci_collection_answer_choice(const sci_collection_choice *choice,
                                         const sci_member *member)
{
    sci_answer_bulk(choice->call, sci_member_name(member));
    if (choice->with_values)
        sci_answer_bulk(choice->call, sci_member_value(member));
}

static void sci_collection_visit_choice(void *user, sci_member *member)
{
    sci_collection_answer_choice((const sci_collection_choice *)user, member);
}

SCI_PRIVATE bool sci_collection_answer_is_too_long(const sci_call *call)
{
    if (!call->session)
        return false;
    sci_session_check_output(call->session);
    return call->session->is_broken;
}

SCI_PRIVATE void sci_collection_answer_some(sci_call *call, sci_members *members, int64_t count,
                                            bool with_values)
{
    sci_collection_choice choice;
    choice.call = call;
    choice.with_values = with_values;
    const uint64_t words = with_values ? 2 : 1;
    if (!members) {
        sci_answer_array(call, 0);
    } else if (count >= 0) {
        const size_t most = (size_t)sci_min_i64(count, members->count);
        sci_answer_array(call, most * (size_t)words);
        sci_members_choose(members, most, false, sci_collection_chance, call->server,
                           sci_collection_visit_choice, &choice);
    } else {
        sci_answer_array(call, (size_t)((uint64_t)-count * words));
        while (count++ < 0 && !sci_collection_answer_is_too_long(call))
            sci_collection_answer_choice(&choice, sci_collection_draw(call, members));
    }
}
