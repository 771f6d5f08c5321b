#pragma once
/* What a command's function sees: its words, the database, and the ways to answer, to tell of
   changes, and to wait.

   A command's function answers exactly once (one reply, or an array's header and its elements). It
   checks everything, then changes, then answers. When there is no memory it leaves the data as it
   was and answers by sci_answer_no_memory. */

#include "api/server.h"
#include "base/bytes.h"
#include "base/extended.h"
#include "base/number.h"
#include "server/keyspace.h"

typedef struct sci_session sci_session;
typedef struct sci_call sci_call;
typedef struct sci_subcommand sci_subcommand;

/* Flags of commands. */
#define SCI_CMD_WRITE 1u     /* may change data: logged, refused when the log cannot be written */
#define SCI_CMD_READONLY 2u  /* reads data */
#define SCI_CMD_DENYOOM 4u   /* refused when memory is full and nothing can be evicted */
#define SCI_CMD_PUBSUB 8u    /* allowed while subscribed */
#define SCI_CMD_NO_MULTI 16u /* refused inside MULTI */
#define SCI_CMD_NO_AUTH 32u  /* allowed before AUTH */
#define SCI_CMD_FAST 64u
#define SCI_CMD_BLOCKING 128u
#define SCI_CMD_ADMIN 256u
#define SCI_CMD_UNQUEUED 512u /* executed at once inside MULTI */
#define SCI_CMD_NOSCRIPT 1024u
#define SCI_CMD_LOADING 2048u
#define SCI_CMD_STALE 4096u
#define SCI_CMD_EXEC 8192u       /* runs what was queued, and is what those are */
#define SCI_CMD_CONTAINER 16384u /* its second word names a command */
#define SCI_CMD_SPREADS 32768u   /* changes no data, but others hear of it: PUBLISH */
#define SCI_CMD_REPLAYED 65536u  /* a log may have it, though it changes no data */

typedef struct sci_command {
    const char *name; /* lower case */
    void (*run)(sci_call *call);
    int arity; /* words, the name included; negative: at least so many */
    unsigned flags;
    int first_key, last_key, key_step; /* as COMMAND tells them; 0: none, or not by position */
} sci_command;

/* One array for each cmd_*.c file. */
typedef struct sci_command_list {
    const sci_command *at;
    size_t count;
} sci_command_list;

struct sci_call {
    sc_server *server;
    sci_session *session; /* NULL while the log is loaded */
    sci_db *db;
    const sci_command *command;
    const sci_subcommand *subcommand; /* of a container; NULL: none of that name */
    const sc_slice *argv; /* valid during the call; argv[0] is the name as it was written */
    size_t argc;
    sci_bytes *out;         /* answers go here, by sci_answer_* */
    int64_t now_ms;         /* wall clock, the same for all of a transaction */
    size_t changes;         /* keys changed so far */
    bool is_in_transaction; /* EXEC or a script is running: nothing may wait */
    bool is_loading;        /* from the log: nothing expires, nothing is logged */
    bool is_retried;        /* runs again because a key that it waited for is ready */
    sc_slice ready_key;   /* which; the other keys that it waits for, and keys of a type that is not
                               asked for, then count as absent in sci_typed_for_* */
    bool is_blocked;      /* set by sci_wait_for_keys */
    bool is_log_replaced; /* by sci_log_instead, perhaps with nothing */
};

/* --- Words */

/* The same word, whatever the case; `lower` is in lower case. */
SCI_PRIVATE bool sci_word_is(sc_slice word, const char *lower);
/* argv[i] as a number. False after answering "ERR value is not an integer or out of range" or "ERR
   value is not a valid float". */
SCI_PRIVATE bool sci_arg_i64(sci_call *call, size_t i, int64_t *number);
/* The same, and not below `least` nor above `most`: "ERR value is out of range, value must between
   -2147483648 and 2147483647". */
SCI_PRIVATE bool sci_arg_i64_between(sci_call *call, size_t i, int64_t least, int64_t most,
                                     int64_t *number);
