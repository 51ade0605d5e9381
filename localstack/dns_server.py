"""A DNS server for the local stack: `python -m localstack.dns_server --zone FILE`.

UDP and TCP on one port, answers from a JSON file (`localstack.dns_zone`) and from nothing else:
it never asks another server, so a name outside the file does not exist.
"""

import argparse
import asyncio
import json
import logging
import signal
import struct
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.rdatatype
from dns.message import Message
from dns.rcode import Rcode

from localstack.dns_zone import Zone, ZoneError, build_zone, look_up, read_document
from localstack.ready import write_ready
from localstack.zone_api import start_zone_api
from localstack.zone_overlay import Overlay

MAX_UDP = 1232  # octets; what passes every path unfragmented (DNS flag day 2020)
PLAIN_UDP = 512  # octets, for clients without EDNS (RFC 1035 section 4.2.1)
MAX_TCP_QUERY = 4096
TCP_IDLE = 10.0  # seconds
MAX_TCP_CONNECTIONS = 256
HEADER = 12  # octets

log = logging.getLogger(__name__)


class ZoneFile:
    """A zone that follows its file, with the names of `overlay` in place of the file's. What
    cannot be read leaves the last good zone standing.
    """

    def __init__(self, path: Path, overlay: Overlay | None = None) -> None:
        """Read `path`. Raises ZoneError, OSError."""
        self.overlay = Overlay() if overlay is None else overlay
        self._path = path
        self._seen = self._signature()
        self._document = read_document(path.read_bytes())
        self._zone = build_zone(self._document)
        self._version = 0

    def current(self) -> Zone:
        """The zone as the file last stood in a readable state."""
        try:
            signature = self._signature()
            if signature != self._seen:
                self._seen = signature
                document = read_document(self._path.read_bytes())
                self._zone = build_zone(self.overlay.over(document))
                self._document = document
                log.info("zone re-read from %s", self._path.name)
        except (OSError, ZoneError) as error:
            if self._seen is not None:
                log.warning("keeping the old zone: %s", error)
            self._seen = self._signature_or_none()
        if self._version != self.overlay.version:
            self._zone = build_zone(self.overlay.over(self._document))
            self._version = self.overlay.version
        return self._zone

    def _signature(self) -> tuple[int, int, int] | None:
        stat = self._path.stat()
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _signature_or_none(self) -> tuple[int, int, int] | None:
        try:
            return self._signature()
        except OSError:
            return None


class Responder:
    """Turns the octets of a query into those of its response, and writes the query log."""

    def __init__(self, zone: ZoneFile, query_log: TextIO | None) -> None:
        self._zone = zone
        self._log = query_log

    def respond(self, wire: bytes, proto: str) -> bytes | None:
        """Return the response to `wire`, or None for what must not be answered.

        `proto` is "udp" or "tcp"; over UDP a response that does not fit is cut and marked (TC).
        """
        if len(wire) < HEADER or wire[2] & 0x80:  # answering a response could loop for ever
            return None
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            self._record("", "", Rcode.FORMERR, proto)
            return _format_error(wire)
        response = self._response(query, proto)
        if response is None:
            return None
        limit = 65_535
        if proto == "udp":
            limit = min(MAX_UDP, max(PLAIN_UDP, query.payload)) if query.edns >= 0 else PLAIN_UDP
        return response.to_wire(max_size=limit, prefer_truncation=True)

    def _response(self, query: Message, proto: str) -> Message | None:
        response = dns.message.make_response(query, recursion_available=True, our_payload=MAX_UDP)
        name, rdtype = "", ""
        if query.opcode() != dns.opcode.QUERY:
            response.set_rcode(Rcode.NOTIMP)
        elif len(query.question) != 1:
            response.set_rcode(Rcode.FORMERR)
        else:
            question = query.question[0]
            name, rdtype = str(question.name), dns.rdatatype.to_text(question.rdtype)
            if question.rdclass != dns.rdataclass.IN:
                response.set_rcode(Rcode.REFUSED)
            else:
                overlay = self._zone.overlay
                overlay.note(question.name, question.rdtype)
                answer = look_up(self._zone.current(), question.name, question.rdtype, overlay.turn)
                if answer.is_silent:
                    self._record(name, rdtype, None, proto)
                    return None
                response.flags |= dns.flags.AA
                response.set_rcode(answer.rcode)
                response.answer.extend(answer.found)
                response.authority.extend(answer.authority)
        self._record(name, rdtype, response.rcode(), proto)
        return response

    def _record(self, name: str, rdtype: str, rcode: Rcode | None, proto: str) -> None:
        if self._log is None:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        code = rcode.name if rcode is not None else "silence"
        line = {"at": at, "name": name, "type": rdtype, "rcode": code, "proto": proto}
        self._log.write(json.dumps(line) + "\n")


