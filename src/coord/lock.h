#pragma once
/* A lock's contender: it asks, waits, holds and leaves. All locked.

   Three ops of its own, each one at a time: the question for the lock, the renewal, and the
   farewell, which gives back lock and place in the queue. An acquire begins when none of them is
   under way, so a token is never that of two holdings.

     HELD_BACK -> ASKING -> held
                  ASKING -> SUBSCRIBING -> ASKING -> WAITING -> ASKING ...   it is another's

   Who waits has a channel of its own (names and id), so that a release wakes it alone. It enters
   the queue on the server, in the same step as it is told that the lock is held, once its
   channel is confirmed: so no release falls into a gap; and should a message be lost, the
   lease's end and the poll bound wake it.

   A renewal is a SET ... IFEQ where the server has it (Redis 8.4, Valkey 8.1), which the first one
   of each connection finds out. Taking and giving back are scripts: DELEX (Redis 8.4) and DELIFEQ
   (Valkey 9.0) compare and delete as well, but neither they nor SET count the fencing token, queue
   or wake in the same step: with them an uncontended release would take as many round trips and a
   contended one more. Where a server runs no scripts (renamed commands, ACL), acquiring fails with
   SC_ERR_UNSUPPORTED. */

#include "api/lock.h"
#include "base/number.h"
#include "client/subscriber.h"
#include "client/wait.h"
#include "coord/lease.h"

#define SCI_LOCK_DEFAULT_TTL_MS 30000
#define SCI_LOCK_DEFAULT_WAIT_MS 60000
#define SCI_LOCK_DEFAULT_POLL_MS 1000
#define SCI_LOCK_LEAST_TTL_MS 10
/* A place in the queue stands for so many poll bounds, each of which renews it. */
#define SCI_LOCK_PLACE_POLLS 3
/* A renewal that failed is tried again after this part of the life. */
#define SCI_LOCK_RETRY_PART 10

/* A call that has not ended. On the stack of its thread, or in a block of its own. */
typedef struct sci_wish {
    sci_waiter waiter; /* of a blocking call */
    bool is_async;
    bool is_done;
    sc_status status;
    sc_value *words; /* owned: of anything but SC_OK */
    sc_lock *lock;   /* asynchronous: a reference */
    sci_post post;
    sc_on_lock on_end;
    void *user;
} sci_wish;

typedef enum sci_lock_phase {
    SCI_LOCK_HELD_BACK, /* an op of before is still under way */
    SCI_LOCK_ASKING,
    SCI_LOCK_SUBSCRIBING,
    SCI_LOCK_WAITING
} sci_lock_phase;

/* The key, and those that belong to it. */
#define SCI_LOCK_NAMES 5

/* Slices of one block. The channel is `wake` and `id`. */
typedef struct sci_lock_names {
    sci_bytes block;
    sc_slice keys[4]; /* of the scripts: fence, lock, queue, alive */
    sc_slice wake;    /* what the channels of all contenders begin with */
    sc_slice id;      /* a token that tells this contender from others */
} sci_lock_names;

struct sc_lock {
    sc_client *client;     /* retained */
    size_t references;     /* the handle's, each op's and each asynchronous call's */
    sc_lock_config config; /* no zeros; its key is not used */
    /* Of an election, which stands on it: NULL, or called whenever a call ended, a lease began or
       changed, or the lock is given back. Locked, within the change: it may only look and arm. */
    void (*changed)(struct sc_lock *lock);
    bool is_shared; /* the scripts take a limit and a shift */
    bool is_writer; /* shares with nobody */
    sci_lock_names names;
    sc_script scripts[3]; /* lock, unlock, renew */
    sci_close_hook close_hook;
    sci_fork_hook fork_hook;
    bool is_closed;
    bool is_hasty; /* the client closes: nobody will hear that the server does not know a script */

    sci_wish *acquirer;
    sci_wish *releaser;
    sci_wish *extender;
    sci_lock_phase phase; /* of the acquirer */
    bool is_asking;       /* each: that op is under way */
    bool is_leaving;
    bool is_renewing;
    bool is_stale;     /* the question's acquirer is gone */
    bool is_queued;    /* perhaps: a question asked for a place */
    bool asks_again;   /* a message came while asking */
    bool renews_again; /* an extension came while renewing */
    bool leaves_again; /* the farewell had no answer: by hold_timer, with a reference */

