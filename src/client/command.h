#pragma once
/* Ops for commands: what the public calls, pipelines and scripts are made of. */

#include "client/client.h"

/* Refuse what would change how a shared connection is understood. */
SCI_PRIVATE sc_status sci_command_check(const sc_slice *argv, size_t argc);

/* An op whose bytes are made elsewhere, on the shared or a dedicated connection, as `options` say.
   Takes over `op->reply`: on SC_OK it is handed to `*reply`, else released. Not locked. */
SCI_PRIVATE sc_status sci_command_run(sc_client *client, sci_op *op, const sc_call_options *options,
                                      sc_reply **reply);
/* SC_ERR_REPLY with the server's words when the one item is an error; then the reply is released.
 */
SCI_PRIVATE sc_status sci_reply_check(sc_reply **reply);

/* An asynchronous call. Freed after its callback. */
typedef struct sci_async {
    sci_op op;
    sci_post post;
    sc_client *client;
    sci_bytes bytes;      /* the commands, when they outlive the starting call */
    sc_on_reply on_reply; /* NULL: nobody wants to know */
    void *user;
    sc_status status;
    bool is_dedicated;
    bool is_many; /* an error item is the caller's to look at, not the call's */
    /* Optional, unlocked, before the callback: turn the reply into what the caller sees. */
    sc_status (*finish)(sc_reply *reply);
} sci_async;

/* NULL when there is no memory. */
SCI_PRIVATE sci_async *sci_async_create(sc_client *client, const sc_call_options *options,
                                        sc_on_reply on_reply, void *user);
SCI_PRIVATE void sci_async_free(sci_async *async);
/* Enter, submit on `conn` (NULL: by the options), leave. An error means that the callback will not
   be called, and frees `async`. */
SCI_PRIVATE sc_status sci_async_start(sci_async *async, sci_conn *conn);
/* `complete` of an async's op. */
SCI_PRIVATE void sci_async_complete(sci_op *op);
/* `encode` of an async whose `bytes` are the commands. */
SCI_PRIVATE sc_status sci_async_encode(sci_op *op, sci_bytes *out);
