"""The ports about API requests in memory."""

from mailroom.ports.requests import Allowance, Remembered, Standing

RUNNING_SECONDS = 300.0
KEPT_SECONDS = 86_400.0


class MemoryAnswers:
    """The Answers port."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, float, Remembered | None]] = {}

    def begin(self, owner: str, key: str, digest: str, now: float) -> Remembered:
        """See Answers.begin."""
        kept = self._kept.get((owner, key))
        if kept is not None:
            known, at, answer = kept
            over = RUNNING_SECONDS if answer is None else KEPT_SECONDS
            if now - at < over:
                if known != digest:
                    return Remembered(Standing.OTHER)
                return answer or Remembered(Standing.RUNNING)
        self._kept[owner, key] = (digest, now, None)
        return Remembered(Standing.NEW)

    def finish(self, owner: str, key: str, answer: Remembered, now: float) -> None:
        """See Answers.finish."""
        digest = self._kept[owner, key][0]
        done = Remembered(Standing.DONE, answer.status, answer.body, answer.headers)
        self._kept[owner, key] = (digest, now, done)

    def forget(self, owner: str, key: str) -> None:
        """See Answers.forget."""
        self._kept.pop((owner, key), None)


class MemoryRequestLimits:
    """The RequestLimits port, exact."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int], int] = {}

    def take(self, key: str, limit: int, window: float, now: float) -> Allowance:
        """See RequestLimits.take."""
        number = int(now // window)
        used = self._used.get((key, number), 0) + 1
        self._used[key, number] = used
        return Allowance(used <= limit, limit, max(0, limit - used), (number + 1) * window)
