"""Which deliveries this process has had trouble with, so that none is tried in vain for ever."""

from collections import OrderedDict

from mailroom.domain.message import DeliveryKey

_MOST_KEPT = 1_000


class Troubles:
    """Counts by delivery; forgets the oldest when there are too many."""

    def __init__(self, *, patience: int = 3) -> None:
        """Be patient `patience` times with each delivery, counting the last one."""
        self._patience = patience
        self._seen: OrderedDict[DeliveryKey, int] = OrderedDict()

    def exhausted_by(self, key: DeliveryKey) -> bool:
        """Count one more trouble with `key`; True when patience has ended, then forget it."""
        count = self._seen.pop(key, 0) + 1
        if count >= self._patience:
            return True
        self._seen[key] = count
        if len(self._seen) > _MOST_KEPT:
            self._seen.popitem(last=False)
        return False
