/* CLIENT: connections by name and number, their replies, and the end of them. Tracking is in
   cmd_tracking.c. */

#include "base/error.h"
#include "server/session_name.h"
#include "server/commands.h"
#include "server/pause.h"
#include "server/pubsub.h"
#include "server/session.h"
#include "server/subcommand.h"
#include "server/tracking.h"
#include "server/wait.h"

/* --- Names */

SCI_PRIVATE bool sci_client_name_check(sci_call *call, sc_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') {
            sci_answer_error(call, "ERR Client names cannot contain spaces, newlines or special "
                                   "characters.");
            return false;
        }
    }
    return true;
}

SCI_PRIVATE bool sci_client_name_set(sci_call *call, sc_slice name)
{
    const sc_memory *memory = &call->server->memory;
    char *copy = NULL;
    if (name.len > 0) {
        copy = sci_copy_text(memory, name);
        if (!copy) {
            sci_answer_no_memory(call);
            return false;
        }
    }
    sci_free_text(memory, call->session->name);
    call->session->name = copy;
    return true;
}

static void sci_client_setname(sci_call *call)
{
    if (sci_client_name_check(call, call->argv[2]) && sci_client_name_set(call, call->argv[2]))
        sci_answer_ok(call);
}

static void sci_client_getname(sci_call *call)
{
    if (call->session->name)
        sci_answer_text(call, call->session->name);
    else
        sci_answer_nil(call, SCI_NIL_BULK);
}

static void sci_client_id(sci_call *call)
{
    sci_answer_i64(call, (int64_t)call->session->id);
}

/* --- LIST, INFO */

static bool sci_client_is_listed(const sci_session *session)
{
    return !session->is_internal && !session->is_broken;
}

typedef enum sci_client_type {
    SCI_CLIENT_ANY,
    SCI_CLIENT_NORMAL,
    SCI_CLIENT_PUBSUB,
    SCI_CLIENT_REPLICATION /* there are none */
} sci_client_type;

/* False after answering that there is no such type. */
static bool sci_client_arg_type(sci_call *call, size_t i, sci_client_type *type)
{
    static const struct {
        const char *name;
        sci_client_type type;
    } types[] = {{"normal", SCI_CLIENT_NORMAL},
                 {"slave", SCI_CLIENT_REPLICATION},
                 {"replica", SCI_CLIENT_REPLICATION},
                 {"pubsub", SCI_CLIENT_PUBSUB},
                 {"master", SCI_CLIENT_REPLICATION}};
    sc_slice word = call->argv[i];
    for (size_t k = 0; k < SCI_COUNT(types); k++) {
        if (sci_word_is(word, types[k].name)) {
            *type = types[k].type;
            return true;
        }
    }
    sci_answer_error(call, "ERR Unknown client type '%.*s'", (int)word.len, word.data);
    return false;
}

static bool sci_client_has_type(const sci_session *session, sci_client_type type)
{
    sci_client_type own = sci_pubsub_is_subscribed(session) ? SCI_CLIENT_PUBSUB : SCI_CLIENT_NORMAL;
    return type == SCI_CLIENT_ANY || type == own;
}

#define SCI_CLIENT_FLAGS_BYTES 16

static void sci_client_flags(const sci_session *session, char flags[SCI_CLIENT_FLAGS_BYTES])
{
    const sci_tracking *tracking = &session->tracking;
    /* Its wait is over, and what it has received meanwhile was not executed yet. */
    const bool is_going_on = sci_link_is_in_list(&session->resume) && !sci_wait_is_on(session);
    const struct {
        bool is_set;
        char letter;
    } letters[] = {{sci_pubsub_is_subscribed(session), 'P'},
                   {session->transaction.is_open, 'x'},
                   {sci_wait_is_on(session), 'b'},
                   {tracking->is_on, 't'},
                   {tracking->is_on && tracking->has_lost_redirect, 'R'},
                   {tracking->is_on && tracking->is_broadcasting, 'B'},
                   {session->has_lost_watch, 'd'},
                   {session->is_ended, 'c'},
                   {is_going_on, 'u'},
                   {session->laddress[0] == '/', 'U'},
                   {session->no_evict, 'e'},
                   {session->no_touch, 'T'}};
    size_t count = 0;
    for (size_t i = 0; i < SCI_COUNT(letters); i++)
        if (letters[i].is_set)
            flags[count++] = letters[i].letter;
    if (count == 0)
        flags[count++] = 'N';
    flags[count] = '\0';
}

