"""The published shaping and reply rules as one host has them: asked for every two seconds.

What is published counts from then on, without a restart. A version that this host cannot read
is logged, and the one before stays; while nothing is published, or the table did not answer since
the start, the shipped sets count.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from egress.polling import poll
from mailroom.adapters.shipped import STARTER, shipped_reply_rules, shipped_shaping
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.rule_json import load_book
from mailroom.domain.shaping.layers import ShapingSet
from mailroom.domain.shaping.loading import load
from mailroom.ports.control import Control
from mailroom.usecases.published import (
    Kind,
    PublishPorts,
    generation,
    newest_version,
    version,
)

log = logging.getLogger(__name__)

EVERY = 2.0
WHOLE = 60.0  # seconds after which the newest is read again, whatever the generation says

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InUse(Generic[T]):
    """What counts now: `version` is the published one's number, 0 for what is shipped."""

    content: T
    version: int = 0
    name: str = ""

    def __str__(self) -> str:
        return str(self.version) if self.version else f"shipped {self.name}".rstrip()


class Followed(Generic[T]):
    """The newest version of one kind that this host could read."""

    def __init__(
        self,
        kind: Kind,
        control: Control,
        load_content: Callable[[Mapping[str, Any]], T],
        first: InUse[T],
    ) -> None:
        """Take what reads a document, raising if it cannot, and what counts until there is one."""
        self._kind = kind
        self._control = control
        self._load = load_content
        self._generation = -1
        self._read_at = float("-inf")
        self._refused = 0  # the number of the version that could not be read
        self.in_use = first

    async def refresh(self, now: float) -> bool:
        """Look once, and say whether something else counts now. Raises what the table raises."""
        seen = await asyncio.to_thread(generation, self._kind, self._control)
        if seen == self._generation and now - self._read_at < WHOLE:
            return False
        # The generation was read first: a change in between is seen at the next look.
        found = await asyncio.to_thread(self._newer)
        self._generation, self._read_at = seen, now
        if found is None:
            return False
        self.in_use = found
        return True

    def _newer(self) -> InUse[T] | None:
        ports = PublishPorts(self._control)
        newest = newest_version(self._kind, ports)
        if newest is None or newest.number in (self.in_use.version, self._refused):
            return None
        try:
            content = self._load(version(self._kind, newest.number, ports).document)
        except (KeyError, TypeError, ValueError) as error:
            self._refused = newest.number
            log.error(  # noqa: TRY400 - the document is wrong, not what reads it
                "version %d of %s cannot be read here; what counts is still %s: %s",
                newest.number, self._kind, self.in_use, str(error)[:500],
            )  # fmt: skip
            return None
        return InUse(content, newest.number)


class Documents:
    """The shaping set and the rule book in force."""

    def __init__(
        self,
        control: Control,
        *,
        now: Callable[[], float],
        shaping: str = STARTER,
        changed: Callable[[Kind], object] = lambda _: None,
        every: float = EVERY,
    ) -> None:
        """Take the name of the shipped shaping set to begin with, and the clock (Unix seconds).

        `changed` is called in the loop with each kind of which something else counts now. Raises
        ValueError for a name that no set has.
        """
        rules = shipped_reply_rules()
        self._shaping = Followed(
            Kind.SHAPING, control, load, InUse(shipped_shaping(shaping), name=shaping)
        )
        self._rules = Followed(Kind.RULES, control, load_book, InUse(rules, name=rules.version))
        self._now = now
        self._changed = changed
        self._every = every

    @property
    def shaping(self) -> ShapingSet:
        """The shaping set in force."""
        return self._shaping.in_use.content

    @property
    def rules(self) -> RuleBook:
        """The reply rules in force."""
        return self._rules.in_use.content

    @property
    def shaping_version(self) -> str:
        """The number of the published shaping in force, or the name of what is shipped."""
        return str(self._shaping.in_use)

    @property
    def rules_version(self) -> str:
        """The number of the published rules in force, or the name of what is shipped."""
        return str(self._rules.in_use)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        await poll(self.refresh, stop, every=self._every)

    async def refresh(self) -> None:
        """Look once. Trouble with the table is logged, not raised."""
        await self._look(self._shaping, Kind.SHAPING)
        await self._look(self._rules, Kind.RULES)

    async def _look(self, followed: Followed[Any], kind: Kind) -> None:
        try:
            is_new = await followed.refresh(self._now())
        except Exception:
            log.exception("%s is not answered: what is known stays in force", kind)
            return
        if is_new:
            log.info("%s: version %s counts now", kind, followed.in_use)
            self._changed(kind)
