#pragma once
/* The library's own Lua scripts, which the embedded server runs natively (cmd_script.c,
   script_lock.c, script_job.c): change both together. */

/* Short names and no indentation, since the texts count among the bytes of a program. */
#define SCI_LUA_NAMES "local c,K,A=redis.call,KEYS,ARGV\n"

/* For get-or-load. KEYS: value, lease, result (coord/names). */

/* ARGV: token, lease in ms, token of the flight that is waited for (or ""), "1" if the errors of
   other flights are not wanted.
   The value if it is there; else what that flight left; else the lease if it is free; else who has
   it for how long. The last character of a token counts the copies of the question: one that was
   sent again takes the lease over from those before it, and a copy that comes late does not from
   those after it. */
#define SCI_SCRIPT_ACQUIRE                                                                         \
    SCI_LUA_NAMES                                                                                  \
    "local v=c('GET',K[1])\n"                                                                      \
    "if v then return {1,v} end\n"                                                                 \
    "local r=c('GET',K[3])\n"                                                                      \
    "if r and (r:sub(1,1)=='N' or r:sub(2,33)==A[3])\n"                                            \
    "and not (A[4]=='1' and r:sub(34,34)=='e') then return {2,r} end\n"                            \
    "if c('SET',K[2],A[1],'NX','PX',A[2]) then return {3} end\n"                                   \
    "local h=c('GET',K[2])\n"                                                                      \
    "if h<=A[1] and h:sub(1,-2)==A[1]:sub(1,-2) then c('SET',K[2],A[1],'PX',A[2]) return {3} "     \
    "end\n"                                                                                        \
    "return {4,h,c('PTTL',K[2])}\n"

/* ARGV: token, TTL in ms ("0": store no value, "-1": no expiry), payload, result's flag ("": leave
   none, "N": for everybody, "S": for those who wait for this token), result's life in ms, channel,
   kind, "1" if the message carries the payload, channel for the bare payload (or ""). Does all
   that, and gives the lease back, if the lease is still ours. */
#define SCI_SCRIPT_STORE                                                                           \
    SCI_LUA_NAMES                                                                                  \
    "if c('GET',K[2])~=A[1] then return 0 end\n"                                                   \
    "c('DEL',K[2])\n"                                                                              \
    "if A[2]=='-1' then c('SET',K[1],A[3])\n"                                                      \
    "elseif A[2]~='0' then c('SET',K[1],A[3],'PX',A[2]) end\n"                                     \
    "if A[4]~='' then c('SET',K[3],A[4]..A[1]..A[7]..A[3],'PX',A[5]) end\n"                        \
    "c('PUBLISH',A[6],A[8]=='1' and A[7]..A[1]..A[3] or 'r'..A[1])\n"                              \
    "if A[9]~='' then c('PUBLISH',A[9],A[3]) end\n"                                                \
    "return 1\n"

/* ARGV: token, lease in ms. */
#define SCI_SCRIPT_RENEW                                                                           \
    "if redis.call('GET',KEYS[2])~=ARGV[1] then return 0 end\n"                                    \
    "return redis.call('PEXPIRE',KEYS[2],ARGV[2])\n"

/* For locks. KEYS: fence, lock, queue, alive (coord/lock.h); SCI_SCRIPT_RENEW fits the first three.

   The queue is a sorted set of those who wait, by when they came (us, and above the one before);
   `alive` has until when each one's place stands (ms). */

#define SCI_LUA_BEGIN                                                                              \
    SCI_LUA_NAMES                                                                                  \
    "local function drop(w) c('ZREM',K[3],w) c('HDEL',K[4],w) end\n"

/* Tell the first in the queue that anybody listens for. */
#define SCI_LUA_WAKE                                                                               \
    "local function wake(p,keep)\n"                                                                \
    "repeat\n"                                                                                     \
    "local f=c('ZRANGE',K[3],0,0)[1]\n"                                                            \
    "if not f then return end\n"                                                                   \
    "local heard=redis.pcall('PUBLISH',p..f,'')~=0\n"                                              \
    "if heard and keep=='1' then return end\n"                                                     \
    "drop(f)\n"                                                                                    \
    "until heard\n"                                                                                \
    "end\n"

