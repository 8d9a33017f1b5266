"""What a server tells those who watch over it: figures as Prometheus reads them, and whether it is well."""

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from kvs.errors import KvsError, StoreClosedError, WritesRefusedError
from kvs.memory import MemoryEngine
from kvs.net.address import Address
from kvs.net.metrics import METRICS, as_text
from kvs.net.monitor import MAX_REQUESTS, Monitor
from kvs.net.service import Service
from kvs.net.vitals import Vitals

DEADLINE_S = 15.0
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)")


def samples(text: str) -> dict[str, float]:
    """Return the samples of a text in Prometheus's format, labels left out, its rules checked."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    helped, typed = "", ("", "")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split(" ")[2]
            assert line.split(" ", 3)[3].strip()
        elif line.startswith("# TYPE "):
            typed = tuple(line.split(" ")[2:4])
            assert typed[1] in {"counter", "gauge"}
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == helped == typed[0], "HELP and TYPE stand before their sample"
            assert (typed[1] == "counter") == match[1].endswith("_total")
            assert match[1] not in found, "no sample twice"
            found[match[1]] = float(match[3])
    return found


class Refusing(MemoryEngine):
    """An engine that has to refuse writes."""

    def write(self, ops: object) -> None:
        """Refuse."""
        del ops
        raise WritesRefusedError("an fsync failed")


class Stuck(MemoryEngine):
    """An engine that answers nobody, as one that compacts."""

    def stats(self) -> object:
        """Never answer."""
        threading.Event().wait(DEADLINE_S)
        raise StoreClosedError


def test_figures_become_samples() -> None:
    """Every figure that is known becomes one sample with HELP and TYPE; a truth becomes 1 or 0."""
    figures = {metric.figure: number for number, metric in enumerate(METRICS)} | {"writable": False, "engine": "log"}
    found = samples(as_text(figures, "1.0"))
    assert found.pop("kvs_build_info") == 1
    assert found.pop("kvs_writable") == 0
    assert found == {m.name: number for number, m in enumerate(METRICS) if m.figure != "writable"}


def test_what_nobody_measured_is_left_out() -> None:
    """A figure that is missing, or None, is no sample, and figures without a metric are passed over."""
    text = as_text({"keys": 3, "last_sync": None, "secret": 7, "engine": "log"}, "1.0")
    assert samples(text) == {"kvs_build_info": 1, "kvs_keys": 3}


def test_labels_are_quoted() -> None:
    """The version and the engine are labels, and whatever stands in them is quoted."""
    assert 'version="1\\"0\\\\\\n",engine="log"}' in as_text({"engine": "log"}, '1"0\\\n')


def test_names_follow_the_conventions() -> None:
    """Names begin with kvs_, counters end in _total, sizes in _bytes and times in _seconds."""
    for metric in METRICS:
        assert re.fullmatch(r"kvs_[a-z_]+", metric.name)
        base = metric.name.removesuffix("_total")
        assert (metric.kind == "counter") == (base != metric.name)
        if "bytes" in metric.figure:
            assert base.endswith("_bytes")
        if metric.figure in {"started_at", "last_sync"}:
            assert base.endswith("_seconds")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_vitals_are_the_server_s_figures() -> None:
    """The figures are those of the service and of its engine, at the moment of asking."""
    service = Service(MemoryEngine(), {})
    vitals = Vitals(service)
    before = samples(as_text(vitals.figures(), "1.0"))
    assert (before["kvs_keys"], before["kvs_writable"], before["kvs_connections"]) == (0, 1, 0)
    service.engine[b"a"] = b"1"
    service.counts.commands += 3
    service.counts.received_bytes += 70
    service.counts.rejected += 1
    found = samples(as_text(vitals.figures(), "1.0"))
    assert (found["kvs_keys"], found["kvs_commands_total"], found["kvs_received_bytes_total"]) == (1, 3, 70)
    assert found["kvs_connections_rejected_total"] == 1
    assert "kvs_segments" not in found, "a store in memory has no segments"
    assert abs(found["kvs_start_time_seconds"] - time.time()) < 60


def test_health_is_to_serve_and_to_take_writes() -> None:
    """All is well while writes are taken; not when they are refused, nor when the server stops."""
    service = Service(MemoryEngine(), {})
    assert Vitals(service).trouble() is None
    service.is_stopping = True
    assert Vitals(service).trouble() == "stopping"
    refusing = Vitals(Service(Refusing(), {}))
    assert refusing.trouble() == "writes are refused"
    assert samples(as_text(refusing.figures(), "1.0"))["kvs_writable"] == 0


def test_asking_changes_nothing() -> None:
    """To ask how the store is leaves it as it was, and is no error when it is closed already."""
    engine = MemoryEngine()
    engine[b"a"] = b"1"
    vitals = Vitals(Service(engine, {}))
    vitals.figures()
    assert vitals.trouble() is None
    assert dict(engine) == {b"a": b"1"}
    engine.close()
    assert vitals.figures()["keys"] == 1
    assert vitals.trouble() is None


def test_a_compaction_is_not_waited_for() -> None:
    """While a compaction holds the engine, the last known figures are told at once."""
    service = Service(Stuck(), {})
    vitals = Vitals(service)
    began = time.monotonic()
    with service.compacting():
        figures = vitals.figures()
        assert vitals.trouble() is None
    assert not service.is_compacting
    assert time.monotonic() - began < DEADLINE_S / 2
    assert samples(as_text(figures, "1.0"))["kvs_compacting"] == 1


@pytest.fixture
def told() -> dict[str, str | None]:
    """Return what the monitor is to tell."""
    return {"metrics": "kvs_keys 3\n", "trouble": None}


@pytest.fixture
def monitor(told: dict[str, str | None]) -> Iterator[Monitor]:
    """Return a monitor that tells it."""
    with Monitor(Address("127.0.0.1", 0), lambda: told["metrics"] or "", lambda: told["trouble"]) as found:
        yield found


def ask(monitor: Monitor, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
    """Ask by HTTP."""
    with closing(http.client.HTTPConnection(monitor.address, timeout=DEADLINE_S)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def test_metrics_are_answered(monitor: Monitor) -> None:
    """GET /metrics is the figures' text, of the type that Prometheus wants, with a query or without."""
    status, text, headers = ask(monitor, "/metrics")
    assert (status, text) == (200, "kvs_keys 3\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert ask(monitor, "/metrics?collect=all")[0] == 200


def test_a_watcher_may_ask_for_ever(monitor: Monitor) -> None:
    """However often it was asked, it is as ready to answer as at first."""
    assert [ask(monitor, "/metrics")[0] for _ in range(3 * MAX_REQUESTS)] == [200] * 3 * MAX_REQUESTS


def test_health_is_a_status(monitor: Monitor, told: dict[str, str | None]) -> None:
    """GET /healthz is 200 when all is well, and 503 with the reason when it is not."""
    assert ask(monitor, "/healthz")[:2] == (200, "ok\n")
    told["trouble"] = "stopping"
    assert ask(monitor, "/healthz")[:2] == (503, "stopping\n")
    told["trouble"] = None
    assert ask(monitor, "/healthz")[0] == 200


def test_head_has_no_body_and_other_questions_no_answer(monitor: Monitor) -> None:
    """HEAD answers like GET without the body; other paths are 404; other methods are refused."""
    host, _, port = monitor.address.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as talk:
        talk.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        head = b"".join(iter(lambda: talk.recv(4096), b""))
    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"\r\nContent-Length: 11\r\n" in head
    assert head.endswith(b"\r\n\r\n"), "it ends where the body would begin"
    assert ask(monitor, "/")[0] == 404
    assert ask(monitor, "/../../etc/passwd")[0] == 404
    assert ask(monitor, "/metrics", "POST")[0] == 501


def test_the_answer_names_no_python(monitor: Monitor) -> None:
    """The Server header says kvs and nothing of the Python beneath."""
    assert ask(monitor, "/metrics")[2]["Server"].strip() == "kvs"


def test_silent_clients_hold_nobody_up(monitor: Monitor) -> None:
    """Clients that connect and say nothing take a bounded number of threads, and others are answered meanwhile."""
    host, _, port = monitor.address.rpartition(":")
    before = threading.active_count()
    silent = [socket.create_connection((host, int(port)), DEADLINE_S) for _ in range(MAX_REQUESTS - 1)]
    try:
        assert ask(monitor, "/healthz")[0] == 200
        silent += [socket.create_connection((host, int(port)), DEADLINE_S) for _ in range(3 * MAX_REQUESTS)]
        for late in silent[MAX_REQUESTS + 1 :]:
            late.setblocking(True)
            late.settimeout(DEADLINE_S)
            assert late.recv(1) == b"", "who comes when there are too many is turned away at once"
        assert threading.active_count() <= before + MAX_REQUESTS
    finally:
        for each in silent:
            each.close()


def test_junk_and_vanished_clients_harm_nobody(monitor: Monitor) -> None:
    """Junk instead of a request, and clients that vanish, leave the monitor answering."""
    host, _, port = monitor.address.rpartition(":")
    for junk in (b"\x16\x03\x01\x02\x00" * 20, b"GET /metrics\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"G" * 100_000):
        with socket.create_connection((host, int(port)), DEADLINE_S) as talk:
            talk.sendall(junk)
    assert ask(monitor, "/healthz")[0] == 200


def test_a_taken_port_is_told(monitor: Monitor) -> None:
    """A port that is taken is an error that names it."""
    host, _, port = monitor.address.rpartition(":")
    with pytest.raises(KvsError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
        Monitor(Address(host, int(port)), str, lambda: None)


def test_it_closes() -> None:
    """When it is closed nobody listens any more, and its thread has ended."""
    before = threading.active_count()
    with Monitor(Address("127.0.0.1", 0), str, lambda: None) as monitor:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(monitor, "/healthz")
    assert threading.active_count() == before


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_it_listens_on_ipv6() -> None:
    """An IPv6 address is listened on, and told with brackets."""
    try:
        monitor = Monitor(Address("::1", 0), lambda: "kvs_keys 3\n", lambda: None)
    except KvsError as error:
        pytest.skip(str(error))
    with monitor:
        assert monitor.address.startswith("[::1]:")
        assert ask(monitor, "/metrics")[0] == 200
