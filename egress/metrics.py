"""A host's view as Prometheus text and its health as facts. Pure: who serves them is elsewhere.

The format is small enough that a library, with its registry of global counters, would be more
code at the places that count than is here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mailroom.domain.sending.view import HostView, PathView

PREFIX = "mailroom_egress"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LONGEST_POLL = 120.0  # seconds without an answer of the queue after which a host is not well
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a host does its work. `poll_age` is seconds since its queue last answered, None
    while it has not yet; `leases` counts its source addresses. `needs_lease` is False for a host
    with an address of its own."""

    journal_ok: bool
    leases: int
    poll_age: float | None
    draining: bool = False
    needs_lease: bool = True

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong, in plain words; nothing of a host that drains but its journal."""
        found = []
        if not self.journal_ok:
            found.append("the journal cannot be written")
        if not self.draining:
            if self.needs_lease and not self.leases:
                found.append("no source address is leased")
            if self.poll_age is None or self.poll_age > LONGEST_POLL:
                found.append("the queue does not answer")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    kind: str  # counter or gauge
    about: str
    samples: Iterable[tuple[Labels, float]]


def prometheus_text(view: HostView, health: Health) -> str:
    """Return the metrics of a host in Prometheus' text format 0.0.4."""
    lines: list[str] = []
    for family in (*_of_host(view, health), *_of_paths(view.paths)):
        samples = list(family.samples)
        if not samples:
            continue
        name = f"{PREFIX}_{family.name}"
        lines += [f"# HELP {name} {family.about}", f"# TYPE {name} {family.kind}"]
        lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join([*lines, ""])


def _of_host(view: HostView, health: Health) -> Iterator[_Family]:
    alone: Labels = {}
    yield _Family("up", "gauge", "1 while the host is well", [(alone, not health.troubles)])
    yield _Family("draining", "gauge", "1 while it drains", [(alone, view.draining)])
    yield _Family("leases", "gauge", "Source addresses it holds", [(alone, len(view.leases))])
    yield _Family("in_flight", "gauge", "Deliveries under way", [(alone, view.in_flight)])
    yield _Family("start_time_seconds", "gauge", "When it started", [(alone, view.started_at)])
    if health.poll_age is not None:
        about = "Seconds since the queue last answered"
        yield _Family("poll_age_seconds", "gauge", about, [(alone, health.poll_age)])
    for name, about, label, counts in (
        ("waiting", "Deliveries that wait, by class", "lane", view.lanes),
        ("site_waiting", "Deliveries that wait, by receiving site", "site", view.waiting),
        ("tenant_waiting", "Deliveries that wait, by server", "tenant", view.tenants),
        ("parked", "Deliveries put back to their queue", "queue", view.parked),
    ):
        yield _Family(name, "gauge", about, [({label: k}, v) for k, v in counts.items()])
    yield from _counters(view.counters)


def _counters(counters: Mapping[str, float]) -> Iterator[_Family]:
    """Counters are named `name`, or `name/label/value` for one of several."""
    families: dict[str, list[tuple[Labels, float]]] = {}
    for key, value in counters.items():
        name, _, rest = key.partition("/")
        label, _, which = rest.partition("/")
        labels = {_UNFIT.sub("_", label): which} if label else {}
        families.setdefault(_UNFIT.sub("_", name), []).append((labels, value))
    for name, samples in families.items():
        yield _Family(f"{name}_total", "counter", f"Since the start: {name}", samples)


def _of_paths(paths: Iterable[PathView]) -> Iterator[_Family]:
    shown = [(_path_labels(path), path) for path in paths]
    states = Counter(path.state for _, path in shown)
    yield _Family(
        "paths", "gauge", "Paths by state", [({"state": k}, v) for k, v in states.items()]
    )
    for name, about, read in (
        ("path_connections", "Open connections of a path", "connections"),
        ("path_window", "Connections a path may have", "window"),
        ("path_ready", "Deliveries that wait for a path", "ready"),
        ("path_queue_age_seconds", "Age of what waits longest", "queue_age"),
        ("path_sent_5m", "Sent in the last five minutes", "sent"),
        ("path_deferred_5m", "Deferred in the last five minutes", "deferred"),
        ("path_bounced_5m", "Bounced in the last five minutes", "bounced"),
    ):
        yield _Family(name, "gauge", about, [(ls, getattr(path, read)) for ls, path in shown])
    rates = [(ls, path.rate) for ls, path in shown if path.rate is not None]
    yield _Family("path_rate", "gauge", "Messages a second a path may send", rates)


def _path_labels(path: PathView) -> Labels:
    return {
        "address": path.address,
        "site": path.site,
        "provider": path.provider,
        "pool": path.pool,
        "state": path.state,
    }


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inner}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
