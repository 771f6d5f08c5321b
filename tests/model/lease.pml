/* The lease behind locks, election and refresh: clients, one server, their clocks, and what may go
   wrong between them. README.md says what is abstracted, and what is checked in which setting.

   A setting is chosen by one of EXCLUSION, FENCING (1: the counter may be lost; 2: the clock be set
   back), TIDY, PROGRESS; a known wrong protocol by one of the names in README.md. */

/* --- bounds, each of which the command line may set */

#ifndef CLIENTS
#define CLIENTS 3
#endif
#ifndef TTL
#define TTL 6 /* ticks */
#endif
#ifndef LATE
#define LATE 2 /* requests under way that nobody waits for any more */
#endif

#define THIRD (TTL / 3)
#define NOBODY CLIENTS

/* --- the drift term: a client's clock may lose DRIFT ticks in a TTL; GRAIN lets what is due be done
   within a tick. A lease counts as held while more than MARGIN is left of it. */

#define DRIFT 1
#define GRAIN 1
#if defined(NO_DRIFT_TERM)
#define MARGIN 0
#elif defined(NO_GRAIN)
#define MARGIN DRIFT
#else
#define MARGIN (DRIFT + GRAIN)
#endif

/* What is left when the holder is told that its lease is lost. */
#ifdef STEP_DOWN_AT_THE_END
#define STOP 0
#else
#define STOP MARGIN
#endif

/* --- settings */

#if defined(EXCLUSION) || defined(TIDY) || defined(PROGRESS)
#define TIMED 1
#else
#define TIMED 0
#endif

/* Nothing is lost any more, and everybody is awake: for good, once it is so. */
#ifdef PROGRESS
bit calm;
#else
#define calm false
#endif

/* --- messages. A client waits for one at a time; those that it gave up may still arrive. */

#define NONE 0
#define REQUEST 1 /* on its way, or lost */
#define REPLY 2   /* yes, on its way */

#define ACQUIRE 1
#define RENEW 2
#define RELEASE 3
#define WRITE 4 /* to a register which refuses older tokens */
#define SWAP 5  /* of a refresh, on the lease's own server */

typedef Message {
    byte kind; /* NONE: free */
    byte who;
    byte name;
    byte token;
};
Message late[LATE];

/* --- clients */

#define IDLE 0
#define ASKING 1
#define HOLDING 2
#define ASLEEP 3 /* its lease was to be given up at the latest a tick ago, and it did not run */

typedef Client {
    byte state;
    byte name; /* of this taking of the lease: the random value */
    byte token; /* the fencing token, or the term */
    byte message;
    byte belief; /* what is left of the lease by its clock, counted from before the request */
    bit belief_late; /* that clock has lost what it may */
    byte asked; /* what would be left, if what is asked for is granted */
    bit asked_late;
    bit waits; /* refused; for the timer, or for the message that the lease is free */
};
Client client[CLIENTS];

/* --- the server */

byte owner = NOBODY;
byte owner_name;
byte owner_token;
byte life; /* what is left of the lease */

byte counter; /* of tokens; 0: lost */
bit clock_is_back;

byte newest;  /* token granted ever: no part of the protocol */
byte written; /* token of the last write to the register */

/* All of them, or only one. */
#ifndef ONLY
#define ONLY 0
#endif
#define MUST(number, what) assert((ONLY != 0 && ONLY != number) || (what))

hidden byte fresh;
hidden byte i;
hidden byte v;
hidden byte answer;
hidden int used;
hidden int weight[CLIENTS];

#ifdef RENEW_PAST_DEADLINE
#define IN_TIME(c) true
#else
#define IN_TIME(c) (!TIMED || client[c].belief > MARGIN)
#endif
#define BELIEVES(c) (client[c].state == HOLDING && IN_TIME(c))

/* --- tokens are only compared. So those in use are renumbered, without gaps, and what the register
   would refuse anyhow is 0: the model knows no greatest token. */

#define MARK(x) used = used | (1 << (x))
#define DOWN(x) x = (x > v -> x - 1 : x)
#define STALE(x) x = (x < written -> 0 : x)

