"""Cutting what is to be sent into batches that SQS and SNS take."""

from collections.abc import Iterable, Iterator

_MOST = 10
_MAX_OCTETS = 250_000  # of 262,144, which ids and attributes count towards


def packed(bodies: Iterable[str]) -> Iterator[list[str]]:
    """Cut `bodies` (ASCII text) into lists of at most ten and 250,000 octets, in order.

    A body over the limit gets a list of its own, so that its refusal concerns no other.
    """
    batch: list[str] = []
    size = 0
    for body in bodies:
        if batch and (len(batch) == _MOST or size + len(body) > _MAX_OCTETS):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += len(body)
    if batch:
        yield batch
