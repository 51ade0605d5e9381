"""Slowing down whoever guesses: by client address, and by the user name of CRAM-MD5."""

from collections import OrderedDict
from collections.abc import Callable

from egress.core.smtp_answer import TOO_MANY_FAILURES, USER_BRAKED, Answer
from egress.core.smtp_brake import Brake
from egress.core.smtp_client import client_of
from egress.core.smtp_limits import Limits
from egress.core.smtp_login import Digest, Proof


class LoginBrakes:
    """Failed logins of a whole process. `clock` gives monotonic seconds.

    A user name is braked for CRAM-MD5 only, where it names a server; with PLAIN and LOGIN it
    means nothing, and counting it would let anybody lock out others who use the same word. For
    the same reason a client that a user has logged in from stays welcome.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        names, seconds = limits.braked_names, limits.failure_memory
        self._clock = clock
        self._names = names
        self._clients = Brake(limits.client_failures, seconds, names)
        self._users = Brake(limits.user_failures, seconds, names)
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()

    def refusal(self, address: str, proof: Proof) -> Answer | None:
        """Return the reply to a login that is not even looked up, or None."""
        now, client = self._clock(), client_of(address)
        if self._clients.is_on(client, now):
            return TOO_MANY_FAILURES
        user = _user(proof)
        if user and (client, user) not in self._welcome and self._users.is_on(user, now):
            return USER_BRAKED
        return None

    def failed(self, address: str, proof: Proof) -> None:
        """Count a failed login."""
        self.failed_at(address)
        self.failed_for(proof)

    def failed_at(self, address: str) -> None:
        """Count it for the client only."""
        self._clients.count(client_of(address), self._clock())

    def failed_for(self, proof: Proof) -> None:
        """Count it for the user name only, if it has one that means something."""
        user = _user(proof)
        if user:
            self._users.count(user, self._clock())

    def succeeded(self, address: str, proof: Proof) -> None:
        """Note a login. It forgives nothing: one good secret must not pay for guessing others."""
        user = _user(proof)
        if not user:
            return
        self._welcome[client_of(address), user] = None
        self._welcome.move_to_end((client_of(address), user))
        if len(self._welcome) > self._names:
            self._welcome.popitem(last=False)


def _user(proof: Proof) -> str:
    # The directory reads both spellings as one name.
    return proof.user.lower().replace("_", "/", 1) if isinstance(proof, Digest) else ""