inline renumber()
{
#ifdef FENCING
    d_step {
        used = 1;
        MARK(counter);
        MARK(newest);
        MARK(written);
        MARK(owner_token);
        for (i : 0 .. CLIENTS - 1) {
            STALE(client[i].token);
            MARK(client[i].token);
        }
        for (i : 0 .. LATE - 1) {
            STALE(late[i].token);
            MARK(late[i].token);
        }
        v = 14;
        do
        :: v > 0 ->
            if
            :: (used & (1 << v)) == 0 ->
                DOWN(counter);
                DOWN(newest);
                DOWN(written);
                DOWN(owner_token);
                for (i : 0 .. CLIENTS - 1) {
                    DOWN(client[i].token);
                }
                for (i : 0 .. LATE - 1) {
                    DOWN(late[i].token);
                }
            :: else
            fi;
            v--
        :: else -> break
        od;
        i = 0;
        v = 0
    }
#else
    skip
#endif
}

/* --- what must hold */

inline check_believers()
{
#ifndef FENCING /* the server may lose the lease there */
    d_step {
        v = 0;
        for (i : 0 .. CLIENTS - 1) {
            if
            :: BELIEVES(i) -> v++
            :: else
            fi
        }
        MUST(1, v <= 1) /* one holder at a time */
    }
#else
    skip
#endif
}

inline check_told()
{
#ifndef FENCING
    d_step {
        for (i : 0 .. CLIENTS - 1) {
            MUST(4, client[i].state != HOLDING) /* the loser is told before another can have it */
        }
    }
#else
    skip
#endif
}

/* Who does not want the lease leaves none behind. */
inline check_tidy()
{
#ifdef TIDY
    d_step {
        if
        :: owner != NOBODY && client[owner].state == IDLE ->
            v = 0;
            for (i : 0 .. LATE - 1) {
                if
                :: late[i].kind != NONE && late[i].who == owner -> v++
                :: else
                fi
            }
            MUST(7, v > 0)
        :: else
        fi
    }
#else
    skip
#endif
}

/* --- the server's side */

inline free_lease()
{
    owner = NOBODY;
    owner_name = 0;
    owner_token = 0;
    life = 0
}

inline wake_waiters()
{
#ifdef PROGRESS
    for (i : 0 .. CLIENTS - 1) {
        client[i].waits = 0
    }
#else
    skip
#endif
}

inline create_lease(who_, name_, token_)
{
    check_told();
#ifdef FENCING
    MUST(3, token_ > newest); /* tokens of grants increase */
    newest = (token_ > newest -> token_ : newest);
    owner_token = token_;
#endif
    owner = who_;
    owner_name = name_;
    life = TTL
}

/* max(counter + 1, time). The time's unit is so short that it has moved on since the last grant,
   unless somebody set the clock back. */
inline draw_token()
{
    fresh = (clock_is_back -> 0 : newest + 1);
#ifdef COUNTER_ALONE
    fresh = counter + 1;
#endif
#ifndef TIME_ALONE
    fresh = (counter + 1 > fresh -> counter + 1 : fresh);
#endif
    counter = fresh
}

inline serve_acquire(who_, name_)
{
    if
    :: owner == NOBODY ->
#ifdef FENCING
        draw_token();
#endif
        create_lease(who_, name_, fresh);
        answer = 1
    :: owner == who_ && owner_name == name_ -> /* a repeat */
        life = TTL;
        answer = 1
    :: else -> answer = 0
    fi
}

inline serve_renew(who_, name_, token_)
{
    if
    :: owner == who_ && owner_name == name_ ->
        life = TTL;
        answer = 1
#ifdef RENEW_CREATES
    :: owner == NOBODY ->
        create_lease(who_, name_, token_);
        answer = 1
#endif
    :: else -> answer = 0
    fi
}

inline serve_release(who_, name_)
{
    if
#ifdef RELEASE_BLINDLY
    :: owner != NOBODY ->
#else
    :: owner == who_ && owner_name == name_ ->
#endif
        free_lease();
        wake_waiters()
    :: else
    fi
}

inline serve_write(token_)
{
#ifdef FENCING
    if
#ifdef UNFENCED
    :: true ->
#else
    :: token_ >= written ->
#endif
        MUST(2, token_ >= written); /* the register never goes back */
        written = token_
    :: else
    fi
#else
    skip
#endif
}