    bool is_held;
    bool is_lost;   /* it was held last, and lost */
    uint32_t depth; /* acquired so often */
    int64_t fence;
    int32_t life_ms;      /* of the lease, as it was asked for last */
    int32_t next_life_ms; /* of the next renewal */
    int64_t until_ns;     /* ours for certain until then */

    int64_t deadline_ns; /* of the acquirer */
    int64_t asked_ns;
    int64_t renewed_ns;
    sci_timer wait_timer;
    sci_timer hold_timer;
    sci_listener listener;
    bool has_id; /* not in a forked child, yet */
    /* The key's value while it is held. Its first SCI_TOKEN_LEN bytes are drawn for each holding;
       what an election has behind them stays. */
    char *token;
    size_t token_len;
    char own_token[SCI_TOKEN_LEN + 1];

    sci_post lost_post;
    uint32_t losses; /* on_lost is to be called so often */
    bool is_telling; /* in on_lost */
    sci_waiter *telling_waiter;

    sci_eval_op question;
    sci_eval_op farewell;
    sci_eval_op renewal;
    sc_slice question_args[8];
    sc_slice farewell_args[4];
    sc_slice renewal_args[3];
    char ttl_text[SCI_I64_TEXT_BYTES];
    char place_text[SCI_I64_TEXT_BYTES];
    char life_text[SCI_I64_TEXT_BYTES];
    char limit_text[SCI_I64_TEXT_BYTES]; /* of a shared one: how many hold it at most */
    char shift_text[SCI_I64_TEXT_BYTES]; /* of a shared one */
};

/* lock.c */

/* sc_fail: "the lock "key" " and what about it. */
SCI_PRIVATE sc_status sci_lock_say(const sc_lock *lock, sc_status status, const char *what);

/* Put into `block` the keys of the scripts (fence, lock, queue, alive), and what the channels of all
   contenders begin with. SC_ERR_MEMORY. */
SCI_PRIVATE sc_status sci_lock_name_keys(sci_bytes *block, sc_slice key, sc_slice keys[4],
                                         sc_slice *wake);
SCI_PRIVATE void sci_lock_release_reference(sc_lock *lock);
/* Open a contender that takes, gives and renews by these scripts; `renew` may be NULL for the plain
   one. */
SCI_PRIVATE sc_status sci_lock_make(sc_client *client, const sc_lock_config *config,
                                    const char *take, const char *give, const char *renew,
                                    sc_lock **lock);
/* Tell the election. */
SCI_PRIVATE void sci_lock_changed(sc_lock *lock);
/* The call in this place, if there is one, ends. Words of anything but SC_OK in sc_error_text. */
SCI_PRIVATE void sci_wish_end(sc_lock *lock, sci_wish **wish, sc_status status);

/* lock_state.c */

/* Try for the lock, for the acquirer, whose deadline is set. */
SCI_PRIVATE void sci_lock_begin(sc_lock *lock);
/* It acquires no longer: why, with words in sc_error_text. */
SCI_PRIVATE void sci_lock_cancel(sc_lock *lock, sc_status status);
/* Held, and certainly ours. What has run out unnoticed is lost here. */
SCI_PRIVATE bool sci_lock_is_held(sc_lock *lock);
/* Give back, and leave the queue. */
SCI_PRIVATE void sci_lock_leave(sc_lock *lock);
/* The same once more, if it had no answer. */
SCI_PRIVATE void sci_lock_leave_again(sc_lock *lock);
/* Held, by the clock. */
SCI_PRIVATE bool sci_lock_may_renew(const sc_lock *lock);
/* Renew now, for the extender, while it may be renewed. */
SCI_PRIVATE void sci_lock_renew(sc_lock *lock);
/* The client closes: end all. The lock may be gone afterwards. */
SCI_PRIVATE void sci_lock_stop(sc_lock *lock);
SCI_PRIVATE void sci_lock_fire_wait(sci_timer *timer);
SCI_PRIVATE void sci_lock_fire_hold(sci_timer *timer);
SCI_PRIVATE void sci_lock_listen_event(sci_listener *listener, sci_listen_event event,
                                       const sc_message *message);
