#pragma once
/* A quorum lock's contender. It has members, one a server, each with one op at a time: the
   question, the second step, renewals, the farewell.

     RESTING -> LOCKING   all are asked
                LOCKING -> FENCING   a majority has granted: its highest counter plus 1 is written back
                           FENCING -> HELD   on a majority
                LOCKING, FENCING -> RESTING   none can be had any more: farewell to all

   The second step makes the token strictly increase: any two majorities share a server, so who
   holds next finds the number of who held before, or a higher one, among its own. Without it the
   counters of different servers, which count on their own, could give a later holder a lower one.

   Locks: a client's, then the quorum's, never two clients'. Ops end, and timers fire, with a
   client's lock; what follows from it concerns other clients, so it is done in a callback of that
   client's loop (post), without any lock: sci_quorum_advance decides under the quorum's mutex, then
   enters one client after the other to start what its member is to do. */

#include "api/quorum.h"
#include "base/number.h"
#include "client/wait.h"
#include "coord/lease.h"

#define SCI_QUORUM_MOST 63
#define SCI_QUORUM_DEFAULT_TTL_MS 30000
#define SCI_QUORUM_DEFAULT_WAIT_MS 60000
#define SCI_QUORUM_DEFAULT_RETRY_MS 200
#define SCI_QUORUM_LEAST_TTL_MS 10
#define SCI_QUORUM_MOST_SERVER_MS 1000
#define SCI_QUORUM_RETRY_PART 10 /* as of locks: of the life, after a renewal that failed */
#define SCI_QUORUM_WORDS_BYTES 200

/* A call that has not ended. On the stack of its thread, or in a block of its own. */
typedef struct sci_quorum_wish {
    sci_link link; /* asynchronous and ended: in quorum->ended */
    bool is_async;
    bool is_done;
    sc_status status;
    sc_on_quorum on_end;
    void *user;
    char words[SC_ERROR_TEXT_BYTES];
} sci_quorum_wish;

typedef enum sci_quorum_step {
    SCI_QUORUM_NOTHING,
    SCI_QUORUM_LOOK, /* when was the server started? */
    SCI_QUORUM_LOCK,
    SCI_QUORUM_FENCE,
    SCI_QUORUM_RENEW,
    SCI_QUORUM_LEAVE
} sci_quorum_step;

/* What a member has said; of a renewal or a farewell, too. */
typedef enum sci_quorum_vote {
    SCI_QUORUM_OPEN,
    SCI_QUORUM_FAILED, /* nothing */
    SCI_QUORUM_NO,
    SCI_QUORUM_GRANTED, /* but has not counted yet */
    SCI_QUORUM_YES,
    SCI_QUORUM_VOTES
} sci_quorum_vote;

typedef struct sci_quorum_member {
    sc_quorum *quorum;
    sc_client *client; /* retained */
    sci_quorum_step doing;
    sci_quorum_step wants;
    bool leaves;    /* before anything else */
    uint32_t round; /* of what it does, and of its token */
    uint32_t renewal;
    sci_quorum_vote vote; /* of the round */
    sci_quorum_vote renewed;
    sci_quorum_vote left;
    int64_t fence;
    int64_t ends_ns;         /* a lease of this token has ended by then */
    int64_t leave_at_ns;     /* the farewell had no answer: again; 0: not */
    uint64_t known_connects; /* connections made when the server's start was known */
    int64_t fit_ns;          /* it may be asked from then on */
    sci_timer timer;
    sci_post post;
    bool is_posted;
    sci_op look;
    sci_eval_op eval;
    sc_slice args[5];
    char token[SCI_TOKEN_LEN + 1];
    char life_text[SCI_I64_TEXT_BYTES];
    char fence_text[SCI_I64_TEXT_BYTES];
} sci_quorum_member;

typedef enum sci_quorum_phase {
    SCI_QUORUM_RESTING,
    SCI_QUORUM_LOCKING,
    SCI_QUORUM_FENCING,
    SCI_QUORUM_HELD
} sci_quorum_phase;

