"""The settings a layer may have: how each is written, and between what it has to be.

The table is what the loader, the cross checks and docs/shaping.md go by.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.domain.sending.rate import Rate, parse_rate
from mailroom.domain.sending.settings import IpUse, TlsUse

MAX_RATE = 1e9  # a second
MIN_RATE = 1 / 86_400  # one a day
_NAME = 64

Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how it is read (raises ValueError in plain words), and its unit for people.

    `field` is its name in PathSettings where documents have another.
    """

    read: Read
    unit: str
    field: str = ""


def _number(least: float, most: float, *, whole: bool) -> Read:
    kind = "whole number" if whole else "number"

    def read(value: Any) -> int | float:
        right = isinstance(value, int) or (not whole and isinstance(value, float))
        if isinstance(value, bool) or not right or not least <= value <= most:
            raise ValueError(f"a {kind} from {least:g} to {most:,g}")
        return int(value) if whole else float(value)

    return read


def whole(least: int, most: int) -> Read:
    """Return what reads a whole number."""
    return _number(least, most, whole=True)


def _seconds(least: float, most: float) -> Setting:
    return Setting(_number(least, most, whole=False), "seconds")


def read_rate(value: Any) -> Rate:
    """Return a rate. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("a rate like 100/min")  # noqa: TRY004 - somebody's document
    rate = parse_rate(value)
    if not MIN_RATE <= rate.per_second <= MAX_RATE:
        raise ValueError("a rate from one a day to 1,000,000,000 a second")
    return rate


def read_rate_or_none(value: Any) -> Rate | None:
    """Return a rate, or None for no limit. Raises ValueError."""
    return None if value is None else read_rate(value)


def _word(kind: type[TlsUse | IpUse]) -> Read:
    def read(value: Any) -> TlsUse | IpUse:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"one of {', '.join(kind)}") from None

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - somebody's document
    return value


_CONNECTIONS = Setting(whole(1, 10_000), "connections")
_RATE = Setting(read_rate_or_none, "rate")

SETTINGS: Mapping[str, Setting] = {
    "connections": _CONNECTIONS,
    "start_connections": _CONNECTIONS,
    "host_connections": _CONNECTIONS,
    "connection_rate": _RATE,
    "ramp_interval": _seconds(0, 3_600),
    "message_rate": _RATE,
    "byte_rate": _RATE,
    "messages_per_connection": Setting(whole(1, 100_000), "messages"),
    "idle": _seconds(0, 300),
    "age": _seconds(1, 3_600),
    # In a document, `addresses` are layers for addresses of ours.
    "addresses_tried": Setting(whole(1, 50), "addresses", "addresses"),
    "connect_timeout": _seconds(1, 300),
    "tls": Setting(_word(TlsUse), "word"),
    "ip": Setting(_word(IpUse), "word"),
    "adaptive": Setting(_flag, "true or false"),
    "tenant_share": Setting(_number(0.01, 1, whole=False), "share"),
}
BACKOFF: Mapping[str, Setting] = {
    "connections": _CONNECTIONS,
    "message_rate": _RATE,
    "connection_rate": _RATE,
    "seconds": _seconds(1, 604_800),
    "clean_deliveries": Setting(whole(0, 100_000), "deliveries"),
}
ADDRESS: Mapping[str, Setting] = {
    "connections": Setting(
        lambda value: None if value is None else whole(1, 100_000)(value), "connections"
    ),
    "message_rate": _RATE,
}
