# Sourced by bench/run and bench/instructions: a redis-server of their own, on a Unix socket, a
# loopback port and one for TLS, which ends with them. Sets BENCH_UNIX, BENCH_PORT, BENCH_TLS_PORT,
# BENCH_TLS_CA and BENCH_SERVER_PID. And build/smartcache-server on a Unix socket: BENCH_OWN_UNIX and
# BENCH_OWN_PID.

stop_server()
{
    [ -z "${BENCH_OWN_PID:-}" ] || kill "$BENCH_OWN_PID" 2>/dev/null
    [ -z "${BENCH_OWN_PID:-}" ] || wait "$BENCH_OWN_PID" 2>/dev/null
    [ -z "${BENCH_SERVER_PID:-}" ] || kill "$BENCH_SERVER_PID" 2>/dev/null
    [ -z "${BENCH_SERVER_PID:-}" ] || wait "$BENCH_SERVER_PID" 2>/dev/null
    rm -rf "$bench_folder"
}

answers()
{
    [ "$(redis-cli -s "${1:-$BENCH_UNIX}" PING 2>/dev/null)" = PONG ]
}

bench_folder=$(mktemp -d)
trap stop_server EXIT
trap 'exit 1' HUP INT TERM
BENCH_UNIX=$bench_folder/redis.sock
BENCH_PORT=$((20000 + $$ % 5000))
BENCH_TLS_CA=$bench_folder/server.crt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$bench_folder/server.key" -out "$BENCH_TLS_CA" \
    2>"$bench_folder/openssl" || cat "$bench_folder/openssl" >&2

# A port that is taken ends the server at once, and the next is tried.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    BENCH_TLS_PORT=$((BENCH_PORT + 5000))
    redis-server --bind 127.0.0.1 --port "$BENCH_PORT" --unixsocket "$BENCH_UNIX" --save '' \
        --tls-port "$BENCH_TLS_PORT" --tls-auth-clients no --tls-ca-cert-file "$BENCH_TLS_CA" \
        --tls-cert-file "$BENCH_TLS_CA" --tls-key-file "$bench_folder/server.key" \
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
BENCH_OWN_UNIX=$bench_folder/own.sock
build/smartcache-server --listen "unix://$BENCH_OWN_UNIX" >"$bench_folder/own.log" 2>&1 &
BENCH_OWN_PID=$!
while ! answers "$BENCH_OWN_UNIX" && kill -0 "$BENCH_OWN_PID" 2>/dev/null; do
    sleep 0.02
done
if ! answers "$BENCH_OWN_UNIX"; then
    echo "bench: smartcache-server does not start" >&2
    cat "$bench_folder/own.log" >&2
    exit 1
fi
export BENCH_OWN_UNIX BENCH_OWN_PID BENCH_UNIX BENCH_PORT BENCH_TLS_PORT BENCH_TLS_CA BENCH_SERVER_PID