SCI_PRIVATE bool sci_arg_double(sci_call *call, size_t i, double *number);
/* Redis's rules for numbers: those of C's strtod, hexadecimal and "Infinity" too, but no blanks, no
   NaN, nothing too large or too small (sci_text_to_double_as_c tells these apart). */
SCI_PRIVATE bool sci_word_to_double(sc_slice word, double *number);
/* argv[i] as INCRBYFLOAT and HINCRBYFLOAT take it; false after answering "ERR value is not a valid
   float". sci_text_to_extended reads what is stored, sci_extended_add adds (a result may be
   infinite or NaN), sci_extended_to_text prints as they do. */
SCI_PRIVATE bool sci_arg_extended(sci_call *call, size_t i, sci_extended *number);

/* --- Keys */

/* The entry for reading or changing, NULL when there is none. One that has expired is deleted
   first. Notes the access for eviction; reading counts hits and misses. An entry that is to be
   changed, moved or deleted must come from sci_entry_for_write (the log's rewriting keeps its old
   state). */
SCI_PRIVATE sci_entry *sci_entry_for_read(sci_call *call, sc_slice key);
SCI_PRIVATE sci_entry *sci_entry_for_write(sci_call *call, sc_slice key);
/* The same, and it must be of `type`: false after answering WRONGTYPE. `*entry` NULL: no key. */
SCI_PRIVATE bool sci_typed_for_read(sci_call *call, sc_slice key, sci_type type, sci_entry **entry);
SCI_PRIVATE bool sci_typed_for_write(sci_call *call, sc_slice key, sci_type type,
                                     sci_entry **entry);
/* A new entry; tells that a key is new ("new" event, waiting sessions). NULL: no memory. */
SCI_PRIVATE sci_entry *sci_entry_add(sci_call *call, sc_slice key, sci_type type, void *object);
/* Tells the same of an entry that was made otherwise (by sci_db_set_string, sci_db_rename ...). */
SCI_PRIVATE void sci_entry_is_new(sci_call *call, sci_entry *entry);
/* Delete an entry from sci_entry_for_write; tells nobody. */
SCI_PRIVATE void sci_entry_delete(sci_call *call, sci_entry *entry);

/* --- Telling */

/* Classes of events, as in notify-keyspace-events. */
#define SCI_EVENT_KEYSPACE 1u
#define SCI_EVENT_KEYEVENT 2u
#define SCI_EVENT_GENERIC 4u   /* g */
#define SCI_EVENT_STRING 8u    /* $ */
#define SCI_EVENT_LIST 16u     /* l */
#define SCI_EVENT_SET 32u      /* s */
#define SCI_EVENT_HASH 64u     /* h */
#define SCI_EVENT_ZSET 128u    /* z */
#define SCI_EVENT_EXPIRED 256u /* x */
#define SCI_EVENT_EVICTED 512u /* e */
#define SCI_EVENT_STREAM 1024u /* t */
#define SCI_EVENT_MISS 2048u   /* m */
#define SCI_EVENT_MODULE 4096u /* d */
#define SCI_EVENT_NEW 8192u    /* n */

/* The value under `key` has changed (or is gone): WATCH, tracking, the log. Once for each changed
   key and command; without it a write command is not logged. */
SCI_PRIVATE void sci_key_changed(sci_call *call, sc_slice key);
/* Publish a keyspace event, if anybody asked for its class: `event` such as "lpush". */
SCI_PRIVATE void sci_notify(sci_call *call, unsigned event_class, const char *event, sc_slice key);
/* Both. */
SCI_PRIVATE void sci_changed(sci_call *call, sc_slice key, unsigned event_class, const char *event);
/* Sessions that wait for `key` may be served: a list, sorted set or stream there has got elements.
   They are, after this command. */
SCI_PRIVATE void sci_key_ready(sci_call *call, sc_slice key);
/* What the log gets instead of the command as it came, for commands whose effect depends on time,
   chance or who waits. Several calls: all of them, in order. */
SCI_PRIVATE void sci_log_instead(sci_call *call, const sc_slice *argv, size_t argc);

/* --- Waiting */