static size_t sci_client_memory(const sci_session *session)
{
    return sizeof *session + session->in.cap + session->out.cap + session->transaction.queued.cap +
           session->wait.command.cap + session->request.word_cap * sizeof(sc_slice);
}

/* Append a session's line, as CLIENT LIST has it. Where Redis counts what is not here (argv-mem,
   replies in a list) it is nothing. */
static sc_status sci_client_describe(const sci_session *session, sci_bytes *out)
{
    enum { MOST = 768 };
    char text[MOST], flags[SCI_CLIENT_FLAGS_BYTES], command[SCI_COMMAND_FULL_NAME_BYTES] = "NULL";
    int64_t now_ms = session->server->now_ms;
    size_t len =
        sci_format(text, sizeof text,
                   "id=%llu addr=%s laddr=%s fd=%lld name=", (unsigned long long)session->id,
                   session->address, session->laddress, (long long)session->descriptor);
    sc_status status = sci_bytes_append(out, sc_bytes(text, len));
    if (status == SC_OK && session->name)
        status = sci_bytes_append_text(out, session->name);
    if (status != SC_OK)
        return status;
    sci_client_flags(session, flags);
    if (session->last_command)
        sci_command_full_name(session->last_command, session->last_subcommand, command);
    len = sci_format(
        text, sizeof text,
        " age=%lld idle=%lld flags=%s db=%d sub=%zu psub=%zu ssub=%zu multi=%lld qbuf=%zu "
        "qbuf-free=%zu argv-mem=0 multi-mem=%zu rbs=%zu rbp=%zu obl=%zu oll=0 omem=0 tot-mem=%zu "
        "events=r cmd=%s user=default redir=%lld resp=2\n",
        (long long)(now_ms - session->created_ms) / 1000,
        (long long)(now_ms - session->active_ms) / 1000, flags, session->db->index,
        session->subscription_count[SCI_CHANNEL], session->subscription_count[SCI_PATTERN],
        session->subscription_count[SCI_SHARD_CHANNEL],
        session->transaction.is_open ? (long long)session->transaction.count : -1,
        sci_bytes_len(&session->in), session->in.cap - session->in.end,
        session->transaction.queued.cap, session->out.cap, session->out.cap,
        sci_bytes_len(&session->out), sci_client_memory(session), command,
        session->tracking.is_on ? (long long)session->tracking.redirect : -1);
    return sci_bytes_append(out, sc_bytes(text, len));
}

/* Those of a type. */
static sc_status sci_client_describe_all(const sc_server *server, sci_client_type type,
                                         sci_bytes *out)
{
    sc_status status = SC_OK;
    for (const sci_link *link = server->sessions.next; link != &server->sessions && status == SC_OK;
         link = link->next) {
        const sci_session *session = SCI_CONTAINER(link, sci_session, link);
        if (sci_client_is_listed(session) && sci_client_has_type(session, type))
            status = sci_client_describe(session, out);
    }
    return status;
}

/* Those whose ids are argv[3] and on; `*is_answered` when one is no number. */
static sc_status sci_client_describe_ids(sci_call *call, sci_bytes *out, bool *is_answered)
{
    sc_status status = SC_OK;
    for (size_t i = 3; i < call->argc && status == SC_OK; i++) {
        int64_t id;
        if (!sci_text_to_i64(call->argv[i], &id)) {
            sci_answer_error(call, "ERR Invalid client ID");
            *is_answered = true;
            return SC_OK;
        }
        const sci_session *session = sci_session_find(call->server, (uint64_t)id);
        if (session && sci_client_is_listed(session))
            status = sci_client_describe(session, out);
    }
    return status;
}

