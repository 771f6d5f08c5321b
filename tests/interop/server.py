"""What users of redis-py do, on the embedded server: `server.py PORT|SOCKET`."""

import sys

import redis


def connect(place):
    if place.isdigit():
        return redis.Redis(host="127.0.0.1", port=int(place))
    return redis.Redis(unix_socket_path=place)


def values(client):
    assert client.set("k", b"\x00\xff", px=60000)
    assert client.get("k") == b"\x00\xff"
    assert 0 < client.pttl("k") <= 60000
    assert client.set("k", "other", nx=True) is None
    assert client.incrbyfloat("f", 0.5) == 0.5
    assert client.mget("k", "absent") == [b"\x00\xff", None]
    assert client.delete("k", "f") == 2
    try:
        client.lpush("l", "x")
        client.incr("l")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error)
    else:
        raise AssertionError("INCR of a list")


def collections(client):
    client.hset("h", mapping={"a": 1, "b": 2})
    assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
    client.sadd("s", "x", "y")
    assert client.smembers("s") == {b"x", b"y"}
    client.zadd("z", {"one": 1, "two": 2.5})
    assert client.zrange("z", 0, -1, withscores=True) == [(b"one", 1.0), (b"two", 2.5)]
    client.rpush("q", "1", "2")
    assert client.blpop("q", timeout=1) == (b"q", b"1")
    entry = client.xadd("x", {"field": "value"}, maxlen=10)
    assert client.xread({"x": "0"}) == [[b"x", [(entry, {b"field": b"value"})]]]
    for i in range(500):
        client.set(f"scan:{i}", i)
    assert len(set(client.scan_iter("scan:*", count=50))) == 500


def transactions(client):
    with client.pipeline() as pipe:
        pipe.watch("counter")
        pipe.multi()
        pipe.incr("counter")
        pipe.incr("counter")
        assert pipe.execute() == [1, 2]
    with client.pipeline() as pipe:
        pipe.watch("counter")
        client.incr("counter")
        pipe.multi()
        pipe.incr("counter")
        try:
            pipe.execute()
        except redis.WatchError:
            return
        raise AssertionError("a changed key was not noticed")


def messages(client):
    listener = client.pubsub()
    listener.subscribe("news")
    listener.psubscribe("ne*")
    assert [listener.get_message(timeout=10)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
    assert client.publish("news", "hello") == 2
    kinds = sorted(listener.get_message(timeout=10)["type"] for _ in range(2))
    assert kinds == ["message", "pmessage"]
    listener.close()


def main():
    client = connect(sys.argv[1])
    for part in values, collections, transactions, messages:
        part(client)
    assert client.info()["redis_version"]
    assert client.client_list()
    client.close()


main()