struct sc_quorum {
    sc_memory memory;
    sc_clock clock;          /* that of the first client */
    sc_quorum_config config; /* no zeros; its key is not used */
    sci_bytes names;
    sc_slice keys[4];                        /* of the scripts */
    sc_slice wake;                           /* channels' common beginning */
    sc_script scripts[SCI_QUORUM_LEAVE + 1]; /* by step */
    sci_fork_guard fork_guard;
    sci_gate gate;     /* of calls that block */
    sci_mutex mutex;   /* guards all below, and the members but for their ops */
    size_t references; /* the handle's, each op's, each post's and each asynchronous call's */
    bool is_closed;
    sci_quorum_phase phase;
    sci_quorum_wish *acquirer;
    sci_quorum_wish *releaser;
    sci_quorum_wish *extender;
    sci_quorum_wish *closer; /* waits until nothing is under way any more */
    sci_link ended;
    uint32_t losses; /* on_lost is to be called so often */
    bool is_lost;    /* it was held last, and lost */
    bool is_telling; /* callbacks run */
    uintptr_t teller;
    uint32_t round;
    uint32_t failures; /* rounds in a row */
    char token[SCI_TOKEN_LEN + 1];
    char next_token[SCI_TOKEN_LEN + 1]; /* "": to be drawn */
    sc_status drawn;
    int64_t next_round_ns;
    int64_t deadline_ns; /* of the acquirer */
    int64_t fence;
    int64_t life_ms;
    int64_t next_life_ms;
    int64_t until_ns; /* ours for certain until then, once held */
    bool is_renewing;
    uint32_t renewal;
    int64_t renewed_ns;
    int64_t renew_at_ns;
    sc_status failure; /* of the last member that failed */
    char words[SCI_QUORUM_WORDS_BYTES];
    size_t count;
    size_t need;
    sci_quorum_member members[1]; /* `count` */
};

static inline int64_t sci_quorum_now_ns(const sc_quorum *quorum)
{
    return quorum->clock.monotonic_ns(quorum->clock.user);
}

/* quorum.c */

/* Mutex held. The call in this place, if there is one, ends, with words in sc_error_text. */
SCI_PRIVATE void sci_quorum_end(sc_quorum *quorum, sci_quorum_wish **wish, sc_status status);
SCI_PRIVATE sc_status sci_quorum_say(const sc_quorum *quorum, sc_status status, const char *what);
/* Unlocked. Run the callbacks that are due, unless another thread does. */
SCI_PRIVATE void sci_quorum_tell(sc_quorum *quorum);
/* Unlocked. */
SCI_PRIVATE void sci_quorum_release_reference(sc_quorum *quorum);

/* quorum_state.c; mutex held */

/* Are there leases that are ours for certain? What has run out unnoticed is lost here. */
SCI_PRIVATE bool sci_quorum_is_held(sc_quorum *quorum, int64_t now_ns);
/* Farewell to all. */
SCI_PRIVATE void sci_quorum_leave(sc_quorum *quorum);
SCI_PRIVATE void sci_quorum_decide(sc_quorum *quorum, int64_t now_ns);
/* When something is to be decided without anybody's saying anything. */
SCI_PRIVATE int64_t sci_quorum_due_ns(const sc_quorum *quorum);
/* The member has done what it did: its answer's numbers, or an error with words in
   sc_error_text. */
SCI_PRIVATE void sci_quorum_hear(sci_quorum_member *member, sc_status status, int64_t first,
                                 int64_t second);
SCI_PRIVATE void sci_quorum_fail_member(sci_quorum_member *member, sc_status status);

/* quorum_member.c */

SCI_PRIVATE void sci_quorum_member_init(sci_quorum_member *member, sc_quorum *quorum,
                                        sc_client *client);
/* Unlocked: decide, and start what follows from it. */
SCI_PRIVATE void sci_quorum_advance(sc_quorum *quorum);
/* Unlocked. Callbacks are due: have them run by one of the loops. */
SCI_PRIVATE void sci_quorum_call(sc_quorum *quorum);
