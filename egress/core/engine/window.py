"""How many connections a path may have: a window that grows and falls by cohorts, as in Postfix.

See the Postfix queue scheduler's documentation on its concurrency window. What is added here: a
size that failed is tried again ever later, so that a receiver's fixed limit costs few refusals.
"""

_MOST_PATIENCE = 32  # clean cohorts, at most, before a size that failed is tried again


class Window:
    """From 1 to `ceiling` connections. A cohort is as many outcomes as the window is wide.

    It grows by one after a cohort without failure in which it was used in full, and falls by one
    at the first failure of a cohort. While `freeze` is set it may fall but does not grow.
    """

    __slots__ = (
        "_clean",
        "_patience",
        "_ripe",
        "_seen",
        "_sore",
        "_spoilt",
        "ceiling",
        "freeze",
        "size",
        "start",
    )

    def __init__(self, start: int, ceiling: int, size: int | None = None) -> None:
        self.ceiling = max(1, ceiling)
        self.start = max(1, min(start, self.ceiling))
        self.size = self._fit(self.start if size is None else size)
        self.freeze = False
        self._sore = 0  # the size at which trouble came last, 0 for none
        self._patience = 1  # clean cohorts that it takes to reach that size again
        self._ripe = 0  # clean cohorts just below it
        self._begin()

    def succeeded(self, in_use: int) -> bool:
        """Count a success while `in_use` connections were open; say whether the size changed."""
        self._seen += 1
        if in_use >= self.size:
            self._clean += 1
        if self._spoilt:
            if self._seen >= self.size:
                self._begin()
            return False
        if self._clean < self.size:
            return False
        return self._cohort_passed()

    def failed(self) -> bool:
        """Count a failure; say whether the size changed."""
        self._seen += 1
        if not self._spoilt:
            return self._cut(self.size - 1)
        if self._seen >= self.size:
            self._begin()
        return False

    def halve(self) -> bool:
        """Fall to half, at most once a cohort; say whether the size changed."""
        return not self._spoilt and self._cut(self.size // 2)

    def one(self) -> bool:
        """Fall to one connection; say whether the size changed."""
        return self._cut(1)

    def restart(self, size: int | None = None) -> None:
        """Begin again at `size`, or at the start."""
        self.size = self._fit(self.start if size is None else size)
        self._ripe = 0
        self._begin()

    def reset(self, start: int, ceiling: int) -> None:
        """Take other settings; what was learned stays as far as it fits."""
        self.ceiling = max(1, ceiling)
        self.start = max(1, min(start, self.ceiling))
        self.size = self._fit(self.size)

    def _fit(self, size: int) -> int:
        return max(1, min(size, self.ceiling))

    def _begin(self, *, spoilt: bool = False) -> None:
        self._seen = self._clean = 0
        self._spoilt = spoilt

    def _cut(self, size: int) -> bool:
        before = self.size
        if self._sore and before >= self._sore:
            self._patience = min(_MOST_PATIENCE, self._patience * 2)
        else:
            self._patience = 1
        self._sore = before
        self._ripe = 0
        self.size = self._fit(size)
        self._begin(spoilt=True)
        return self.size != before

    def _cohort_passed(self) -> bool:
        self._begin()
        if self._sore and self.size >= self._sore:
            self._sore, self._patience = 0, 1  # it carries what it did not carry then
        if self.freeze or self.size >= self.ceiling:
            return False
        if self.size + 1 == self._sore:
            self._ripe += 1
            if self._ripe < self._patience:
                return False
        self._ripe = 0
        self.size += 1
        return True
