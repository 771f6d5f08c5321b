#pragma once
/* The library's own Lua scripts, which the embedded server runs natively (cmd_script.c): change both
   together. KEYS of all: value, lease, result (coord/names). */

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
