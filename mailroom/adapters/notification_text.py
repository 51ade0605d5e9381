"""How a notification is written in the webhook queue."""

import json
from dataclasses import asdict

from mailroom.domain.message import ServerId
from mailroom.ports import Notification


def dump_notification(notification: Notification) -> str:
    """Write a notification as the body of a queue message (ASCII)."""
    return json.dumps({"v": 1, **asdict(notification)}, separators=(",", ":"))


def load_notification(body: str) -> Notification:
    """Read what `dump_notification` wrote; what an older writer did not know has its default.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    stored = json.loads(body)
    if stored["v"] != 1:
        raise ValueError(f"notification schema {stored['v']} is not known here")
    return Notification(
        uuid=stored["uuid"],
        server=ServerId(stored["server"]),
        webhook=stored["webhook"],
        url=stored["url"],
        event=stored["event"],
        body=stored["body"],
        attempt=int(stored["attempt"]),
        first_at=float(stored["first_at"]),
        not_before=float(stored["not_before"]),
        sign=bool(stored.get("sign", True)),
        waits=int(stored.get("waits", 0)),
        replay=bool(stored.get("replay", False)),
    )
