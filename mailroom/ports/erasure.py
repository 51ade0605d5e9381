"""Taking personal data out of stored mail, and all of a tenant's data away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailroom.domain.event import Event
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, Submission


class Erasure(Protocol):
    """Rewrites of stored rows. None of them is published: nothing happened to the mail."""

    def rewrite_submission(self, before: Submission, after: Submission) -> None:
        """Store body, subject, metadata and DSN request of `after`, if the row is still there."""

    def rewrite_history(self, key: DeliveryKey, change: Callable[[Event], Event]) -> int:
        """Replace each recorded event of a delivery by what `change` makes of it; return how many.

        Id, type and time of an event stay.
        """

    def rewrite_recipient(self, before: Delivery, recipient: str) -> bool:
        """Give a delivery that is still as `before` another recipient.

        Its texts for merging and its last fact go, and no search by recipient finds it any more.
        False, changing nothing, if it has changed.
        """


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One submission as removal sees it: its number, and the S3 key of its body if it has one."""

    number: int
    body: str | None = None


class Removal(Protocol):
    """Deletes what belongs to a server, a bounded part a call; repeating a call is harmless."""

    def mail(self, server: ServerId, day: float, limit: int) -> Sequence[StoredMail]:
        """Return up to `limit` submissions accepted on the UTC day that holds `day`."""

    def drop_mail(self, server: ServerId, numbers: Sequence[int]) -> int:
        """Delete submissions with all that hangs on them; return how many rows went."""

    def drop_facts(self, server: ServerId, limit: int) -> int:
        """Delete up to `limit` facts of the server; return how many went."""

    def drop_counts(self, server: ServerId, limit: int) -> int:
        """Delete up to `limit` rows of statistics and limits; return how many went."""

    def drop_directory(self, partition: str, limit: int) -> int:
        """Delete up to `limit` rows of one partition of the directory; return how many went."""

    def drop_calls(self, server: ServerId, webhook: str, limit: int) -> int:
        """Delete up to `limit` tries of a webhook's history; return how many went."""