static void sci_client_list(sci_call *call)
{
    bool is_answered = false;
    sci_client_type type = SCI_CLIENT_ANY;
    bool has_type = call->argc == 4 && sci_word_is(call->argv[2], "type");
    bool has_ids = call->argc > 3 && sci_word_is(call->argv[2], "id");
    sc_status status;
    sci_bytes text;
    if (has_type && !sci_client_arg_type(call, 3, &type))
        return;
    if (!has_type && !has_ids && call->argc != 2) {
        sci_answer_syntax_error(call);
        return;
    }
    sci_bytes_init(&text, &call->server->memory);
    if (has_ids)
        status = sci_client_describe_ids(call, &text, &is_answered);
    else
        status = sci_client_describe_all(call->server, type, &text);
    if (status != SC_OK)
        sci_answer_no_memory(call);
    else if (!is_answered)
        sci_answer_bulk(call, sci_bytes_slice(&text));
    sci_bytes_free(&text);
}

static void sci_client_info(sci_call *call)
{
    sci_bytes text;
    sci_bytes_init(&text, &call->server->memory);
    if (sci_client_describe(call->session, &text) == SC_OK)
        sci_answer_bulk(call, sci_bytes_slice(&text));
    else
        sci_answer_no_memory(call);
    sci_bytes_free(&text);
}

/* --- KILL */

typedef struct sci_client_filter {
    int64_t id; /* 0: any */
    sci_client_type type;
    const sc_slice *address; /* NULL: any */
    const sc_slice *laddress;
    bool skips_me;
} sci_client_filter;

static bool sci_client_arg_id(sci_call *call, size_t i, int64_t *id)
{
    if (sci_text_to_i64(call->argv[i], id) && *id >= 1)
        return true;
    sci_answer_error(call, "ERR client-id should be greater than 0");
    return false;
}

static bool sci_client_arg_user(sci_call *call, size_t i)
{
    sc_slice user = call->argv[i];
    if (sci_slice_equal(user, sc_text("default")))
        return true;
    sci_answer_error(call, "ERR No such user '%.*s'", (int)user.len, user.data);
    return false;
}

/* The filter at argv[i], with its value. False after answering what is wrong. */
static bool sci_client_filter_option(sci_call *call, size_t i, sci_client_filter *filter)
{
    sc_slice word = call->argv[i];
    const sc_slice *value = &call->argv[i + 1];
    if (i + 1 == call->argc) {
        sci_answer_syntax_error(call);
        return false;
    }
    if (sci_word_is(word, "id"))
        return sci_client_arg_id(call, i + 1, &filter->id);
    if (sci_word_is(word, "type"))
        return sci_client_arg_type(call, i + 1, &filter->type);
    if (sci_word_is(word, "user"))
        return sci_client_arg_user(call, i + 1);
    bool is_known = true;
    if (sci_word_is(word, "addr"))
        filter->address = value;
    else if (sci_word_is(word, "laddr"))
        filter->laddress = value;
    else if (sci_word_is(word, "skipme") &&
             (sci_word_is(*value, "yes") || sci_word_is(*value, "no")))
        filter->skips_me = sci_word_is(*value, "yes");
    else
        is_known = false;
    if (!is_known)
        sci_answer_syntax_error(call);
    return is_known;
}

static bool sci_client_filter_parse(sci_call *call, sci_client_filter *filter)
{
    memset(filter, 0, sizeof *filter);
    if (call->argc == 3) {
        filter->address = &call->argv[2];
        return true;
    }
    filter->skips_me = true;
    for (size_t i = 2; i < call->argc; i += 2)
        if (!sci_client_filter_option(call, i, filter))
            return false;
    return true;
}

static bool sci_client_matches(const sci_session *session, const sci_client_filter *filter)
{
    return sci_client_is_listed(session) && sci_client_has_type(session, filter->type) &&
           (filter->id == 0 || session->id == (uint64_t)filter->id) &&
           (!filter->address || sci_slice_equal(sc_text(session->address), *filter->address)) &&
           (!filter->laddress || sci_slice_equal(sc_text(session->laddress), *filter->laddress));
}

static void sci_client_kill(sci_call *call)
{
    sci_client_filter filter;
    sci_session *own = call->session;
    bool ends_own = false;
    int64_t count = 0;
    if (!sci_client_filter_parse(call, &filter))
        return;
    for (sci_link *link = call->server->sessions.next; link != &call->server->sessions;
         link = link->next) {
        sci_session *session = SCI_CONTAINER(link, sci_session, link);
        if (!sci_client_matches(session, &filter) || (session == own && filter.skips_me))
            continue;
        count++;
        if (session == own)
            ends_own = true;
        else
            sci_session_kill(session);
    }
    if (call->argc > 3)
        sci_answer_i64(call, count);
    else if (count > 0)
        sci_answer_ok(call);
    else
        sci_answer_error(call, "ERR No such client");
    if (ends_own)
        sci_session_end(own); /* when this answer has been sent */
}

