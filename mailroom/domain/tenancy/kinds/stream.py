"""Streams of a server: mail of one purpose, with suppressions and a pool of its own.

Every server has `transactional` and `broadcast`; others are of one of these two classes. The id of
a stream is its name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.message import BROADCAST, TRANSACTIONAL
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    name: {"name": name, "class": name, "description": "", "pool": None}
    for name in (TRANSACTIONAL, BROADCAST)
}


def _runtime(stream: Resource) -> Sequence[Record]:
    fields = stream.fields
    place = Place(stream.parent, f"stream#{stream.id}")
    return [Record(place, {"class": fields["class"], "pool": fields.get("pool")})]


STREAM = ResourceKind(name="stream", prefix="str", most=20, recoverable=False, runtime=_runtime)
