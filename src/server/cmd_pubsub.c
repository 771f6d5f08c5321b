/* SUBSCRIBE and its kin, PUBLISH, PUBSUB. */

#include "server/commands.h"
#include "server/dispatch.h"
#include "server/pubsub.h"
#include "server/subcommand.h"

#define SCI_CMD_SUBSCRIBES (SCI_CMD_PUBSUB | SCI_CMD_NOSCRIPT | SCI_CMD_LOADING | SCI_CMD_STALE)
#define SCI_CMD_PUBLISHES (SCI_CMD_FAST | SCI_CMD_LOADING | SCI_CMD_STALE | SCI_CMD_SPREADS)

static void sci_answer_subscription(sci_call *call, const char *word, sci_channel_kind kind,
                                    const sc_slice *name)
{
    const sci_session *session = call->session;
    size_t count = kind == SCI_SHARD_CHANNEL ? session->subscription_count[SCI_SHARD_CHANNEL]
                                             : session->subscription_count[SCI_CHANNEL] +
                                                   session->subscription_count[SCI_PATTERN];
    sci_answer_array(call, 3);
    sci_answer_text(call, word);
    if (name)
        sci_answer_bulk(call, *name);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
    sci_answer_i64(call, (int64_t)count);
}

/* Subscriptions are told as messages are: CLIENT REPLY does not hold them back. */
static void sci_subscription_is_heard(sci_call *call)
{
    call->out = &call->session->out;
}

static void sci_subscribe_all(sci_call *call, const char *word, sci_channel_kind kind)
{
    sci_subscription_is_heard(call);
    for (size_t i = 1; i < call->argc; i++) {
        if (sci_subscribe_to(call->session, kind, call->argv[i]) != SC_OK) {
            sci_answer_no_memory(call);
            return;
        }
        sci_answer_subscription(call, word, kind, &call->argv[i]);
    }
}

static void sci_unsubscribe_one(sci_call *call, const char *word, sci_channel_kind kind,
                                sc_slice name)
{
    /* The name may be the subscription's own, which goes. */
    sci_bytes copy;
    sci_bytes_init(&copy, &call->server->memory);
    if (sci_bytes_append(&copy, name) == SC_OK) {
        sc_slice kept = sci_bytes_slice(&copy);
        sci_unsubscribe_from(call->session, kind, kept);
        sci_answer_subscription(call, word, kind, &kept);
    } else {
        sci_answer_no_memory(call);
    }
    sci_bytes_free(&copy);
}

static void sci_unsubscribe_all(sci_call *call, const char *word, sci_channel_kind kind)
{
    sc_slice name;
    size_t count = call->session->subscription_count[kind];
    sci_subscription_is_heard(call);
    for (size_t i = 1; i < call->argc; i++)
        sci_unsubscribe_one(call, word, kind, call->argv[i]);
    if (call->argc > 1)
        return;
    if (count == 0)
        sci_answer_subscription(call, word, kind, NULL);
    for (; count > 0 && sci_subscription_first(call->session, kind, &name); count--)
        sci_unsubscribe_one(call, word, kind, name);
}

static void sci_command_subscribe(sci_call *call)
{
    sci_subscribe_all(call, "subscribe", SCI_CHANNEL);
}

static void sci_command_psubscribe(sci_call *call)
{
    sci_subscribe_all(call, "psubscribe", SCI_PATTERN);
}

static void sci_command_ssubscribe(sci_call *call)
{
    sci_subscribe_all(call, "ssubscribe", SCI_SHARD_CHANNEL);
}

static void sci_command_unsubscribe(sci_call *call)
{
    sci_unsubscribe_all(call, "unsubscribe", SCI_CHANNEL);
}

static void sci_command_punsubscribe(sci_call *call)
{
    sci_unsubscribe_all(call, "punsubscribe", SCI_PATTERN);
}

static void sci_command_sunsubscribe(sci_call *call)
{
    sci_unsubscribe_all(call, "sunsubscribe", SCI_SHARD_CHANNEL);
}

static void sci_command_publish(sci_call *call)
{
    sci_answer_i64(call,
                   (int64_t)sci_publish(call->server, SCI_CHANNEL, call->argv[1], call->argv[2]));
}