/* Nothing is in the way but those who came before: the dead among them go. */
#define SCI_LUA_PASS                                                                               \
    "while not left and A[5]=='1' do\n"                                                            \
    "local f=c('ZRANGE',K[3],0,0)[1]\n"                                                            \
    "if not f or f==A[3] then break end\n"                                                         \
    "local e=tonumber(c('HGET',K[4],f)) or 0\n"                                                    \
    "if e*1000>us then left=math.ceil(e-us/1000) break end\n"                                      \
    "drop(f)\n"                                                                                    \
    "end\n"

/* Above the last token, and at least the server's time: so the last need not be kept longer than
   until that time has passed it, but for a clock that is set back: a day more. Who has the lock
   already, and asks again, has the last one. */
#define SCI_LUA_FENCE                                                                              \
    "local f=tonumber(c('GET',K[1])) or 0\n"                                                       \
    "if f==0 or not again then\n"                                                                  \
    "f=math.max(f+1,us)\n"                                                                         \
    "c('SET',K[1],f,'PX',math.ceil((f-us)/1000)+86400000)\n"                                       \
    "end\n"

/* The end of asking in vain. */
#define SCI_LUA_QUEUE                                                                              \
    "if A[4]~='0' then\n"                                                                          \
    "local z=c('ZRANGE',K[3],-1,-1,'WITHSCORES')[2]\n"                                             \
    "c('ZADD',K[3],'NX',math.max(us,(z or 0)+1),A[3])\n"                                           \
    "c('HSET',K[4],A[3],math.floor(us/1000)+A[4])\n"                                               \
    "for i=3,4 do\n"                                                                               \
    "if c('PTTL',K[i])<A[4]+0 then c('PEXPIRE',K[i],A[4]) end\n"                                   \
    "end\n"                                                                                        \
    "end\n"                                                                                        \
    "return {0,left}\n"

/* ARGV: token, lease in ms, who asks, for how long its place in the queue is to stand in ms
   ("0": it takes none), "1": whoever is before it in the queue comes before it. {1, fencing
   token} when the lock is free; a repeat with the same token after a lost reply is one taking.
   Else {0, ms until it is free if nobody does anything, or -1}. */
#define SCI_SCRIPT_LOCK                                                                            \
    SCI_LUA_BEGIN                                                                                  \
    "local t=c('TIME')\n"                                                                          \
    "local us=t[1]*1000000+t[2]\n"                                                                 \
    "local h=c('GET',K[2])\n"                                                                      \
    "local again=h==A[1]\n"                                                                        \
    "local left=h and c('PTTL',K[2])\n" SCI_LUA_PASS "if not left or again then\n" SCI_LUA_FENCE   \
    "c('SET',K[2],A[1],'PX',A[2])\n"                                                               \
    "drop(A[3])\n"                                                                                 \
    "return {1,f}\n"                                                                               \
    "end\n" SCI_LUA_QUEUE

/* ARGV: token, who asks, "1": who is woken keeps its place until it has the lock, channels'
   common beginning. Gives up the place in the queue, and the lock if it is ours; when the lock
   is free then, wakes the first in the queue. 1: it was ours. */
#define SCI_SCRIPT_UNLOCK                                                                          \
    SCI_LUA_BEGIN                                                                                  \
    SCI_LUA_WAKE                                                                                   \
    "local h=c('GET',K[2])\n"                                                                      \
    "drop(A[2])\n"                                                                                 \
    "if h==A[1] then c('DEL',K[2]) end\n"                                                          \
    "if not h or h==A[1] then wake(A[4],A[3]) end\n"                                               \
    "return h==A[1] and 1 or 0\n"

/* Elections that share their key with another library's: the key has the leader's name as its value,
   and `alive` the token in a field of its own. A token here is 32 characters, ":" and the name.
   KEYS: fence, lock, queue, alive. */

