#!/bin/sh
# The usual clients on the embedded server: redis-cli, redis-benchmark, node's two, Python's. Each does
# what its users do; the server runs on a Unix socket and on a free port of the loopback.
set -eu

work=$(mktemp -d)
server=
clean_up()
{
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

fail()
{
    echo "test_server: $*" >&2
    exit 1
}

# expect WHAT IS WAS
expect()
{
    [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
}

mkfifo "$work/places"
build/smartcache-server --quiet --listen "unix://$work/s.sock" --listen redis://127.0.0.1:0 >"$work/places" &
server=$!
{
    IFS= read -r unix_place
    IFS= read -r tcp_place
} <"$work/places" || fail 'the server did not start'
port=${tcp_place##*:}
echo "$unix_place, $tcp_place"

cli()
{
    redis-cli -s "$work/s.sock" "$@"
}

expect 'redis-cli SET' OK "$(cli SET name 'a b')"
expect 'redis-cli GET' 'a b' "$(redis-cli -p "$port" GET name)"
expect 'redis-cli --scan' name "$(cli --scan --pattern 'n*')"
expect 'redis-cli -x' OK "$(printf 'x\ny' | cli -x SET lines)"
expect 'redis-cli --pipe' 'errors: 0, replies: 2' \
    "$(printf 'INCR n\r\nINCR n\r\n' | cli --pipe | tail -n 1)"
expect 'a transaction' 'OK QUEUED QUEUED 3 4' \
    "$(printf 'MULTI\nINCR n\nINCR n\nEXEC\n' | cli | tr '\n' ' ' | sed 's/ $//')"
cli --bigkeys >"$work/out" || fail 'redis-cli --bigkeys'
cli --memkeys >"$work/out" || fail 'redis-cli --memkeys'
cli INFO | grep -q '^redis_version:' || fail 'redis-cli INFO'
expect 'redis-cli FLUSHALL' OK "$(cli FLUSHALL)"

tests=ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset
for pipeline in 1 16; do
    redis-benchmark -s "$work/s.sock" -n 2000 -c 20 -P "$pipeline" -t "$tests" --csv \
        >"$work/out" 2>&1 || fail "redis-benchmark -P $pipeline"
    ! grep -qi error "$work/out" || fail "redis-benchmark -P $pipeline: $(grep -i error "$work/out")"
    [ "$(grep -c '^"' "$work/out")" -ge 16 ] || fail "redis-benchmark -P $pipeline left tests out"
done

for place in "$port" "$work/s.sock"; do
    cli FLUSHALL >/dev/null
    node tests/interop/server.js "$place" || fail "node on $place"
    cli FLUSHALL >/dev/null
    # Debian's own, for which its packages are.
    /usr/bin/python3 tests/interop/server.py "$place" || fail "Python on $place"
done

kill "$server"
wait "$server" || fail "the server ended with status $?"
server=
[ ! -e "$work/s.sock" ] || fail 'the socket was left behind'
