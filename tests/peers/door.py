"""A submission server with its ports in memory, in a thread of its own, for a client to talk to.

For what a client's side cannot show: the envelope, the DSN requests and the octets we took.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailroom.domain.message import Credential
from mailroom.usecases.accept import Parcel
from tests.egress.submission_stand import SECRET, SERVER, Stand

USER = "acme/shop"  # CRAM-MD5 looks secrets up by it
SENDER = "shop@acme.test"
_WITHIN = 60.0


@dataclass(frozen=True)
class Door:
    """Where it listens on 127.0.0.1, and what came in."""

    stand: Stand
    port: int
    tls_port: int

    @property
    def parcels(self) -> list[Parcel]:
        """Accepted messages, oldest first."""
        return list(self.stand.parcels)

    def names(self) -> list[str]:
        """The recipients of all messages, in the order they came."""
        return [str(each) for parcel in self.parcels for each in parcel.recipients]


@contextmanager
def open_door(
    *, proxies: tuple[str, ...] = (), networks: tuple[str, ...] = (), cram: bool = True
) -> Iterator[Door]:
    """Listen on free ports; clients in `networks` may send without a login.

    Fails on leaving if anything escaped a task of the server.
    """
    stand = Stand(proxies=proxies, cram=cram)
    login = Credential("c3", SERVER.id, "smtp", "digest", cram=True)
    stand.directory.add_cram(USER, login, SECRET)
    for network in networks:
        stand.directory.add_network(
            Credential(f"ip-{network}", SERVER.id, "smtp-ip", network), network
        )
    ready, stop, trouble = threading.Event(), asyncio.Event(), list[BaseException]()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with stand.listening():
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
            trouble.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="door")
    thread.start()
    try:
        assert ready.wait(_WITHIN)
        assert not trouble, trouble
        yield Door(stand, stand.server.ports[0], stand.server.tls_ports[0])
    finally:
        if not trouble:
            loop.call_soon_threadsafe(stop.set)
        thread.join(_WITHIN)
    assert not trouble, trouble
