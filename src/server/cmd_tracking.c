/* CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR. */

#include "server/session.h"
#include "server/tracking.h"

/* What CLIENT TRACKING asks for. Its prefixes stay in argv. */
typedef struct sci_tracking_options {
    bool is_broadcasting;
    bool opts_in;
    bool opts_out;
    bool no_loop;
    int64_t redirect;
    size_t prefixes;
} sci_tracking_options;

static bool sci_tracking_option_redirect(sci_call *call, size_t i, sci_tracking_options *options)
{
    if (options->redirect != 0) {
        sci_answer_error(call, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!sci_arg_i64(call, i, &options->redirect))
        return false;
    if (sci_session_find(call->server, (uint64_t)options->redirect))
        return true;
    sci_answer_error(call, "ERR The client ID you want redirect to does not exist");
    return false;
}

static bool *sci_tracking_option_flag(sci_tracking_options *options, sc_slice word)
{
    if (sci_word_is(word, "bcast"))
        return &options->is_broadcasting;
    if (sci_word_is(word, "optin"))
        return &options->opts_in;
    if (sci_word_is(word, "optout"))
        return &options->opts_out;
    return sci_word_is(word, "noloop") ? &options->no_loop : NULL;
}

/* argv[3] on; false after answering. */
static bool sci_tracking_options_read(sci_call *call, sci_tracking_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 3; i < call->argc; i++) {
        const bool has_value = i + 1 < call->argc;
        bool *flag = sci_tracking_option_flag(options, call->argv[i]);
        if (flag) {
            *flag = true;
        } else if (has_value && sci_word_is(call->argv[i], "redirect")) {
            if (!sci_tracking_option_redirect(call, ++i, options))
                return false;
        } else if (has_value && sci_word_is(call->argv[i], "prefix")) {
            options->prefixes++;
            i++;
        } else {
            sci_answer_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* The next PREFIX's word from `*i` on, which was checked before; false: there is none. */
static bool sci_tracking_option_prefix(const sci_call *call, size_t *i, sc_slice *prefix)
{
    for (; *i < call->argc; ++*i) {
        if (sci_word_is(call->argv[*i], "redirect")) {
            ++*i;
        } else if (sci_word_is(call->argv[*i], "prefix")) {
            *prefix = call->argv[*i + 1];
            *i += 2;
            return true;
        }
    }
    return false;
}

static bool sci_prefixes_overlap(sc_slice a, sc_slice b)
{
    const size_t len = sci_min_size(a.len, b.len);
    return len == 0 || memcmp(a.data, b.data, len) == 0;
}

static bool sci_tracking_refuse_prefix(sci_call *call, sc_slice prefix, const char *kind,
                                       sc_slice other)
{
    if (!sci_prefixes_overlap(prefix, other))
        return false;
    sci_answer_error(call,
                     "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single "
                     "client must not overlap.",
                     (int)prefix.len, prefix.data, kind, (int)other.len, other.data);
    return true;
}

/* False after answering. */
static bool sci_tracking_check_prefixes(sci_call *call)
{
    sc_slice prefix, other;
    for (size_t i = 3; sci_tracking_option_prefix(call, &i, &prefix);) {
        const sci_link *at = NULL;
        while (sci_tracking_next_prefix(call->session, &at, &other)) {
            if (sci_tracking_refuse_prefix(call, prefix, "an existing", other))
                return false;
        }
        for (size_t j = i; sci_tracking_option_prefix(call, &j, &other);) {
            if (sci_tracking_refuse_prefix(call, prefix, "another provided", other))
                return false;
        }
    }
    return true;
}

/* What is wrong with the options, or NULL. */
static const char *sci_tracking_find_fault(const sci_tracking *now,
                                           const sci_tracking_options *options)
{
    if (!options->is_broadcasting && options->prefixes > 0)
        return "ERR PREFIX option requires BCAST mode to be enabled";
    if (now->is_on && now->is_broadcasting != options->is_broadcasting)
        return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, "
               "and then re-enabling it with a different mode.";
    if (options->is_broadcasting && (options->opts_in || options->opts_out))
        return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    if (options->opts_in && options->opts_out)
        return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    if ((options->opts_in && now->opts_out) || (options->opts_out && now->opts_in))
        return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, "
               "and then re-enabling it with a different mode.";
    return NULL;
}

static sc_status sci_tracking_add_prefixes(sci_call *call, const sci_tracking_options *options)
{
    sc_slice prefix;
    sc_status status = SC_OK;
    if (options->prefixes == 0)
        return sci_tracking_add_prefix(call->session, sc_bytes(NULL, 0));
    for (size_t i = 3; status == SC_OK && sci_tracking_option_prefix(call, &i, &prefix);)
        status = sci_tracking_add_prefix(call->session, prefix);
    return status;
}

static void sci_tracking_turn_on(sci_call *call, const sci_tracking_options *options)
{
    sci_tracking *tracking = &call->session->tracking;
    const char *fault = sci_tracking_find_fault(tracking, options);
    if (fault) {
        sci_answer_error(call, "%s", fault);
        return;
    }
    if (options->is_broadcasting) {
        if (!sci_tracking_check_prefixes(call))
            return;
        if (sci_tracking_add_prefixes(call, options) != SC_OK) {
            sci_answer_no_memory(call);
            return;
        }
    }
    tracking->is_on = true;
    tracking->is_broadcasting = options->is_broadcasting;
    tracking->opts_in = options->opts_in;
    tracking->opts_out = options->opts_out;
    tracking->no_loop = options->no_loop;
    tracking->has_lost_redirect = false;
    tracking->redirect = (uint64_t)options->redirect;
    sci_answer_ok(call);
}

SCI_PRIVATE void sci_client_tracking(sci_call *call)
{
    sci_tracking_options options;
    if (!sci_tracking_options_read(call, &options))
        return;
    if (sci_word_is(call->argv[2], "on")) {
        sci_tracking_turn_on(call, &options);
    } else if (sci_word_is(call->argv[2], "off")) {
        sci_tracking *tracking = &call->session->tracking;
        const uint64_t redirect = tracking->redirect;
        sci_tracking_leave(call->session);
        tracking->redirect = redirect; /* who is told what this transaction has changed before */
        sci_answer_ok(call);
    } else {
        sci_answer_syntax_error(call);
    }
}

/* Is the word, in its mode, a wrong one? Then it is answered so. */
static bool sci_caching_refuse(sci_call *call, bool fits, const char *word, const char *mode)
{
    if (fits)
        return false;
    sci_answer_error(call,
                     "ERR CLIENT CACHING %s is only valid when tracking is enabled in %s mode.",
                     word, mode);
    return true;
}

SCI_PRIVATE void sci_client_caching(sci_call *call)
{
    sci_tracking *tracking = &call->session->tracking;
    const bool is_yes = sci_word_is(call->argv[2], "yes");
    if (!tracking->is_on) {
        sci_answer_error(call, "ERR CLIENT CACHING can be called only when the client is in "
                               "tracking mode with OPTIN or OPTOUT mode enabled");
    } else if (!is_yes && !sci_word_is(call->argv[2], "no")) {
        sci_answer_syntax_error(call);
    } else if (is_yes ? !sci_caching_refuse(call, tracking->opts_in, "YES", "OPTIN")
                      : !sci_caching_refuse(call, tracking->opts_out, "NO", "OPTOUT")) {
        tracking->is_chosen = true;
        sci_answer_ok(call);
    }
}

static void sci_trackinginfo_flags(sci_call *call, const sci_tracking *tracking)
{
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {
        {!tracking->is_on, "off"},
        {tracking->is_on, "on"},
        {tracking->is_broadcasting, "bcast"},
        {tracking->opts_in, "optin"},
        {tracking->opts_in && tracking->is_chosen, "caching-yes"},
        {tracking->opts_out, "optout"},
        {tracking->opts_out && tracking->is_chosen, "caching-no"},
        {tracking->no_loop, "noloop"},
        {tracking->has_lost_redirect, "broken_redirect"},
    };
    const size_t mark = sci_answer_array_begin(call);
    size_t count = 0;
    for (size_t i = 0; i < SCI_COUNT(flags); i++) {
        if (!flags[i].is_set)
            continue;
        sci_answer_text(call, flags[i].name);
        count++;
    }
    sci_answer_array_end(call, mark, count);
}

static int64_t sci_tracking_redirect(const sci_tracking *tracking)
{
    return tracking->is_on ? (int64_t)tracking->redirect : -1;
}

SCI_PRIVATE void sci_client_trackinginfo(sci_call *call)
{
    const sci_tracking *tracking = &call->session->tracking;
    const sci_link *at = NULL;
    sc_slice prefix;
    size_t count = 0;
    sci_answer_array(call, 6);
    sci_answer_text(call, "flags");
    sci_trackinginfo_flags(call, tracking);
    sci_answer_text(call, "redirect");
    sci_answer_i64(call, sci_tracking_redirect(tracking));
    sci_answer_text(call, "prefixes");
    const size_t mark = sci_answer_array_begin(call);
    for (; sci_tracking_next_prefix(call->session, &at, &prefix); count++)
        sci_answer_bulk(call, prefix);
    sci_answer_array_end(call, mark, count);
}

SCI_PRIVATE void sci_client_getredir(sci_call *call)
{
    sci_answer_i64(call, sci_tracking_redirect(&call->session->tracking));
}
