"""Suppressions as the use cases need them. Fake and adapter answer to the same tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailroom.domain.message import ServerId
from mailroom.domain.suppression import Reason, Suppression


@dataclass(frozen=True, slots=True)
class SuppressionPage:
    """Part of a scope; `cursor` is where the next part begins, "" after the last."""

    items: Sequence[Suppression]
    cursor: str = ""


class Suppressions(Protocol):
    """Who gets no mail any more. Expired suppressions are nowhere to be seen.

    Methods that take an address raise MalformedAddressError for what is none, except `among`.
    """

    def among(
        self, organisation: str, server: ServerId, stream: str, addresses: Sequence[str]
    ) -> Mapping[str, Suppression]:
        """Return those of `addresses` that are suppressed, by the address as it was given.

        Of several suppressions the strongest reason is named, of equal ones the widest scope.
        What is no address is suppressed nowhere.
        """

    def add(self, scope: str, suppression: Suppression) -> bool:
        """Add one, unless what is there says it all (`suppression.merged`); True if it is new.

        Idempotent. The scope given is the one that holds, whatever `suppression` names.
        """

    def add_many(self, scope: str, suppressions: Sequence[Suppression]) -> int:
        """Add many as `add` does, in few calls; return how many were new."""

    def remove(self, scope: str, address: str) -> bool:
        """Remove one; False if there was none."""

    def get(self, scope: str, address: str) -> Suppression | None:
        """Return the suppression of exactly this scope, or None."""

    def page(
        self, scope: str, limit: int, cursor: str = "", reason: Reason | None = None
    ) -> SuppressionPage:
        """Return up to `limit` of a scope in a stable order that says nothing about addresses.

        With `reason` at most 1,000 rows are read: a page may then be short, even empty, and
        still have a cursor. Raises ValueError for a cursor that no page gave.
        """

    def erase(self, scope: str, address: str) -> bool:
        """Forget the address and keep the suppression by its hash; False if there is none."""

    def remove_all(self, scope: str, limit: int) -> int:
        """Remove up to `limit` of a scope, expired ones too; return how many went."""