static void sci_command_spublish(sci_call *call)
{
    sci_answer_i64(
        call, (int64_t)sci_publish(call->server, SCI_SHARD_CHANNEL, call->argv[1], call->argv[2]));
}

/* --- PUBSUB */

typedef struct sci_channel_listing {
    sci_call *call;
    size_t count;
} sci_channel_listing;

static void sci_pubsub_list_one(void *user, sc_slice name)
{
    sci_channel_listing *listing = (sci_channel_listing *)user;
    if (listing->call->argc > 2 && !sci_glob_match(listing->call->argv[2], name, false))
        return;
    sci_answer_bulk(listing->call, name);
    listing->count++;
}

static void sci_pubsub_channels(sci_call *call, sci_channel_kind kind)
{
    sci_channel_listing listing = {call, 0};
    if (call->argc > 3) {
        sci_answer_wrong_subcommand(call);
        return;
    }
    size_t mark = sci_answer_array_begin(call);
    sci_channels_visit(call->server, kind, sci_pubsub_list_one, &listing);
    sci_answer_array_end(call, mark, listing.count);
}

static void sci_pubsub_numsub(sci_call *call, sci_channel_kind kind)
{
    sci_answer_array(call, 2 * (call->argc - 2));
    for (size_t i = 2; i < call->argc; i++) {
        sci_answer_bulk(call, call->argv[i]);
        sci_answer_i64(call, (int64_t)sci_channel_subscribers(call->server, kind, call->argv[i]));
    }
}

static void sci_pubsub_help(sci_call *call)
{
    static const char *const lines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        ("    Return the currently active shard level channels matching a <pattern> (default: "
         "'*')."),
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

static void sci_pubsub_numpat(sci_call *call)
{
    sci_answer_i64(call, (int64_t)call->server->channels[SCI_PATTERN].count);
}

static void sci_pubsub_all_channels(sci_call *call)
{
    sci_pubsub_channels(call, SCI_CHANNEL);
}

static void sci_pubsub_all_numsub(sci_call *call)
{
    sci_pubsub_numsub(call, SCI_CHANNEL);
}

static void sci_pubsub_shardchannels(sci_call *call)
{
    sci_pubsub_channels(call, SCI_SHARD_CHANNEL);
}

static void sci_pubsub_shardnumsub(sci_call *call)
{
    sci_pubsub_numsub(call, SCI_SHARD_CHANNEL);
}

SCI_PRIVATE sci_subcommand_list sci_pubsub_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"channels", sci_pubsub_all_channels, -2},
        {"help", sci_pubsub_help, 2},
        {"numpat", sci_pubsub_numpat, 2},
        {"numsub", sci_pubsub_all_numsub, -2},
        {"shardchannels", sci_pubsub_shardchannels, -2},
        {"shardnumsub", sci_pubsub_shardnumsub, -2},
    };
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

SCI_PRIVATE sci_command_list sci_pubsub_commands(void)
{
    static const sci_command commands[] = {
        {"subscribe", sci_command_subscribe, -2, SCI_CMD_SUBSCRIBES, 0, 0, 0},
        {"unsubscribe", sci_command_unsubscribe, -1, SCI_CMD_SUBSCRIBES, 0, 0, 0},
        {"psubscribe", sci_command_psubscribe, -2, SCI_CMD_SUBSCRIBES, 0, 0, 0},
        {"punsubscribe", sci_command_punsubscribe, -1, SCI_CMD_SUBSCRIBES, 0, 0, 0},
        {"ssubscribe", sci_command_ssubscribe, -2, SCI_CMD_SUBSCRIBES, 1, -1, 1},
        {"sunsubscribe", sci_command_sunsubscribe, -1, SCI_CMD_SUBSCRIBES, 1, -1, 1},
        {"publish", sci_command_publish, 3, SCI_CMD_PUBLISHES, 0, 0, 0},
        {"spublish", sci_command_spublish, 3, SCI_CMD_PUBLISHES, 1, 1, 1},
        {"pubsub", sci_subcommand_run, -2, SCI_CMD_LOADING | SCI_CMD_STALE | SCI_CMD_CONTAINER, 0,
         0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
