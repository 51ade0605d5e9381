"""What each host shows of itself, put where the API and other hosts find it."""

import base64
import json
import zlib
from collections.abc import Sequence

from mailroom.domain.sending.view import HostView, dump_view, load_view
from mailroom.domain.tenancy.record import Place, Record
from mailroom.ports.control import Control

PARTITION = "view"
FRESH_SECONDS = 60.0  # a host writes every five: one that is silent so long is gone
MAX_HOSTS = 200
_EXPIRES = 3_600.0


def write_view(view: HostView, control: Control) -> None:
    """Show a host's view in place of its last one.

    It is packed: written every five seconds, its size is what it costs.
    """
    text = json.dumps(dump_view(view), separators=(",", ":")).encode()
    packed = base64.b85encode(zlib.compress(text, 6)).decode()
    body = {"at": view.at, "packed": packed}
    place = Place(PARTITION, view.process)
    control.put(Record(place, body, expires_at=view.at + _EXPIRES))


def remove_view(process: str, control: Control) -> None:
    """Take the view of a host away that ends."""
    control.delete(Place(PARTITION, process))


def read_views(control: Control, *, now: float) -> Sequence[HostView]:
    """Return the views of hosts that showed one in the last minute, in the order of their names."""
    found = control.page(PARTITION, limit=MAX_HOSTS)
    fresh = (each for each in found.records if now - float(each.body["at"]) <= FRESH_SECONDS)
    return [_unpacked(each) for each in fresh]


def _unpacked(record: Record) -> HostView:
    return load_view(json.loads(zlib.decompress(base64.b85decode(record.body["packed"]))))
