"""A small DNS server on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = dict[tuple[str, str], list[str] | str]

RCODES = {
    "NXDOMAIN": dns.rcode.NXDOMAIN,
    "SERVFAIL": dns.rcode.SERVFAIL,
    "REFUSED": dns.rcode.REFUSED,
}


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers from `zone`: (name, type) to records, a response code, or SILENCE."""

    zone: dict[tuple[str, str], list[str] | str]
    ttl: int = 300
    asked: list[tuple[str, str]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    transport: asyncio.DatagramTransport | None = None
    waiting: set[asyncio.Task[None]] = field(default_factory=set)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self.answer(data, addr))
        self.waiting.add(task)
        task.add_done_callback(self.waiting.discard)

    async def answer(self, octets: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(octets)
        asked = query.question[0]
        name, kind = asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name, kind))
        if self.gate:
            await self.gate.wait()
        found = self.zone.get((name, kind)) or self.zone.get((name, "CNAME")) or self.default(name)
        if found == "SILENCE":
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if isinstance(found, str):
            response.set_rcode(RCODES[found])
        elif found:
            if (name, kind) not in self.zone:
                kind = "CNAME"
            response.answer.append(dns.rrset.from_text(asked.name, self.ttl, "IN", kind, *found))
        assert self.transport is not None
        self.transport.sendto(b"\xff" if found == ["GARBAGE"] else response.to_wire(), addr)

    def default(self, name: str) -> list[str] | str:
        return [] if any(each == name for each, _ in self.zone) else "NXDOMAIN"


@asynccontextmanager
async def serving(
    zone: dict[tuple[str, str], list[str] | str],
) -> AsyncIterator[tuple[NameServer, str]]:
    loop = asyncio.get_running_loop()
    server = NameServer(zone)
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    try:
        yield server, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
