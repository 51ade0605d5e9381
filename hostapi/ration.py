"""Few calls at once that work with a large body: each takes several times its memory."""

from threading import Semaphore, local

from mailroom.ports import Bodies


class Ration:
    """`count` shares. A thread's call takes one when it meets a large body, and has it to its end;
    other threads wait.
    """

    def __init__(self, count: int) -> None:
        self._free = Semaphore(count)
        self._own = local()

    def take(self) -> None:
        """Take a share for the call of this thread, if it has none."""
        if not getattr(self._own, "taken", False):
            self._free.acquire()
            self._own.taken = True

    def end(self) -> None:
        """Give back what the call of this thread took."""
        if getattr(self._own, "taken", False):
            self._own.taken = False
            self._free.release()


class RationedBodies:
    """The Bodies port; whoever reads a stored message needs a share, since its size is not known
    before and what is made of it is larger still.
    """

    def __init__(self, inner: Bodies, ration: Ration) -> None:
        self._inner = inner
        self._ration = ration

    def put(self, key: str, raw: bytes) -> None:
        """See Bodies.put."""
        self._inner.put(key, raw)

    def get(self, key: str) -> bytes:
        """See Bodies.get."""
        self._ration.take()
        return self._inner.get(key)
