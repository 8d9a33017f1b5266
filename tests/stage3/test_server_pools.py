"""Tasks 3.5 and 3.6: a server works on any pool that it is given."""

from collections.abc import Callable

from support.hosted import Hosted
from support.pools import every_pool, running
from support.wire import frame

import kvs

Host = Callable[..., Hosted]


@every_pool
def test_four_clients_on_a_pool(host: Host, pool_name: str) -> None:
    """On a pool of four threads four clients are served at the same time, each with the replies to its own commands."""
    with running(pool_name, 4) as pool:
        hosted = host(kvs.MemoryEngine(), pool)
        clients = [hosted.connect() for _ in range(4)]
        for number in range(20):
            for name, client in enumerate(clients):
                client.send(frame("SET", f"key{name}", f"{name} {number}") + frame("GET", f"key{name}"))
        for name, client in enumerate(clients):
            replies = [client.reply() for _ in range(40)]
            assert replies == [reply for number in range(20) for reply in (b"OK", b"%d %d" % (name, number))]
        hosted.end()


@every_pool
def test_clients_come_and_go_on_a_pool(host: Host, pool_name: str) -> None:
    """A pool of two threads serves thirty clients one after the other, though every third of them is reset."""
    with running(pool_name, 2) as pool:
        hosted = host(kvs.MemoryEngine(), pool)
        for number in range(30):
            client = hosted.connect()
            client.send(frame("SET", "key", number) + frame("GET", "key"))
            client.expect(b"+OK\r\n$%d\r\n%d\r\n" % (len(str(number)), number))
            if number % 3:
                client.close()
            else:
                client.send(frame("GET", "key")[:7])
                client.reset()
        hosted.end()