inline serve_swap(who_, name_, token_)
{
#ifdef FENCING
    if
#if defined(SWAP_UNCHECKED)
    :: true ->
#elif defined(SWAP_CHECKS_NAME)
    :: owner == who_ && owner_name == name_ ->
#else
    :: owner == who_ && owner_token == token_ ->
#endif
        MUST(5, token_ == newest) /* no swap by a deposed leader */
    :: else
    fi
#else
    skip
#endif
}

/* --- requests that nobody waits for */

/* Any of them may arrive first, so the order in which they stand is no matter; where they arrive in
   the order of sending, it is that. */
#define RANK(n) (((late[n].kind * 8 + late[n].who) * 8 + late[n].name) * 16 + late[n].token)
#define EXCHANGE(field)                                                                            \
    v = late[i].field;                                                                             \
    late[i].field = late[i - 1].field;                                                             \
    late[i - 1].field = v

inline sort_late()
{
#ifndef TIDY
    do
    :: i > 0 && RANK(i) > RANK(i - 1) ->
        EXCHANGE(kind);
        EXCHANGE(who);
        EXCHANGE(name);
        EXCHANGE(token);
        i--
    :: else -> break
    od;
    v = 0
#else
    skip
#endif
}

inline put_late(kind_, who_)
{
    d_step {
        i = 0;
        do
        :: i < LATE && late[i].kind != NONE -> i++
        :: else -> break
        od;
        if
        :: i < LATE ->
            late[i].kind = kind_;
            late[i].who = who_;
            if
            :: kind_ <= RELEASE -> late[i].name = client[who_].name
            :: else
            fi;
#ifdef FENCING
            if
            :: kind_ >= WRITE -> late[i].token = client[who_].token
#ifdef RENEW_CREATES
            :: kind_ == RENEW -> late[i].token = client[who_].token
#endif
#ifdef SWAP_CHECKS_NAME
            :: kind_ == SWAP -> late[i].name = client[who_].name
#endif
            :: else
            fi;
#endif
            sort_late()
        :: else
        fi;
        i = 0
    }
}

#if defined(TIDY)
#define LOSSY false
#else
#define LOSSY (!calm)
#endif
#define HAS_ROOM_FOR(n) (LATE >= n && late[LATE - n].kind == NONE)
#define CAN_LEAVE(c)                                                                               \
    (LOSSY || HAS_ROOM_FOR(2) || (HAS_ROOM_FOR(1) && client[c].message != REQUEST))

inline may_put_late(kind_, who_)
{
    if
    :: HAS_ROOM_FOR(1) -> put_late(kind_, who_)
    :: LOSSY
    fi
}

/* They are taken out by closing the gap, so that the order is that of sending. */
inline drop_late(n_)
{
    i = n_;
    do
    :: i < LATE - 1 ->
        late[i].kind = late[i + 1].kind;
        late[i].who = late[i + 1].who;
        late[i].name = late[i + 1].name;
        late[i].token = late[i + 1].token;
        i++
    :: else -> break
    od;
    late[LATE - 1].kind = NONE;
    late[LATE - 1].who = 0;
    late[LATE - 1].name = 0;
    late[LATE - 1].token = 0;
    i = 0
}

/* --- the client's side */

/* A random value that nothing under way, and not the server, still has. */
inline draw_name(c)
{
#ifdef ONE_NAME
    skip
#else
    d_step {
        used = (owner == c -> 1 << owner_name : 0);
        for (i : 0 .. LATE - 1) {
            if
            :: late[i].kind != NONE && late[i].who == c -> used = used | (1 << late[i].name)
            :: else
            fi
        }
        v = 0;
        do
        :: used & (1 << v) -> v++
        :: else -> break
        od;
        client[c].name = v;
        i = 0;
        v = 0;
        used = 0
    }
#endif
}

inline send(c)
{
    client[c].message = REQUEST;
    client[c].asked = (TIMED -> TTL : 0);
    client[c].asked_late = 0
}

inline forget_request(c)
{
    client[c].message = NONE;
    client[c].asked = 0;
    client[c].asked_late = 0
}

inline become_idle(c)
{
    d_step {
        forget_request(c);
        client[c].state = IDLE;
        client[c].belief = 0;
        client[c].belief_late = 0;
        client[c].name = 0;
        client[c].token = 0
    }
}

/* Give up what is asked for or held: what is under way may arrive all the same, and a release is
   tried. */
