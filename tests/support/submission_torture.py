"""Abuse of the submission server as tables: octets in, codes out, and what may be left of it.

While each case runs, a well-behaved client is in the middle of a message on the same server; it
must get that message through.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import pytest

from egress.core.smtp_limits import Limits
from mailroom.domain.message import Credential
from tests.egress.submission_stand import CALM, MESSAGE, SECRET, SERVER, Client, Stand, plain, until

MAIL = b"MAIL FROM:<shop@acme.test>\r\n"
RCPT = b"RCPT TO:<ann@example.org>\r\n"
OPEN = MAIL + RCPT
WHOLE = OPEN + b"DATA\r\n" + MESSAGE + b".\r\n"
OPENED = "250 2.1.0, 250 2.1.5"
TAKEN = f"{OPENED}, 354, 250 2.0.0"

CUSTOMER_ADDRESS = "127.0.0.2"  # the well-behaved client's; the abuse comes from 127.0.0.1
_BEGUN = 30  # octets of the bystander's message that are sent before the abuse


class Start(StrEnum):
    """How far the client is when the abuse begins."""

    CONNECTED = "connected"  # nothing read or said
    STRANGER = "stranger"  # the greeting is read
    GREETED = "greeted"  # EHLO said, in clear
    IMPLICIT = "implicit"  # TLS from the first octet, no EHLO
    SECURE = "secure"  # STARTTLS done, EHLO said
    USER = "user"  # logged in


@dataclass(frozen=True, slots=True)
class Case:
    """One abuse. `said` lists the codes of all replies to `sent`, separated by commas.

    `stays`: the session goes on afterwards, in step. `ends`: the client closes its sending side.
    `known`: the client's address opens the server without a login. `stored`: messages accepted.
    """

    name: str
    sent: bytes
    said: str = ""
    start: Start = Start.USER
    stays: bool = True
    ends: bool = False
    known: bool = False
    stored: int = 0
    limits: Limits = CALM
    cram: bool = False
    proxies: tuple[str, ...] = ()

    @property
    def codes(self) -> list[str]:
        """The expected codes, one for each reply."""
        return [code for code in self.said.split(", ") if code]


def cases(table: Iterable[Case]) -> pytest.MarkDecorator:
    """Run a test once for each case, under the case's name."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in table])


def stand_for(case: Case) -> Stand:
    """Return the world in which `case` takes place."""
    stand = Stand(case.limits, cram=case.cram, proxies=case.proxies)
    if case.cram:
        cram = Credential("c9", SERVER.id, "smtp", "cram", cram=True)
        stand.directory.add_cram("acme/shop", cram, SECRET)
    if case.known:
        by_address = Credential("c7", SERVER.id, "smtp-ip", "office")
        stand.directory.add_network(by_address, "127.0.0.1/32")
    return stand


async def customer(stand: Stand) -> Client:
    """Connect from another address and log in."""
    streams = await asyncio.open_connection(
        "127.0.0.1", stand.server.ports[0], local_addr=(CUSTOMER_ADDRESS, 0)
    )
    client = Client(*streams)
    stand.clients.append(client)
    assert (await client.reply()).startswith("220 ")
    await client.say("EHLO customer.test")
    assert (await client.say("STARTTLS")).startswith("220 ")
    await client.handshake()
    await client.say("EHLO customer.test")
    assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
    return client


async def greeted(stand: Stand) -> Client:
    """Connect and say EHLO, in clear."""
    client = await stand.client()
    assert (await client.say("EHLO app.test")).startswith("250-")
    return client


_STARTS: dict[Start, Callable[[Stand], Awaitable[Client]]] = {
    Start.CONNECTED: Stand.connect,
    Start.STRANGER: Stand.client,
    Start.GREETED: greeted,
    Start.IMPLICIT: Stand.tls_client,
    Start.SECURE: Stand.secure_client,
    Start.USER: Stand.user,
}


async def run(case: Case) -> Stand:
    """Play `case` next to a well-behaved client; return the stand for further questions."""
    stand = stand_for(case)
    async with stand.listening():
        bystander = await customer(stand)
        assert (await bystander.begin()).startswith("354 ")
        bystander.send(MESSAGE[:_BEGUN])
        client = await _STARTS[case.start](stand)
        await _abuse(case, client)
        bystander.send(MESSAGE[_BEGUN:] + b".\r\n")
        assert (await bystander.reply()).startswith("250 2.0.0 ")
        client.hang_up()
        await until(lambda: len(stand.office.sessions) == 1)
        await stand.office.acceptance.settle(20)
        assert stand.office.held.held == 0
        assert len(stand.stored) == case.stored + 1
    return stand


async def _abuse(case: Case, client: Client) -> None:
    client.send(case.sent)
    if case.ends:
        client.writer.write_eof()
    said = [await client.reply() for _ in case.codes]
    codes = [abridged(*each) for each in zip(said, case.codes, strict=True)]
    assert codes == case.codes, f"{codes} instead of {case.codes}"
    if case.stays:
        last = await client.say("NOOP")
        assert last == "250 2.0.0 Ok", f"not in step: {last!r}"
    else:
        last = await client.reply()
        assert last == "", f"not hung up on: {last!r}"


def abridged(reply: str, expected: str) -> str:
    """Cut `reply` down to as much as is `expected`, if it ends at a word there."""
    kept = reply[: len(expected)]
    return kept if reply[len(expected) :][:1] in (" ", "-") else reply
