/* Commands of a connection: who is there, which database, goodbye. */

#include "server/session_name.h"
#include "server/commands.h"
#include "server/pubsub.h"
#include "server/session.h"
#include "server/subcommand.h"
#include "server/tracking.h"
#include "server/transaction.h"

#define SCI_CMD_GREETS                                                                             \
    (SCI_CMD_NOSCRIPT | SCI_CMD_LOADING | SCI_CMD_STALE | SCI_CMD_FAST | SCI_CMD_NO_AUTH)

#define SCI_CMD_LEAVES (SCI_CMD_PUBSUB | SCI_CMD_UNQUEUED)
#define SCI_CMD_SELECTS (SCI_CMD_LOADING | SCI_CMD_STALE | SCI_CMD_FAST | SCI_CMD_REPLAYED)

/* --- AUTH, HELLO */

/* There is one user, "default". Takes as long for any password of a length. */
static bool sci_auth_is_right(const sc_server *server, sc_slice user, sc_slice password)
{
    unsigned difference = 0;
    if (!sci_slice_equal(user, sc_text("default")))
        return false;
    if (!server->password)
        return true;
    size_t len = strlen(server->password);
    if (password.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        difference |=
            (unsigned)((unsigned char)password.data[i] ^ (unsigned char)server->password[i]);
    return difference == 0;
}

/* False after answering that it is wrong. */
static bool sci_auth_try(sci_call *call, sc_slice user, sc_slice password)
{
    if (sci_auth_is_right(call->server, user, password)) {
        call->session->is_authenticated = true;
        return true;
    }
    sci_answer_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

static void sci_command_auth(sci_call *call)
{
    bool has_user = call->argc == 3;
    if (call->argc > 3) {
        sci_answer_syntax_error(call);
    } else if (!has_user && !call->server->password) {
        sci_answer_error(call, "ERR AUTH <password> called without any password configured for the "
                               "default user. Are you sure your configuration is correct?");
    } else if (sci_auth_try(call, has_user ? call->argv[1] : sc_text("default"),
                            call->argv[call->argc - 1])) {
        sci_answer_ok(call);
    }
}

/* Each option takes effect as it is read, also before one that is wrong. False after answering what
   is. */
static bool sci_hello_options(sci_call *call)
{
    const sc_slice *argv = call->argv;
    for (size_t i = 2; i < call->argc; i++) {
        sc_slice word = argv[i];
        size_t more = call->argc - 1 - i;
        if (sci_word_is(word, "auth") && more >= 2) {
            if (!sci_auth_try(call, argv[i + 1], argv[i + 2]))
                return false;
            i += 2;
        } else if (sci_word_is(word, "setname") && more >= 1) {
            i++;
            if (!sci_client_name_check(call, argv[i]) || !sci_client_name_set(call, argv[i]))
                return false;
        } else {
            sci_answer_error(call, "ERR Syntax error in HELLO option '%.*s'", (int)word.len,
                             word.data);
            return false;
        }
    }
    return true;
}

static bool sci_hello_version(sci_call *call)
{
    int64_t version = 2;
    if (call->argc > 1 && !sci_text_to_i64(call->argv[1], &version)) {
        sci_answer_error(call, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (version == 2)
        return true;
    sci_answer_error(call, "NOPROTO unsupported protocol version");
    return false;
}

static void sci_command_hello(sci_call *call)
{
    const sci_session *session = call->session;
    if (!sci_hello_version(call) || !sci_hello_options(call))
        return;
    if (!session->is_authenticated) {
        sci_answer_error(call, "NOAUTH HELLO must be called with the client already authenticated, "
                               "otherwise the HELLO AUTH <user> <pass> option can be used to "
                               "authenticate the client and select the RESP protocol version at "
                               "the same time");
        return;
    }
    sci_answer_array(call, 14);
    sci_answer_text(call, "server");
    sci_answer_text(call, "redis");
    sci_answer_text(call, "version");
    sci_answer_text(call, SCI_SERVER_REDIS_VERSION);
    sci_answer_text(call, "proto");
    sci_answer_i64(call, 2);
    sci_answer_text(call, "id");
    sci_answer_i64(call, (int64_t)session->id);
    sci_answer_text(call, "mode");
    sci_answer_text(call, "standalone");
    sci_answer_text(call, "role");
    sci_answer_text(call, "master");
    sci_answer_text(call, "modules");
    sci_answer_array(call, 0);
}

/* --- SELECT, PING, ECHO, QUIT, RESET */

static void sci_command_select(sci_call *call)
{
    int64_t index;
    if (!sci_arg_i64(call, 1, &index))
        return;
    if (index < INT32_MIN || index > INT32_MAX) {
        sci_answer_error(call, "ERR value is out of range, value must between -2147483648 and "
                               "2147483647");
        return;
    }
    if (index < 0 || index >= call->server->db_count) {
        sci_answer_error(call, "ERR DB index is out of range");
        return;
    }
    call->db = &call->server->dbs[index];
    if (call->session)
        call->session->db = call->db;
    sci_answer_ok(call);
}

static void sci_command_ping(sci_call *call)
{
    sc_slice word = call->argc > 1 ? call->argv[1] : sc_text("");
    if (call->argc > 2) {
        sci_answer_wrong_arity(call);
    } else if (call->session && sci_pubsub_is_subscribed(call->session)) {
        sci_answer_array(call, 2);
        sci_answer_text(call, "pong");
        sci_answer_bulk(call, word);
    } else if (call->argc > 1) {
        sci_answer_bulk(call, word);
    } else {
        sci_answer_simple(call, "PONG");
    }
}

static void sci_command_echo(sci_call *call)
{
    sci_answer_bulk(call, call->argv[1]);
}

static void sci_command_quit(sci_call *call)
{
    sci_answer_ok(call);
    sci_session_end(call->session);
}

static void sci_command_reset(sci_call *call)
{
    sci_session *session = call->session;
    sci_tracking_leave(session);
    sci_transaction_discard(session);
    sci_pubsub_leave(session);
    sci_free_text(&call->server->memory, session->name);
    session->name = NULL;
    session->db = call->db = &call->server->dbs[0];
    session->is_authenticated = session->is_trusted || !call->server->password;
    session->no_touch = false;
    sci_session_unmute(session);
    call->out = &session->out;
    sci_answer_simple(call, "RESET");
}

/* --- ACL: what there is to say of the only user */

/* Commands are not listed by category. */
static void sci_acl_refuse_category(sci_call *call, const char *const *categories, size_t count)
{
    enum { QUOTED_BYTES = 128 };
    const sc_slice word = call->argv[2];
    bool is_known = call->argc > 3;
    for (size_t i = 0; i < count; i++)
        is_known |= sci_word_is(word, categories[i]);
    if (is_known)
        sci_answer_wrong_subcommand(call);
    else
        sci_answer_error(call, "ERR Unknown category '%.*s'",
                         (int)sci_min_size(word.len, QUOTED_BYTES), word.data);
}

static void sci_acl_cat(sci_call *call)
{
    static const char *const categories[] = {
        "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
        "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
        "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting"};
    if (call->argc > 2) {
        sci_acl_refuse_category(call, categories, SCI_COUNT(categories));
        return;
    }
    sci_answer_array(call, SCI_COUNT(categories));
    for (size_t i = 0; i < SCI_COUNT(categories); i++)
        sci_answer_text(call, categories[i]);
}

static void sci_acl_whoami(sci_call *call)
{
    sci_answer_text(call, "default");
}

static void sci_acl_users(sci_call *call)
{
    sci_answer_array(call, 1);
    sci_answer_text(call, "default");
}

/* Redis shows the SHA-256 of a password: here it stays unsaid. */
static void sci_acl_list(sci_call *call)
{
    sci_answer_array(call, 1);
    sci_answer_text(call, call->server->password ? "user default on ~* &* +@all"
                                                 : "user default on nopass ~* &* +@all");
}

static void sci_acl_getuser(sci_call *call)
{
    bool has_password = call->server->password != NULL;
    if (!sci_slice_equal(call->argv[2], sc_text("default"))) {
        sci_answer_nil(call, SCI_NIL_BULK);
        return;
    }
    sci_answer_array(call, 12);
    sci_answer_text(call, "flags");
    sci_answer_array(call, has_password ? 1 : 2);
    sci_answer_text(call, "on");
    if (!has_password)
        sci_answer_text(call, "nopass");
    sci_answer_text(call, "passwords");
    sci_answer_array(call, 0);
    sci_answer_text(call, "commands");
    sci_answer_text(call, "+@all");
    sci_answer_text(call, "keys");
    sci_answer_text(call, "~*");
    sci_answer_text(call, "channels");
    sci_answer_text(call, "&*");
    sci_answer_text(call, "selectors");
    sci_answer_array(call, 0);
}

static void sci_acl_help(sci_call *call)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "GETUSER <username>",
        "    Get the user's details.",
        "LIST",
        "    Show users details in config file format.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
    };
    sci_answer_help(call, lines, SCI_COUNT(lines));
}

SCI_PRIVATE sci_subcommand_list sci_acl_subcommands(void)
{
    static const sci_subcommand subcommands[] = {
        {"cat", sci_acl_cat, -2},  {"getuser", sci_acl_getuser, 3}, {"help", sci_acl_help, 2},
        {"list", sci_acl_list, 2}, {"users", sci_acl_users, 2},     {"whoami", sci_acl_whoami, 2},
    };
    sci_subcommand_list list = {subcommands, SCI_COUNT(subcommands)};
    return list;
}

SCI_PRIVATE sci_command_list sci_connection_commands(void)
{
    static const sci_command commands[] = {
        {"acl", sci_subcommand_run, -2, SCI_CMD_CONTAINER, 0, 0, 0},
        {"auth", sci_command_auth, -2, SCI_CMD_GREETS, 0, 0, 0},
        {"client", sci_subcommand_run, -2, SCI_CMD_CONTAINER, 0, 0, 0},
        {"echo", sci_command_echo, 2, SCI_CMD_SELECTS, 0, 0, 0},
        {"hello", sci_command_hello, -1, SCI_CMD_GREETS, 0, 0, 0},
        {"ping", sci_command_ping, -1, SCI_CMD_FAST | SCI_CMD_PUBSUB, 0, 0, 0},
        {"quit", sci_command_quit, -1, SCI_CMD_GREETS | SCI_CMD_LEAVES, 0, 0, 0},
        {"reset", sci_command_reset, 1, SCI_CMD_GREETS | SCI_CMD_LEAVES, 0, 0, 0},
        {"select", sci_command_select, 2, SCI_CMD_SELECTS, 0, 0, 0},
    };
    sci_command_list list = {commands, SCI_COUNT(commands)};
    return list;
}