inline leave(c, kind_)
{
    if
    :: client[c].message == REQUEST -> may_put_late(kind_, c)
    :: else
    fi;
    may_put_late(RELEASE, c);
    become_idle(c)
}

inline take(c)
{
    client[c].state = HOLDING;
#ifdef COUNT_FROM_REPLY
    client[c].belief = TTL;
    client[c].belief_late = 0;
#else
    client[c].belief = client[c].asked;
    client[c].belief_late = client[c].asked_late;
#endif
    forget_request(c)
}

inline give_up(c)
{
#ifdef OUTCOME_TRUSTED
    if
    :: client[c].message == REQUEST -> may_put_late(ACQUIRE, c)
    :: else
    fi;
    become_idle(c)
#else
    leave(c, ACQUIRE)
#endif
}

/* What the server does with the request that is waited for. A "no" arrives at once: lost or late, it
   is as if the request had been lost. */
inline serve(c)
{
    d_step {
        if
        :: client[c].state == ASKING -> serve_acquire(c, client[c].name)
        :: else -> serve_renew(c, client[c].name, client[c].token)
        fi;
        if
        :: client[c].state == ASLEEP -> forget_request(c)
        :: client[c].state != ASLEEP && answer ->
            client[c].message = REPLY;
#ifdef FENCING
            client[c].token = owner_token
#endif
        :: else ->
#ifdef PROGRESS
            client[c].waits = (client[c].state == ASKING);
#endif
            become_idle(c)
        fi;
        answer = 0;
        fresh = 0;
        renumber()
    }
}

inline serve_late(n)
{
    d_step {
        if
        :: late[n].kind == ACQUIRE -> serve_acquire(late[n].who, late[n].name)
        :: late[n].kind == RENEW -> serve_renew(late[n].who, late[n].name, late[n].token)
        :: late[n].kind == RELEASE -> serve_release(late[n].who, late[n].name)
        :: late[n].kind == WRITE -> serve_write(late[n].token)
        :: late[n].kind == SWAP -> serve_swap(late[n].who, late[n].name, late[n].token)
        fi;
        answer = 0;
        fresh = 0;
        drop_late(n);
        renumber();
        check_tidy()
    }
}

/* --- clients are alike, so only one of the orders in which they can stand is kept */

/* Late requests that cannot do anything any more: renewals and releases by a name that the server
   does not have and cannot come to have. */
#if defined(RELEASE_BLINDLY) || defined(RENEW_CREATES)
#define IS_NAMELESS(n) false
#else
#define IS_NAMELESS(n)                                                                             \
    ((late[n].kind == RENEW || late[n].kind == RELEASE) &&                                         \
     !(owner == late[n].who && owner_name == late[n].name) &&                                      \
     !(client[late[n].who].state == ASKING && client[late[n].who].name == late[n].name))
#endif

inline drop_vain()
{
    v = 0;
    do
    :: v < LATE && late[v].kind != NONE ->
        used = 0;
        if
        :: IS_NAMELESS(v) ->
            used = 1;
            for (i : 0 .. LATE - 1) {
                if
                :: late[i].kind == ACQUIRE && late[i].who == late[v].who &&
                   late[i].name == late[v].name -> used = 0
                :: else
                fi
            }
        :: else
        fi;
        if
        :: used -> drop_late(v)
        :: else -> v++
        fi
    :: else -> break
    od;
    v = 0
}

#define WEIGH(x, bits) weight[i] = (weight[i] << bits) + x
#define EXCHANGE_CLIENTS(field)                                                                    \
    v = client[i].field;                                                                           \
    client[i].field = client[i + 1].field;                                                         \
    client[i + 1].field = v
#define RENAME(x) x = (x == i -> i + 1 : (x == i + 1 -> i : x))

inline weigh_clients()
{
    for (i : 0 .. CLIENTS - 1) {
        weight[i] = client[i].state;
        WEIGH(client[i].message, 2);
        WEIGH(client[i].belief, 3);
        WEIGH(client[i].belief_late, 1);
        WEIGH(client[i].asked, 3);
        WEIGH(client[i].asked_late, 1);
        WEIGH(client[i].name, 2);
        WEIGH(client[i].token, 4);
        WEIGH((owner == i), 1);
        weight[i] = weight[i] << 10
    }
    for (v : 0 .. LATE - 1) {
        if
        :: late[v].kind != NONE ->
            i = late[v].who;
            weight[i] = weight[i] + (late[v].kind << 6) + (late[v].name << 4) + late[v].token
        :: else -> break
        fi
    }
}