/* ARGV: as SCI_SCRIPT_LOCK; the queue has no order. */
#define SCI_SCRIPT_LEAD                                                                            \
    SCI_LUA_BEGIN                                                                                  \
    "local t=c('TIME')\n"                                                                          \
    "local us=t[1]*1000000+t[2]\n"                                                                 \
    "local name=A[1]:sub(34)\n"                                                                    \
    "local h=c('GET',K[2])\n"                                                                      \
    "local left=h and c('PTTL',K[2])\n"                                                            \
    "local again=h==name and c('HGET',K[4],'leader')==A[1]\n"                                      \
    "if not h or again then\n" SCI_LUA_FENCE "c('SET',K[2],name,'PX',A[2])\n"                      \
    "c('HSET',K[4],'leader',A[1])\n"                                                               \
    "if c('PTTL',K[4])<A[2]+0 then c('PEXPIRE',K[4],A[2]) end\n"                                   \
    "drop(A[3])\n"                                                                                 \
    "return {1,f}\n"                                                                               \
    "end\n" SCI_LUA_QUEUE

/* ARGV: as SCI_SCRIPT_UNLOCK. */
#define SCI_SCRIPT_UNLEAD                                                                          \
    SCI_LUA_BEGIN                                                                                  \
    SCI_LUA_WAKE                                                                                   \
    "local h=c('GET',K[2])\n"                                                                      \
    "local ours=h==A[1]:sub(34) and c('HGET',K[4],'leader')==A[1]\n"                               \
    "drop(A[2])\n"                                                                                 \
    "if ours then c('DEL',K[2]) c('HDEL',K[4],'leader') end\n"                                     \
    "if not h or ours then wake(A[4],A[3]) end\n"                                                  \
    "return ours and 1 or 0\n"

/* For quorum locks. KEYS: fence, lock, queue. ARGV: token, a number. The fencing token is at least
   that number from now on, if the lock is ours. */
#define SCI_SCRIPT_FENCE                                                                           \
    SCI_LUA_NAMES                                                                                  \
    "if c('GET',K[2])~=A[1] then return 0 end\n"                                                   \
    "local t=c('TIME')\n"                                                                          \
    "local ms=math.max(0,math.ceil((A[2]-t[1]*1000000-t[2])/1000))+86400000\n"                     \
    "if (tonumber(c('GET',K[1])) or 0)<A[2]+0 then c('SET',K[1],A[2],'PX',ms) end\n"               \
    "return 1\n"

/* ARGV: token, lease in ms. */
#define SCI_SCRIPT_RENEW_LEAD                                                                      \
    SCI_LUA_NAMES                                                                                  \
    "if c('GET',K[2])~=A[1]:sub(34) or c('HGET',K[4],'leader')~=A[1] then return 0 end\n"          \
    "if c('PTTL',K[4])<A[2]+0 then c('PEXPIRE',K[4],A[2]) end\n"                                   \
    "return c('PEXPIRE',K[2],A[2])\n"

/* Locks with several holders: the lock is a sorted set of their tokens, by when their leases end in
   ms, less a shift. A token that begins with "w" is alone. */

/* ARGV: as SCI_SCRIPT_LOCK, then how many may hold it together with us at most, the shift,
   channels' common beginning. Who gets it wakes the next, if there is room for more. */
#define SCI_SCRIPT_SHARE                                                                           \
    SCI_LUA_BEGIN                                                                                  \
    SCI_LUA_WAKE                                                                                   \
    "local t=c('TIME')\n"                                                                          \
    "local us=t[1]*1000000+t[2]\n"                                                                 \
    "local ms=math.floor(us/1000)\n"                                                               \
    "c('ZREMRANGEBYSCORE',K[2],'-inf',ms-A[7])\n"                                                  \
    "local n=c('ZCARD',K[2])\n"                                                                    \
    "local h=c('ZRANGE',K[2],0,0,'WITHSCORES')\n"                                                  \
    "local left,again\n"                                                                           \
    "if n>=A[6]+0 or n>0 and string.sub(h[1],1,1)=='w' then left=h[2]+A[7]-ms end\n" SCI_LUA_PASS  \
    "if not left or c('ZSCORE',K[2],A[1]) then\n" SCI_LUA_FENCE                                    \
    "c('ZADD',K[2],ms+A[2]-A[7],A[1])\n"                                                           \
    "if c('PTTL',K[2])<A[2]+0 then c('PEXPIRE',K[2],A[2]) end\n"                                   \
    "drop(A[3])\n"                                                                                 \
    "if n+1<A[6]+0 then wake(A[8],A[5]) end\n"                                                     \
    "return {1,f}\n"                                                                               \
    "end\n" SCI_LUA_QUEUE