/* --- Switches */

/* argv[2], ON or OFF. False after answering that it is neither. */
static bool sci_client_arg_switch(sci_call *call, bool *is_on)
{
    *is_on = sci_word_is(call->argv[2], "on");
    if (*is_on || sci_word_is(call->argv[2], "off"))
        return true;
    sci_answer_syntax_error(call);
    return false;
}

static void sci_client_no_evict(sci_call *call)
{
    bool is_on;
    if (!sci_client_arg_switch(call, &is_on))
        return;
    call->session->no_evict = is_on;
    sci_answer_ok(call);
}

static void sci_client_no_touch(sci_call *call)
{
    bool is_on;
    if (!sci_client_arg_switch(call, &is_on))
        return;
    call->session->no_touch = is_on;
    sci_answer_ok(call);
}

static void sci_client_reply(sci_call *call)
{
    sci_session *session = call->session;
    if (sci_word_is(call->argv[2], "on")) {
        sci_session_unmute(session);
        call->out = &session->out;
        sci_answer_ok(call);
    } else if (sci_word_is(call->argv[2], "off")) {
        session->is_muted = true;
    } else if (sci_word_is(call->argv[2], "skip")) {
        session->skips_next = !session->is_muted;
    } else {
        sci_answer_syntax_error(call);
    }
}

/* --- UNBLOCK, PAUSE */

static void sci_client_unblock(sci_call *call)
{
    int64_t id;
    bool is_error = call->argc == 4 && sci_word_is(call->argv[3], "error");
    if (call->argc > 4) {
        sci_answer_wrong_subcommand(call);
        return;
    }
    if (call->argc == 4 && !is_error && !sci_word_is(call->argv[3], "timeout")) {
        sci_answer_error(call, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!sci_arg_i64(call, 2, &id))
        return;
    sci_session *session = sci_session_find(call->server, (uint64_t)id);
    bool is_waiting = session && sci_wait_is_on(session) && !sci_pause_holds(session);
    if (is_waiting)
        sci_wait_end(session, is_error ? "UNBLOCKED client unblocked via CLIENT UNBLOCK" : NULL);
    sci_answer_i64(call, is_waiting);
}

static void sci_client_pause(sci_call *call)
{
    int64_t duration_ms;
    bool stops_writes = call->argc == 4 && sci_word_is(call->argv[3], "write");
    if (call->argc > 4)
        sci_answer_wrong_subcommand(call);
    else if (call->argc == 4 && !stops_writes && !sci_word_is(call->argv[3], "all"))
        sci_answer_error(call, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    else if (!sci_text_to_i64(call->argv[2], &duration_ms))
        sci_answer_error(call, "ERR timeout is not an integer or out of range");
    else if (duration_ms < 0)
        sci_answer_error(call, "ERR timeout is negative");
    else {
        sci_pause_begin(call->server, duration_ms, !stops_writes);
        sci_answer_ok(call);
    }
}

static void sci_client_unpause(sci_call *call)
{
    sci_pause_end(call->server);
    sci_answer_ok(call);
}

static void sci_client_help(sci_call *call)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_client_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"caching", sci_client_caching, 3},
        {"getname", sci_client_getname, 2},
        {"getredir", sci_client_getredir, 2},
        {"help", sci_client_help, 2},
        {"id", sci_client_id, 2},
        {"info", sci_client_info, 2},
        {"kill", sci_client_kill, -3},
        {"list", sci_client_list, -2},
        {"no-evict", sci_client_no_evict, 3},
        {"no-touch", sci_client_no_touch, 3},
        {"pause", sci_client_pause, -3},
        {"reply", sci_client_reply, 3},
        {"setname", sci_client_setname, 3},
        {"tracking", sci_client_tracking, -3},
        {"trackinginfo", sci_client_trackinginfo, 2},
        {"unblock", sci_client_unblock, -3},
        {"unpause", sci_client_unpause, 2},
    };
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}