inline order_two(n)
{
    i = n;
    if
    :: weight[i] < weight[i + 1] ->
        used = weight[i];
        weight[i] = weight[i + 1];
        weight[i + 1] = used;
        EXCHANGE_CLIENTS(state);
        EXCHANGE_CLIENTS(message);
        EXCHANGE_CLIENTS(belief);
        EXCHANGE_CLIENTS(belief_late);
        EXCHANGE_CLIENTS(asked);
        EXCHANGE_CLIENTS(asked_late);
        EXCHANGE_CLIENTS(name);
        EXCHANGE_CLIENTS(token);
        RENAME(owner);
        for (v : 0 .. LATE - 1) {
            if
            :: late[v].kind != NONE -> RENAME(late[v].who)
            :: else -> break
            fi
        }
    :: else
    fi
}

inline order_clients()
{
    d_step {
        drop_vain();
#ifndef PROGRESS /* what is fair to a program has to know it again */
        weigh_clients();
        order_two(0);
#if CLIENTS > 2
        order_two(1);
        order_two(0);
#endif
#endif
#if LATE > 1
        i = 1;
        sort_late();
#endif
#if LATE > 2
        i = 2;
        sort_late();
        i = 1;
        sort_late();
#endif
        i = 0;
        v = 0
    }
}

#ifdef TIDY /* the requests of a client arrive in the order of sending */
#define IS_NEXT(n)                                                                                 \
    (n == 0 || (late[n].who != late[0].who && (n == 1 || late[n].who != late[1].who)))
#define ARRIVES(c)                                                                                 \
    ((late[0].kind == NONE || late[0].who != c) && (late[1].kind == NONE || late[1].who != c) &&   \
     (late[2].kind == NONE || late[2].who != c))
#else
#define IS_NEXT(n) true
#define ARRIVES(c) true
#endif

#define IS_USEFUL(c) (client[c].message == REPLY && (!TIMED || client[c].asked > MARGIN))
#define IS_RENEWAL_DUE(c) (!TIMED || client[c].belief <= TTL - THIRD)

/* Between any two steps of a client anything may happen, and any time pass. */
active [CLIENTS] proctype program()
{
    do
    :: atomic {
        client[_pid].state == IDLE && !client[_pid].waits ->
        draw_name(_pid);
        client[_pid].state = ASKING;
        send(_pid);
        order_clients()
    }
    :: atomic {
        client[_pid].state == ASKING && IS_USEFUL(_pid) ->
        take(_pid);
        check_believers();
        order_clients()
    }
    :: atomic {
        client[_pid].state == ASKING && CAN_LEAVE(_pid) &&
            (!calm || (client[_pid].message == REPLY && !IS_USEFUL(_pid))) ->
        give_up(_pid);
        check_tidy();
        order_clients()
    }
#if TIMED || defined(RENEW_CREATES)
    :: atomic {
        client[_pid].state == HOLDING && client[_pid].message == NONE && IN_TIME(_pid) &&
            IS_RENEWAL_DUE(_pid) ->
        send(_pid);
        order_clients()
    }
    :: atomic {
        client[_pid].state == HOLDING && IS_USEFUL(_pid) && IN_TIME(_pid) ->
        take(_pid);
        check_believers();
        order_clients()
    }
    :: atomic { /* the answer to a renewal does not come in time: the next one asks again */
        client[_pid].state == HOLDING && client[_pid].message == REQUEST && CAN_LEAVE(_pid) &&
            !calm ->
        may_put_late(RENEW, _pid);
        forget_request(_pid);
        order_clients()
    }
    :: atomic {
        client[_pid].state == HOLDING && client[_pid].message == REPLY && !calm ->
        forget_request(_pid);
        order_clients()
    }
#endif
    :: atomic { /* given back, or told that it is lost, or dead */
        (client[_pid].state == HOLDING || client[_pid].state == ASLEEP) && CAN_LEAVE(_pid) ->
        leave(_pid, RENEW);
        check_tidy();
        order_clients()
    }
#ifdef FENCING
    :: atomic {
        client[_pid].state == HOLDING && HAS_ROOM_FOR(1) -> put_late(WRITE, _pid);
        order_clients()
    }
    :: atomic {
        client[_pid].state == HOLDING && HAS_ROOM_FOR(1) -> put_late(SWAP, _pid);
        order_clients()
    }
#endif
#ifndef TIDY
    :: atomic { /* sent again on a new connection */
        client[_pid].state == ASKING && client[_pid].message == REQUEST && HAS_ROOM_FOR(1) &&
            !calm ->
        put_late(ACQUIRE, _pid);
        order_clients()
    }
#endif
    od
}

