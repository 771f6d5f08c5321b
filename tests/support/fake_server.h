#pragma once
/* A server that follows a script: for each connection a list of steps. It runs in a thread of its
   own; every function below may be called from any thread. */

#include "endpoint.h"

typedef enum fake_action {
    FAKE_EXPECT = 1, /* wait for one command whose first word is `text` (NULL: any) */
    FAKE_EXACTLY,    /* wait for one command whose words, joined by blanks, are `text` */
    FAKE_REPLY,      /* `text`, `len` bytes, in pieces of `number` bytes (0: at once) */
    FAKE_DELAY,      /* `number` milliseconds */
    FAKE_GATE,       /* until the test opens the gate, once for each such step */
    FAKE_SILENCE,    /* nothing ever, not even receiving */
    FAKE_SERVE,      /* answer everything: PONG to PING, else OK */
    FAKE_CLOSE,
    FAKE_RESET,
    FAKE_REPEAT /* from step `number` of this script on */
} fake_action;

typedef struct fake_step {
    fake_action action;
    const char *text; /* borrowed; must outlive the server */
    size_t len;
    int64_t number;
} fake_step;

fake_step fake_expect(const char *first_word);
fake_step fake_exactly(const char *words);
fake_step fake_reply(const char *text);
fake_step fake_reply_bytes(const char *data, size_t len);
/* Each piece is a packet of its own. */
fake_step fake_reply_in_pieces(const char *text, size_t piece);
fake_step fake_delay(int64_t ms);
fake_step fake_gate(void);
fake_step fake_silence(void);
fake_step fake_serve(void);
fake_step fake_close(void);
fake_step fake_reset(void);
fake_step fake_repeat(int64_t step);

/* The steps of one connection. After the last one the connection is as after FAKE_SILENCE. While a
   step waits for a command, PING, AUTH, SELECT and CLIENT are answered aside, with +PONG and +OK,
   unless the step asks for them or `is_literal` is set. A wrong command is noted as a mismatch and
   closes. */
typedef struct fake_script {
    const fake_step *steps; /* copied */
    size_t count;
    bool is_literal;
} fake_script;

typedef struct fake_server fake_server;

/* Connection i follows script i, and all further ones the last. */
fake_server *fake_server_start(wire kind, const fake_script *scripts, size_t count);
/* Never accepts, and its queue of connections is full: dialling it hangs (TCP). */
fake_server *fake_server_start_deaf(wire kind);
/* Cuts what is connected and joins the thread. NULL is fine. */
void fake_server_stop(fake_server *server);

const char *fake_server_url(const fake_server *server);
/* Let `count` gates pass, now or when they are reached. */
void fake_server_open_gate(fake_server *server, size_t count);
/* Connections taken so far, and open now. */
size_t fake_server_connections(fake_server *server);
size_t fake_server_open_connections(fake_server *server);
/* Commands received, those that were answered aside included. */
size_t fake_server_commands(fake_server *server);
/* Those whose first word is `word`. */
size_t fake_server_commands_of(fake_server *server, const char *word);
/* Command `index` of all, its words joined by blanks; false when there is none. */
bool fake_server_command(fake_server *server, size_t index, char *text, size_t cap);
/* Wrong commands and bytes that are no command. */
size_t fake_server_mismatches(fake_server *server);
