"""A host's view as CloudWatch metrics: lines in the embedded metric format, one set a minute.

Source: the CloudWatch embedded metric format specification (AWS documentation). Dimensions are
the environment and the provider, never the process or the site: each value of a dimension is a
metric that is paid for.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from mailroom.domain.sending.view import NORMAL, HostView, PathView

NAMESPACE = "Mailroom/Egress"
EVERY = 60.0
_COUNTED = ("sent", "deferred", "bounced", "expired", "uncertain")
_MOST_PROVIDERS = 30


def emf_lines(
    view: HostView, before: HostView | None, *, environment: str
) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects to log for `view`; `before` is the view of a minute ago.

    Counters are told as what they grew by, so that sums over hosts are right; without `before`
    they are left out.
    """
    metrics: dict[str, tuple[float, str]] = {
        "Waiting": (sum(view.lanes.values()), "Count"),
        "InFlight": (view.in_flight, "Count"),
        "Parked": (sum(view.parked.values()), "Count"),
        "Leases": (len(view.leases), "Count"),
        "PathsInTrouble": (sum(path.state != NORMAL for path in view.paths), "Count"),
        "OldestWaiting": (max((path.queue_age for path in view.paths), default=0.0), "Seconds"),
        **_grown(view.counters, before),
    }
    for lane, waiting in view.lanes.items():
        metrics[f"Waiting{lane.capitalize()}"] = (waiting, "Count")
    yield _line(view.at, metrics, {"Environment": environment})
    for provider, paths in _by_provider(view.paths)[:_MOST_PROVIDERS]:
        yield _line(
            view.at, _of_provider(paths), {"Environment": environment, "Provider": provider}
        )


def _grown(counters: Mapping[str, float], before: HostView | None) -> dict[str, tuple[float, str]]:
    if before is None:
        return {}
    grown = {name: counters.get(name, 0.0) - before.counters.get(name, 0.0) for name in _COUNTED}
    return {name.capitalize(): (max(0.0, value), "Count") for name, value in grown.items()}


def _by_provider(paths: tuple[PathView, ...]) -> list[tuple[str, list[PathView]]]:
    found: dict[str, list[PathView]] = defaultdict(list)
    for path in paths:
        found[path.provider].append(path)
    return sorted(found.items(), key=lambda item: (-sum(p.ready for p in item[1]), item[0]))


def _of_provider(paths: list[PathView]) -> dict[str, tuple[float, str]]:
    return {
        "Waiting": (sum(path.ready for path in paths), "Count"),
        "Connections": (sum(path.connections for path in paths), "Count"),
        "PathsInTrouble": (sum(path.state != NORMAL for path in paths), "Count"),
        "OldestWaiting": (max(path.queue_age for path in paths), "Seconds"),
    }


def _line(
    at: float, metrics: Mapping[str, tuple[float, str]], dimensions: Mapping[str, str]
) -> dict[str, Any]:
    described = [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()]
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": described,
    }
    return {
        "_aws": {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]},
        **dimensions,
        **{name: value for name, (value, _) in metrics.items()},
    }
