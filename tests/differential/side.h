#pragma once
/* A side: one server, and the same connections as to the other. */

#include "reply.h"

#include "endpoint.h"

#include <sys/types.h>

/* Connections, by number. */
#define LINE_NORMAL_COUNT 6 /* 0 to 5: any command but SUBSCRIBE and its like */
#define LINE_RAW 6          /* bytes as they are */
#define LINE_SUBSCRIBER 7   /* 7 and 8: what a subscriber may send */
#define LINE_SUBSCRIBER_END 9
#define LINE_LISTENER 9 /* gets the keyspace notifications */
#define LINE_CONTROL 10 /* the tester's own */
#define LINE_COUNT 11

typedef struct line_end {
    int descriptor; /* -1: not connected */
    bool has_ended; /* the server has closed it */
    char *in;       /* owned: received, from `in_at` on not taken yet */
    size_t in_at;
    size_t in_len;
    size_t in_cap;
    size_t whole; /* length of the reply at in_at, 0: not known to be whole */
    char *out;    /* owned: to be sent */
    size_t out_len;
    size_t out_cap;
    int64_t id; /* CLIENT ID; 0: the server gives none */
} line_end;

typedef struct side {
    const char *name;
    endpoint where;
    const char *program; /* starts this when it does not run; NULL: somebody else does */
    pid_t pid;           /* of the program; 0: it does not run */
    int end;             /* as waitpid tells it, when it has died */
    line_end lines[LINE_COUNT];
} side;

/* A server that runs: "unix:///path" or "redis://127.0.0.1:port". */
void side_init(side *server, const char *name, const char *url);
/* A program that side_reset starts, again when it has died. */
void side_init_program(side *server, const char *name, const char *program);
void side_free(side *server);

/* Has its program ended? Then `how` tells in words. */
bool side_was_lost(side *server, char *how, size_t cap);

/* Connect all lines anew. False: the server cannot be reached. */
bool side_reset(side *server);
void side_hang_up(side *server);
bool side_reopen(side *server, unsigned line);

void side_write(side *server, unsigned line, const char *bytes, size_t len);
/* Ids are put in. */
void side_write_step(side *server, const step *one);
void side_write_words(side *server, unsigned line, const char *const *words);
/* Send what was written. */
void side_flush(side *server, unsigned line);
/* Take what has been received without waiting. */
void side_drain(side *server, unsigned line);
/* The next whole reply, valid until more is received; len 0: there is none yet. A line that brings
   no RESP has a reply of all that came. */
reply side_peek(side *server, unsigned line);
void side_take(side *server, unsigned line, reply taken);
/* Wait until either side's line, as far as `wants` says so, has got bytes or its end. False: nothing
   came in time. */
bool sides_wait(side *sides, unsigned line, const bool wants[2], int timeout_ms);

/* Send and wait for one reply, on the tester's behalf; it is valid until the line receives more.
   len 0: the line ended, or no reply came. */
reply side_ask(side *server, unsigned line, const char *const *words);
reply side_ask_words(side *server, unsigned line, const word *words, size_t count);
/* Wait for the next reply. */
reply side_wait(side *server, unsigned line);
/* When it returns true, what was sent before on any line has been executed, and its replies are on
   their way. */
bool side_barrier(side *server);