/* ARGV: as SCI_SCRIPT_UNLOCK. Wakes the next in any case: it asks whether there is room for it. */
#define SCI_SCRIPT_UNSHARE                                                                         \
    SCI_LUA_BEGIN                                                                                  \
    SCI_LUA_WAKE                                                                                   \
    "local n=c('ZREM',K[2],A[1])\n"                                                                \
    "drop(A[2])\n"                                                                                 \
    "wake(A[4],A[3])\n"                                                                            \
    "return n\n"

/* KEYS: fence, lock, queue. ARGV: token, lease in ms, shift. */
#define SCI_SCRIPT_RENEW_SHARE                                                                     \
    SCI_LUA_NAMES                                                                                  \
    "if not c('ZSCORE',K[2],A[1]) then return 0 end\n"                                             \
    "local t=c('TIME')\n"                                                                          \
    "c('ZADD',K[2],math.floor(t[1]*1000+t[2]/1000)+A[2]-A[3],A[1])\n"                              \
    "if c('PTTL',K[2])<A[2]+0 then c('PEXPIRE',K[2],A[2]) end\n"                                   \
    "return 1\n"

/* For jobs (cache/job.h). KEYS: the election's fence and lock, the job's state, then what each
   script says. ARGV: the lock's value, the term, then what each script says.

   The state is a hash: `build`, the token of the last one; `rows` and `term` of it; `at`, when it was
   swapped in (ms); of a task `claim`, the token of the last time that was begun, and `seen`, the
   time by which nothing before is due any more (ms). */

/* Whether this is the last term that was granted, and its lock is held. A fence that has run out is
   that of no later term, since each sets it anew. */
#define SCI_LUA_LEADS                                                                              \
    "local f=c('GET',K[1])\n"                                                                      \
    "if c('GET',K[2])~=A[1] or f and f~=A[2] then return 0 end\n"

/* KEYS: for each key of the job its shadow, and itself. ARGV: token of the build, rows, TTL in ms
   ("0": none), "1": no rows delete the keys; for each key the command that counts its shadow, and
   what that must say. All shadows become the keys, in the place of what was there: 1. 0: another
   leads. Else the place of a shadow that is not what was built. A repeat after a lost reply changes
   nothing. */
#define SCI_SCRIPT_SWAP                                                                            \
    SCI_LUA_NAMES                                                                                  \
    "if c('HGET',K[3],'build')==A[3] then return 1 end\n" SCI_LUA_LEADS "for i=4,#K,2 do\n"        \
    "if A[4]~='0' and c(A[i+3],K[i])~=tonumber(A[i+4]) then return i end\n"                        \
    "end\n"                                                                                        \
    "for i=4,#K,2 do\n"                                                                            \
    "local k=K[i+1]\n"                                                                             \
    "if A[4]~='0' then\n"                                                                          \
    "c('UNLINK',k)\n"                                                                              \
    "c('RENAME',K[i],k)\n"                                                                         \
    "if A[5]=='0' then c('PERSIST',k) else c('PEXPIRE',k,A[5]) end\n"                              \
    "elseif A[6]=='1' then c('UNLINK',k) end\n"                                                    \
    "end\n"                                                                                        \
    "local t=c('TIME')\n"                                                                          \
    "c('HSET',K[3],'build',A[3],'term',A[2],'rows',A[4],'at',math.floor(t[1]*1000+t[2]/1000))\n"   \
    "return 1\n"

/* ARGV: token, time for which the task is due in ms, time that is `seen` then. 1: it may begin; 2: it
   has begun for this time already; 0: another leads. */
#define SCI_SCRIPT_CLAIM                                                                           \
    SCI_LUA_NAMES                                                                                  \
    "if c('HGET',K[3],'claim')==A[3] then return 1 end\n" SCI_LUA_LEADS                            \
    "if (tonumber(c('HGET',K[3],'seen')) or 0)>=tonumber(A[4]) then return 2 end\n"                \
    "c('HSET',K[3],'claim',A[3],'seen',A[5],'term',A[2])\n"                                        \
    "return 1\n"

/* KEYS: those of the job. Deletes all but the election's: 1; 0: another leads. */
#define SCI_SCRIPT_DROP                                                                            \
    SCI_LUA_NAMES SCI_LUA_LEADS "for i=3,#K do c('UNLINK',K[i]) end\n"                             \
                                "return 1\n"