#define OF (_pid - CLIENTS)
active [CLIENTS] proctype wire()
{
    do
    :: atomic { client[OF].message == REQUEST && ARRIVES(OF) -> serve(OF); order_clients() }
    od
}

active proctype stragglers()
{
    do
    :: atomic { late[0].kind != NONE -> serve_late(0); order_clients() }
#if LATE > 1
    :: atomic { late[1].kind != NONE && IS_NEXT(1) -> serve_late(1); order_clients() }
#endif
#if LATE > 2
    :: atomic { late[2].kind != NONE && IS_NEXT(2) -> serve_late(2); order_clients() }
#endif
    od
}

#if TIMED

/* A client's clock loses a tick, if ever, when that lets it believe for longest. */
inline run_down(timer, is_late)
{
    if
    :: timer != MARGIN + 1 || is_late -> timer--
    :: timer == MARGIN + 1 && !is_late ->
        if
        :: timer--
        :: is_late = 1
        fi
    fi;
    if
    :: timer <= MARGIN -> is_late = 0
    :: else
    fi
}

inline tick_client(c)
{
    if
    :: (client[c].state == ASKING || client[c].state == HOLDING) && client[c].asked > MARGIN ->
        run_down(client[c].asked, client[c].asked_late)
    :: else
    fi;
    if
#ifdef RENEW_PAST_DEADLINE
    :: client[c].state == HOLDING && client[c].belief > MARGIN ->
        run_down(client[c].belief, client[c].belief_late)
#else
    :: client[c].state == HOLDING && client[c].belief > STOP ->
        run_down(client[c].belief, client[c].belief_late)
    :: client[c].state == HOLDING && client[c].belief == STOP ->
        client[c].state = ASLEEP;
        client[c].belief = 0
#endif
    :: else
    fi;
    if
    :: !IN_TIME(c) && (client[c].state == HOLDING || client[c].state == ASLEEP) ->
        client[c].asked = 0;
        client[c].asked_late = 0;
        client[c].message = (client[c].message == REPLY -> NONE : client[c].message)
    :: else
    fi
}

inline tick_server()
{
    if
    :: life > 0 -> life--
    :: else
    fi;
    if
    :: life == 0 -> free_lease()
    :: else
    fi
}

/* Once all is calm, what can be done is done within the tick. */
#define IS_AT_REST(c)                                                                              \
    (client[c].message == NONE && client[c].state != ASLEEP &&                                     \
     !(client[c].state == HOLDING && !IN_TIME(c)))
#define ARE_AT_REST                                                                                \
    (late[0].kind == NONE && IS_AT_REST(0) && IS_AT_REST(1) && IS_AT_REST(CLIENTS - 1))

active proctype clock()
{
    do
    :: atomic {
        !calm || ARE_AT_REST ->
        tick_server();
        tick_client(0);
        tick_client(1);
#if CLIENTS > 2
        tick_client(2);
#endif
#ifndef WAIT_WITHOUT_TIMER
        wake_waiters();
#endif
        check_believers();
        order_clients()
    }
    od
}
#endif

#ifdef FENCING
active proctype server_faults()
{
    do
    :: atomic { /* it expires, or the server restarts */
        owner != NOBODY -> free_lease(); renumber(); order_clients()
    }
#if FENCING == 1
    :: atomic { counter > 0 -> counter = 0; renumber(); order_clients() }
#else
    :: atomic { clock_is_back = 1 - clock_is_back; order_clients() }
#endif
    od
}
#endif

#ifdef PROGRESS
active proctype weather()
{
    calm = true
}

#define SOMEBODY_HOLDS (BELIEVES(0) || BELIEVES(1) || BELIEVES(CLIENTS - 1))
ltl progress { [] (calm -> <> SOMEBODY_HOLDS) }
#endif