def _format_error(wire: bytes) -> bytes:
    """A bare header: the query's id, opcode and RD, QR set, FORMERR, all counts 0."""
    flags = 0x8000 | (struct.unpack("!H", wire[2:4])[0] & 0x7900) | Rcode.FORMERR
    return struct.pack("!2sHHHHH", wire[:2], flags, 0, 0, 0, 0)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, wire: bytes, peer: tuple[str | object, int]) -> None:
        response = self._responder.respond(wire, "udp")
        if response is not None and self._transport is not None:
            self._transport.sendto(response, peer)


class DnsServer:
    """A running server; `port` is the one it got."""

    def __init__(
        self, port: int, datagrams: asyncio.DatagramTransport, streams: asyncio.Server
    ) -> None:
        self.port = port
        self._datagrams = datagrams
        self._streams = streams

    async def stop(self) -> None:
        """Close both sockets."""
        self._datagrams.close()
        self._streams.close()
        # One turn of the loop lets the closed transports go before the loop itself does.
        await asyncio.sleep(0)


async def start_server(responder: Responder, host: str, port: int) -> DnsServer:
    """Listen on `host`:`port` over UDP and TCP; port 0 finds one that is free for both.

    Raises OSError when the port is taken.
    """
    open_connections: set[asyncio.StreamWriter] = set()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        try:
            if len(open_connections) <= MAX_TCP_CONNECTIONS:
                await _serve_stream(responder, reader, writer)
        except (OSError, EOFError, TimeoutError):
            log.debug("a TCP client went away")
        finally:
            open_connections.discard(writer)
            writer.close()

    loop = asyncio.get_running_loop()
    for tries_left in reversed(range(20)):
        datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(responder), local_addr=(host, port)
        )
        chosen = datagrams.get_extra_info("sockname")[1]
        try:
            streams = await asyncio.start_server(stream, host, chosen)
        except OSError:
            datagrams.close()
            if port or not tries_left:
                raise
        else:
            return DnsServer(chosen, datagrams, streams)
    raise OSError("no port is free for both UDP and TCP")


async def _serve_stream(
    responder: Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        async with asyncio.timeout(TCP_IDLE):
            length = int.from_bytes(await reader.readexactly(2))
            if length > MAX_TCP_QUERY:
                return
            wire = await reader.readexactly(length)
        response = responder.respond(wire, "tcp")
        if response is None:
            return
        writer.write(len(response).to_bytes(2) + response)
        await writer.drain()


async def _serve(options: argparse.Namespace, zone: ZoneFile, query_log: TextIO | None) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = await start_server(Responder(zone, query_log), options.host, options.port)
    try:
        api = await start_zone_api(zone.overlay, options.api_port)
        facts = {"host": options.host, "port": server.port, "api_port": api.port}
        write_ready(options.ready_file, facts)
        log.info("answering on %s port %d", options.host, server.port)
        log.info("records may be changed at http://127.0.0.1:%d/zone/records", api.port)
        await stopping.wait()
        await api.stop()
    finally:
        await server.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns 0, or 2 for a bad zone file or a port that is taken."""
    parser = argparse.ArgumentParser(prog="python -m localstack.dns_server")
    parser.add_argument(
        "--zone", type=Path, required=True, help="JSON zone, followed as it changes"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--api-port", type=int, default=0, help="of PUT /zone/records; 0: free")
    parser.add_argument("--log", type=Path, help="one JSON line a query is appended here")
    parser.add_argument("--ready-file", type=Path, help="written once it listens: pid, host, port")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="dns: %(message)s", stream=sys.stderr)
    query_log: TextIO | None = None
    try:
        zone = ZoneFile(options.zone)
        if options.log:
            options.log.parent.mkdir(parents=True, exist_ok=True)
            query_log = options.log.open("a", buffering=1, encoding="utf-8")
        asyncio.run(_serve(options, zone, query_log))
    except ZoneError as error:
        sys.stderr.write(f"dns: {options.zone}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"dns: {error}\n")
        return 2
    finally:
        if query_log is not None:
            query_log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
