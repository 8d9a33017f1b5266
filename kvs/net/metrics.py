"""Metrics: the figures of a server as Prometheus reads them.

Layout, for each figure that is known (version 0.0.4 of the text format):

    # HELP kvs_keys Keys that have a value.
    # TYPE kvs_keys gauge
    kvs_keys 3

A counter's name ends in `_total`; sizes are in bytes and times in seconds, and the names say so. A figure that an
engine does not have is left out, rather than shown as a zero that nobody measured.

Source: prometheus.io, "Exposition formats" and "Metric and label naming".
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One figure: its name here, its name there, what kind it is, and what it says."""

    figure: str
    name: str
    kind: str
    about: str


METRICS: Final = (
    Metric("started_at", "kvs_start_time_seconds", "gauge", "When the server began, in seconds since 1970."),
    Metric("writable", "kvs_writable", "gauge", "1 while the store takes writes, 0 after it had to refuse them."),
    Metric("clients", "kvs_connections", "gauge", "Connections that are open."),
    Metric("accepted", "kvs_connections_total", "counter", "Connections taken on."),
    Metric(
        "rejected", "kvs_connections_rejected_total", "counter", "Connections turned away, for there were too many."
    ),
    Metric("broken", "kvs_connections_broken_total", "counter", "Connections closed because they broke the protocol."),
    Metric("overdue", "kvs_connections_overdue_total", "counter", "Connections closed because a time-out ran out."),
    Metric("commands", "kvs_commands_total", "counter", "Commands carried out."),
    Metric("errors", "kvs_errors_total", "counter", "Commands answered by an error."),
    Metric("received_bytes", "kvs_received_bytes_total", "counter", "Bytes received from clients."),
    Metric("sent_bytes", "kvs_sent_bytes_total", "counter", "Bytes sent to clients."),
    Metric("keys", "kvs_keys", "gauge", "Keys that have a value."),
    Metric("live_bytes", "kvs_live_bytes", "gauge", "Bytes that the current values need."),
    Metric("dead_bytes", "kvs_dead_bytes", "gauge", "Bytes that a compaction would give back."),
    Metric("disk_bytes", "kvs_disk_bytes", "gauge", "Bytes that the store takes on the disk."),
    Metric("segments", "kvs_segments", "gauge", "Files that the log consists of."),
    Metric("merges", "kvs_merges_total", "counter", "Segments written by compaction."),
    Metric("compacting", "kvs_compacting", "gauge", "1 while a compaction is under way, else 0."),
    Metric("unsynced_bytes", "kvs_unsynced_bytes", "gauge", "Bytes written and not known to be durable yet."),
    Metric("last_sync", "kvs_last_sync_timestamp_seconds", "gauge", "When an fsync last succeeded, since 1970."),
)


def as_text(figures: Mapping[str, object], version: str) -> str:
    r"""Return the figures in Prometheus's text format; those that METRICS does not know are left out.

    >>> print(as_text({"keys": 3}, "1.0").splitlines()[-1])
    kvs_keys 3
    """
    lines = [
        "# HELP kvs_build_info Which kvs this is; always 1.",
        "# TYPE kvs_build_info gauge",
        f'kvs_build_info{{version="{_label(version)}",engine="{_label(str(figures.get("engine", "")))}"}} 1',
    ]
    for figure, name, kind, about in METRICS:
        value = figures.get(figure)
        if isinstance(value, int | float):
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}", f"{name} {value + 0}"]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    r"""Return a label's value as it is quoted.

    >>> print(_label('a "b"'))
    a \"b\"
    """
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
