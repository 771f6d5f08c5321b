/* What has not landed yet. Whoever brings a room takes its functions out of here; the file goes with
   the last. */

#include "server/evict.h"
#include "server/log.h"

SCI_PRIVATE void sci_evict_note_access(sc_server *server, sci_entry *entry)
{
    (void)server;
    (void)entry;
}
SCI_PRIVATE void sci_evict_note_new(sc_server *server, sci_entry *entry)
{
    (void)server;
    (void)entry;
}
SCI_PRIVATE bool sci_evict_make_room(sc_server *server)
{
    (void)server;
    return true;
}
SCI_PRIVATE int64_t sci_expire_slice(sc_server *server, int64_t budget_ns)
{
    (void)server;
    (void)budget_ns;
    return -1;
}

SCI_PRIVATE sc_status sci_log_open(sc_server *server, const sci_log_config *config, sci_log **log)
{
    (void)server;
    (void)config;
    (void)log;
    return sc_fail(SC_ERR_UNSUPPORTED, "no log yet");
}
SCI_PRIVATE void sci_log_abandon(sci_log *log)
{
    (void)log;
}
SCI_PRIVATE void sci_log_close(sci_log *log)
{
    (void)log;
}
SCI_PRIVATE sc_status sci_log_admit(sci_log *log, size_t bytes)
{
    (void)log;
    (void)bytes;
    return SC_OK;
}
SCI_PRIVATE void sci_log_append(sci_log *log, int db, const sc_slice *argv, size_t argc)
{
    (void)log;
    (void)db;
    (void)argv;
    (void)argc;
}
SCI_PRIVATE void sci_log_begin(sci_log *log)
{
    (void)log;
}
SCI_PRIVATE void sci_log_end(sci_log *log)
{
    (void)log;
}
SCI_PRIVATE sc_status sci_log_commit(sci_log *log)
{
    (void)log;
    return SC_OK;
}
SCI_PRIVATE void sci_log_before_change(sci_log *log, sci_db *db, sci_entry *entry)
{
    (void)log;
    (void)db;
    (void)entry;
}
SCI_PRIVATE void sci_log_entry_is_new(sci_log *log, sci_entry *entry)
{
    (void)log;
    (void)entry;
}
SCI_PRIVATE int64_t sci_log_tick(sci_log *log, int64_t now_ns)
{
    (void)log;
    (void)now_ns;
    return INT64_MAX;
}
SCI_PRIVATE uint64_t sci_log_bytes(const sci_log *log)
{
    (void)log;
    return 0;
}
SCI_PRIVATE int64_t sci_log_failed_ms(const sci_log *log, const char **text)
{
    (void)log;
    *text = "";
    return 0;
}
