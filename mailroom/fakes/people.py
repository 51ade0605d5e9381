"""The LastUse and AppMail ports in memory."""

from collections.abc import Mapping, Sequence

from mailroom.ports.app_mail import AppMailError, Note
from mailroom.ports.last_use import EVERY_SECONDS


class MemoryLastUse:
    """The LastUse port."""

    def __init__(self) -> None:
        self._kept: dict[str, float] = {}
        self.writes = 0

    def used(self, id_: str, now: float) -> None:
        """See LastUse.used."""
        if now - self._kept.get(id_, -EVERY_SECONDS) >= EVERY_SECONDS:
            self.writes += 1
            self._kept[id_] = now

    def last(self, ids: Sequence[str]) -> Mapping[str, float]:
        """See LastUse.last."""
        return {id_: self._kept[id_] for id_ in ids if id_ in self._kept}


class MemoryAppMail:
    """The AppMail port: `sent` is what was handed over. While it `refuses`, nothing is."""

    def __init__(self) -> None:
        self.sent: list[Note] = []
        self.refuses = False

    def send(self, note: Note) -> None:
        """See AppMail.send."""
        if self.refuses:
            raise AppMailError("nobody took it")
        self.sent.append(note)
