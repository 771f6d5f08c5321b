#pragma once
/* The library's own Lua scripts, which the embedded server runs natively (cmd_script.c,
   script_lock.c): change both together. */

/* For get-or-load. KEYS: value, lease, result (coord/names). */

/* ARGV: token, lease in ms, token of the flight that is waited for (or ""), "1" if the errors of
   other flights are not wanted.
   The value if it is there; else what that flight left; else the lease if it is free; else who has
   it for how long. Taking it twice with one token is one taking, so a repeat after a lost reply is
   safe. */
#define SCI_SCRIPT_ACQUIRE                                                                         \
    "local v = redis.call('GET', KEYS[1])\n"                                                       \
    "if v then return {1, v} end\n"                                                                \
    "local r = redis.call('GET', KEYS[3])\n"                                                       \
    "if r and (string.sub(r, 1, 1) == 'N' or string.sub(r, 2, 33) == ARGV[3])\n"                   \
    "  and not (ARGV[4] == '1' and string.sub(r, 34, 34) == 'e') then\n"                           \
    "  return {2, r}\n"                                                                            \
    "end\n"                                                                                        \
    "if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {3} end\n"            \
    "local h = redis.call('GET', KEYS[2])\n"                                                       \
    "if h == ARGV[1] then redis.call('PEXPIRE', KEYS[2], ARGV[2]) return {3} end\n"                \
    "return {4, h, redis.call('PTTL', KEYS[2])}\n"

/* ARGV: token, TTL in ms ("0": store no value, "-1": no expiry), payload, result's flag ("": leave
   none, "N": for everybody, "S": for those who wait for this token), result's life in ms, channel,
   kind, "1" if the message carries the payload, channel for the bare payload (or ""). Does all
   that, and gives the lease back, if the lease is still ours. */
#define SCI_SCRIPT_STORE                                                                           \
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end\n"                                 \
    "redis.call('DEL', KEYS[2])\n"                                                                 \
    "if ARGV[2] == '-1' then redis.call('SET', KEYS[1], ARGV[3])\n"                                \
    "elseif ARGV[2] ~= '0' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2]) end\n"          \
    "if ARGV[4] ~= '' then\n"                                                                      \
    "  redis.call('SET', KEYS[3], ARGV[4] .. ARGV[1] .. ARGV[7] .. ARGV[3], 'PX', ARGV[5])\n"      \
    "end\n"                                                                                        \
    "if ARGV[8] == '1' then redis.call('PUBLISH', ARGV[6], ARGV[7] .. ARGV[1] .. ARGV[3])\n"       \
    "else redis.call('PUBLISH', ARGV[6], 'r' .. ARGV[1]) end\n"                                    \
    "if ARGV[9] ~= '' then redis.call('PUBLISH', ARGV[9], ARGV[3]) end\n"                          \
    "return 1\n"

/* ARGV: token, lease in ms. */
#define SCI_SCRIPT_RENEW                                                                           \
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end\n"                                 \
    "return redis.call('PEXPIRE', KEYS[2], ARGV[2])\n"

/* For locks. KEYS: fence, lock, queue, alive (coord/lock.h); SCI_SCRIPT_RENEW fits the first three.

   The queue is a sorted set of those who wait, by when they came (us, and above the one before); `alive` has until when each
   one's place stands (ms). */

/* What both begin with. */
#define SCI_LOCK_BEGINS                                                                            \
    "local c,K,A=redis.call,KEYS,ARGV\n"                                                           \
    "local function drop(w) c('ZREM',K[3],w) c('HDEL',K[4],w) end\n"                               \
    "local h=c('GET',K[2])\n"

/* ARGV: token, lease in ms, who asks, for how long its place in the queue is to stand in ms ("0": it
   takes none), "1": whoever is before it in the queue comes before it.
   {1, fencing token} when the lock is free; a repeat with the same token after a lost reply is one
   taking. Else {0, ms until it is free if nobody does anything, or -1}.
   The fencing token is above the last, and at least the server's time: so the last need not be kept
   longer than until that time has passed it, but for a clock that is set back: a day more. */
#define SCI_SCRIPT_LOCK                                                                            \
    SCI_LOCK_BEGINS                                                                                \
    "local t=c('TIME')\n"                                                                          \
    "local us=t[1]*1000000+t[2]\n"                                                                 \
    "local left=h and c('PTTL',K[2])\n"                                                            \
    "while not h and A[5]=='1' do\n"                                                               \
    "  local f=c('ZRANGE',K[3],0,0)[1]\n"                                                          \
    "  if not f or f==A[3] then break end\n"                                                       \
    "  local e=tonumber(c('HGET',K[4],f)) or 0\n"                                                  \
    "  if e*1000>us then left=math.ceil(e-us/1000) break end\n"                                    \
    "  drop(f)\n"                                                                                  \
    "end\n"                                                                                        \
    "if not left or h==A[1] then\n"                                                                \
    "  local f=math.max((tonumber(c('GET',K[1])) or 0)+1,us)\n"                                    \
    "  c('SET',K[1],f,'PX',math.ceil((f-us)/1000)+86400000)\n"                                     \
    "  c('SET',K[2],A[1],'PX',A[2])\n"                                                             \
    "  drop(A[3])\n"                                                                               \
    "  return {1,f}\n"                                                                             \
    "end\n"                                                                                        \
    "if A[4]~='0' then\n"                                                                          \
    "  local z=c('ZRANGE',K[3],-1,-1,'WITHSCORES')[2]\n"                                           \
    "  c('ZADD',K[3],'NX',math.max(us,(z or 0)+1),A[3])\n"                                         \
    "  c('HSET',K[4],A[3],math.floor(us/1000)+A[4])\n"                                             \
    "  for i=3,4 do\n"                                                                             \
    "    if c('PTTL',K[i])<A[4]+0 then c('PEXPIRE',K[i],A[4]) end\n"                               \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "return {0,left}\n"

/* ARGV: token, who asks, "1": who is woken keeps its place until it has the lock, channels' common
   beginning. Gives up the place in the queue, and the lock if it is ours; when the lock is free then,
   wakes the first in the queue that anybody listens for. 1: it was ours. */
#define SCI_SCRIPT_UNLOCK                                                                          \
    SCI_LOCK_BEGINS                                                                                \
    "drop(A[2])\n"                                                                                 \
    "if h==A[1] then c('DEL',K[2]) end\n"                                                          \
    "while not h or h==A[1] do\n"                                                                  \
    "  local f=c('ZRANGE',K[3],0,0)[1]\n"                                                          \
    "  if not f then break end\n"                                                                  \
    "  local heard=redis.pcall('PUBLISH',A[4]..f,'')~=0\n"                                         \
    "  if heard and A[3]=='1' then break end\n"                                                    \
    "  drop(f)\n"                                                                                  \
    "  if heard then break end\n"                                                                  \
    "end\n"                                                                                        \
    "return h==A[1] and 1 or 0\n"
