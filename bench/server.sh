# Sourced by bench/run and bench/instructions: a redis-server of their own, on a Unix socket and a
# loopback port, which ends with them. Sets BENCH_UNIX, BENCH_PORT and BENCH_SERVER_PID.

stop_server()
{
    [ -z "${BENCH_SERVER_PID:-}" ] || kill "$BENCH_SERVER_PID" 2>/dev/null
    [ -z "${BENCH_SERVER_PID:-}" ] || wait "$BENCH_SERVER_PID" 2>/dev/null
    rm -rf "$bench_folder"
}

answers()
{
    [ "$(redis-cli -s "$BENCH_UNIX" PING 2>/dev/null)" = PONG ]
}

bench_folder=$(mktemp -d)
trap stop_server EXIT
trap 'exit 1' HUP INT TERM
BENCH_UNIX=$bench_folder/redis.sock
BENCH_PORT=$((20000 + $$ % 10000))

# A port that is taken ends the server at once, and the next is tried.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    redis-server --bind 127.0.0.1 --port "$BENCH_PORT" --unixsocket "$BENCH_UNIX" --save '' \
        --appendonly no --dir "$bench_folder" --logfile "$bench_folder/log" &
    BENCH_SERVER_PID=$!
    while ! answers && kill -0 "$BENCH_SERVER_PID" 2>/dev/null; do
        sleep 0.02
    done
    ! answers || break
    BENCH_PORT=$((BENCH_PORT + 1))
done
if ! answers; then
    echo "bench: redis-server does not start" >&2
    cat "$bench_folder/log" >&2
    exit 1
fi
export BENCH_UNIX BENCH_PORT BENCH_SERVER_PID
