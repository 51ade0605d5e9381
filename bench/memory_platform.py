"""A platform for doors to accept mail into, without a cloud: everything real but the ports."""

from collections import OrderedDict

from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.domain.message import Credential, Domain, Server, ServerId
from mailroom.fakes.memory import MemoryDirectory, MemoryKey, MemoryLane, MemoryLedger
from mailroom.usecases.accept import AcceptPorts

DOMAIN = "demo.mailroom.test"
SERVER = Server(ServerId("abcdefghij"), "demo", "Bench", "main", "abc123")
SMTP_PASSWORD = "s" * 24
API_KEY = "a" * 24
MAX_MESSAGE = 14 * 1024 * 1024
_MAX_BODIES = 1_000


class NewestBodies:
    """The Bodies port, keeping the newest thousand: a benchmark must not be one of memory."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, bytes] = OrderedDict()

    def put(self, key: str, raw: bytes) -> None:
        """See Bodies.put."""
        self._stored[key] = raw
        if len(self._stored) > _MAX_BODIES:
            self._stored.popitem(last=False)

    def get(self, key: str) -> bytes:
        """See Bodies.get."""
        return self._stored[key]


def directory() -> MemoryDirectory:
    """Return one server with a credential of each kind, the loopback network's among them."""
    made = MemoryDirectory()
    made.add_server(SERVER)
    made.add_credential(Credential("api", SERVER.id, "api", "bench"), API_KEY)
    made.add_credential(Credential("smtp", SERVER.id, "smtp", "bench"), SMTP_PASSWORD)
    made.add_network(Credential("network", SERVER.id, "smtp-ip", "bench"), "127.0.0.1")
    made.add_domain(
        Domain(DOMAIN, f"server#{SERVER.id}", verified=True, selector="bench", wrapped_key=b"")
    )
    made.add_key("token", MemoryKey("a", b"t" * 32))
    return made


def accept_ports(known: MemoryDirectory) -> AcceptPorts:
    """Return the ports of acceptance with everything in memory, clock and chance being real."""
    return AcceptPorts(
        directory=known,
        ledger=MemoryLedger(),
        bodies=NewestBodies(),
        lane=MemoryLane(),
        clock=SystemClock(),
        chance=SystemChance(),
        max_message_size=MAX_MESSAGE,
        body_key=lambda server, number, chance, _: f"30/{chance:02x}/{server.id}/{number}",
    )