typedef enum sci_nil {
    SCI_NIL_BULK,
    SCI_NIL_ARRAY,
    SCI_NIL_OK /* not nil, but +OK */
} sci_nil;

/* argv[i] as the time-out of a blocking command, in seconds with a fraction, 0 for ever. False
   after answering why not. */
SCI_PRIVATE bool sci_arg_timeout(sci_call *call, size_t i, int64_t *timeout_ms);
/* Nothing is there: wait for any of `keys`, up to `timeout_ms` (0: for ever), and then run
   `argv` (this command; copied) again with is_retried. When time is up, or at once where nothing
   may wait, the answer is `nil`. The last thing that a command's function does. */
SCI_PRIVATE void sci_wait_for_keys(sci_call *call, const sc_slice *keys, size_t count,
                                   int64_t timeout_ms, sci_nil nil, const sc_slice *argv,
                                   size_t argc);

/* --- Chance */

SCI_PRIVATE uint64_t sci_random_u64(sc_server *server);
/* Below `bound`, which is above 0. */
SCI_PRIVATE size_t sci_random_below(sc_server *server, size_t bound);

/* --- Answers. Without memory for one the session ends, since a reply cannot be left out. */

SCI_PRIVATE void sci_answer_ok(sci_call *call);
SCI_PRIVATE void sci_answer_simple(sci_call *call, const char *text);
SCI_PRIVATE void sci_answer_i64(sci_call *call, int64_t number);
SCI_PRIVATE void sci_answer_bulk(sci_call *call, sc_slice bytes);
SCI_PRIVATE void sci_answer_text(sci_call *call, const char *text);   /* as a bulk */
SCI_PRIVATE void sci_answer_i64_bulk(sci_call *call, int64_t number); /* the digits, as a bulk */
/* A bulk with the number as Redis 7.0 prints scores: "%.17g". */
SCI_PRIVATE void sci_answer_double(sci_call *call, double number);
SCI_PRIVATE void sci_answer_nil(sci_call *call, sci_nil nil);
SCI_PRIVATE void sci_answer_array(sci_call *call, size_t count); /* the elements follow */
/* An array whose count is known after its elements: begin returns a mark. */
SCI_PRIVATE size_t sci_answer_array_begin(sci_call *call);
SCI_PRIVATE void sci_answer_array_end(sci_call *call, size_t mark, size_t count);
/* `text` with its code: "ERR no such key". The format is sc_fail's; line ends become blanks. */
SCI_PRIVATE void sci_answer_error(sci_call *call, const char *format, ...) SC_PRINTF(2, 3);
SCI_PRIVATE void sci_answer_wrong_type(sci_call *call);
SCI_PRIVATE void sci_answer_syntax_error(sci_call *call);
SCI_PRIVATE void sci_answer_wrong_arity(sci_call *call);
SCI_PRIVATE void sci_answer_no_memory(sci_call *call);
/* Of a container, as "CLIENT foo": Redis's words for an unknown one, and for one with more words than
   it takes. */
SCI_PRIVATE void sci_answer_unknown_subcommand(sci_call *call);
SCI_PRIVATE void sci_answer_wrong_subcommand(sci_call *call);
/* These lines, and those about HELP itself. */
SCI_PRIVATE void sci_answer_help(sci_call *call, const char *const *lines, size_t count);

/* What sci_answer_double prints; returns the length. */
#define SCI_SCORE_TEXT_BYTES 40
SCI_PRIVATE size_t sci_score_to_text(double number, char text[SCI_SCORE_TEXT_BYTES]);
/* Glob matching as Redis does it: * ? [a-z] [^a] and backslash. The time is at most that of
   pattern.len * text.len comparisons, without recursion. */
SCI_PRIVATE bool sci_glob_match(sc_slice pattern, sc_slice text, bool ignores_case);

/* --- For the log */

/* Execute a command that the log brings, in database `db`. SC_ERR_PROTOCOL with words when it is
   unknown or answers an error. Locked. */
SCI_PRIVATE sc_status sci_command_replay(sc_server *server, int *db, const sc_slice *argv,
                                         size_t argc);
