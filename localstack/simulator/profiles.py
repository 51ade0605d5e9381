"""The table of hosts: what a simulated MX does with every client, chosen by the host's name.

Pure. `limit5.sim.test` has one MX, `mx.limit5.sim.test`, with a loopback address of its own: before
RCPT the address is all that a server can know. What the table does not say is ordinary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from localstack.simulator.steps import Phase, Step, answer

FIRST_OCTET = 20  # of the loopback address of the table's first host; the others follow
SLOW_SECONDS = 3
RATE_WINDOW = 10.0  # seconds
MAX_SIZE = 50 * 1024 * 1024
SMALL_SIZE = 1_000
RELAY_USER = "relay"
RELAY_PASSWORD = "let-relay-in"  # noqa: S105  # guards nothing: clients in tests show it
MECHANISMS = ("CRAM-MD5", "LOGIN", "PLAIN")


class Certificate(StrEnum):
    """The certificate shown at the TLS handshake. GOOD is the local authority's for this host."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG_NAME = "wrong-name"
    SELF_SIGNED = "self-signed"


class Shape(StrEnum):
    """How replies are put on the wire."""

    PLAIN = "plain"
    PIECES = "pieces"
    MULTILINE = "multiline"


@dataclass(frozen=True, slots=True)
class HostProfile:
    """One row of the table. `hidden` are EHLO keywords that are neither announced nor allowed;
    limits of 0 are none; `max_rate` is messages in RATE_WINDOW for one source address.
    """

    name: str
    summary: str
    steps: Mapping[Phase, Step] = field(default_factory=dict)
    starttls: bool = True
    starttls_required: bool = False
    certificate: Certificate = Certificate.GOOD
    implicit_tls: bool = False
    auth: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    esmtp: bool = True
    max_size: int = MAX_SIZE
    max_messages: int = 0
    max_connections: int = 0
    max_rate: int = 0
    shape: Shape = Shape.PLAIN

    @property
    def host(self) -> str:
        """The name of its MX, as a label below the simulator's domain."""
        return f"mx.{self.name}"


ORDINARY = HostProfile("", "as the recipient's address says")

_SPOILT = {
    Phase.BANNER: "421 4.3.2 system not accepting network messages",
    Phase.EHLO: "421 4.3.2 shutting down",
    Phase.MAIL: "421 4.7.0 try again later, closing connection",
    Phase.RCPT: "421 4.7.0 too many recipients today, closing connection",
    Phase.DATA: "421 4.3.0 no room at the moment, closing connection",
    Phase.DOT: "421 4.3.0 local problem, closing connection",
}
_SLOW = (
    Phase.BANNER,
    Phase.EHLO,
    Phase.STARTTLS,
    Phase.MAIL,
    Phase.RCPT,
    Phase.DATA,
    Phase.BODY,
    Phase.DOT,
)
_CUT = (*_SLOW, Phase.AFTER, Phase.QUIT)
_BLOCKED = "554 5.7.1 mail from your network is refused by policy"
_NO_TLS = "454 4.7.0 TLS not available due to a temporary reason"
_NOT_TLS = "220 2.0.0 ready to start TLS\r\nthis is not a TLS record"
_NO_CODE = "well met, traveller"
_LONG = "250 2.1.0 " + "x" * 9_000
_ENDLESS = "250-2.1.0 there is more\r\n" * 5_000 + "250 2.1.0 that was all"


def _by_phase() -> list[HostProfile]:
    rows = [
        HostProfile(f"421-{phase}", f"421 at {phase}, then closes", {phase: answer(reply)})
        for phase, reply in _SPOILT.items()
    ]
    rows += [
        HostProfile(
            f"slow-{phase}",
            f"{SLOW_SECONDS} seconds late at {phase}",
            {phase: Step("", seconds=SLOW_SECONDS)},
        )
        for phase in _SLOW
    ]
    rows += [
        HostProfile(
            f"cut-{phase}",
            f"cuts the connection at {phase} without a word",
            {phase: Step("", close=True)},
        )
        for phase in _CUT
    ]
    return rows


def _limits() -> list[HostProfile]:
    return [
        HostProfile("limit5", "421 at the sixth message of a connection", max_messages=5),
        HostProfile("connections3", "421 above 3 connections of one source", max_connections=3),
        HostProfile(
            "rate5",
            f"450 4.7.1 above 5 messages in {RATE_WINDOW:.0f} seconds from one source",
            max_rate=5,
        ),
        HostProfile("block", "greets with 554 5.7.1", {Phase.BANNER: Step(_BLOCKED, close=True)}),
        HostProfile(
            "451-mail",
            "451 4.7.1 to every sender",
            {Phase.MAIL: answer("451 4.7.1 sender refused for now")},
        ),
        HostProfile(
            "550-mail",
            "550 5.7.1 to every sender",
            {Phase.MAIL: answer("550 5.7.1 sender refused")},
        ),
        HostProfile("small", f"takes {SMALL_SIZE} octets, 552 5.3.4 above", max_size=SMALL_SIZE),
    ]


def _tls() -> list[HostProfile]:
    garbled = Step(_NOT_TLS, close=True, raw=True)
    shut = Step("220 2.0.0 ready to start TLS", close=True)
    return [
        HostProfile("no-starttls", "does not offer STARTTLS", starttls=False),
        HostProfile(
            "starttls-refused", "offers STARTTLS, answers 454", {Phase.STARTTLS: answer(_NO_TLS)}
        ),
        HostProfile(
            "starttls-garbage", "offers STARTTLS, then talks nonsense", {Phase.STARTTLS: garbled}
        ),
        HostProfile("starttls-closed", "offers STARTTLS, then closes", {Phase.STARTTLS: shut}),
        HostProfile("starttls-required", "530 5.7.0 without STARTTLS", starttls_required=True),
        HostProfile("expired", "shows an expired certificate", certificate=Certificate.EXPIRED),
        HostProfile(
            "wrong-name", "shows another host's certificate", certificate=Certificate.WRONG_NAME
        ),
        HostProfile(
            "self-signed", "shows a self-signed certificate", certificate=Certificate.SELF_SIGNED
        ),
        HostProfile("implicit-tls", "speaks TLS from the first octet", implicit_tls=True),
    ]


def _relays() -> list[HostProfile]:
    known = f"wants AUTH as {RELAY_USER}, password {RELAY_PASSWORD}"
    rows = [
        HostProfile(f"auth-{name.lower()}", f"{known}, by {name} only", auth=(name,))
        for name in MECHANISMS
    ]
    return [
        *rows,
        HostProfile("auth", f"{known}, by any of three mechanisms", auth=MECHANISMS),
        HostProfile(
            "auth-starttls",
            f"{known}, and STARTTLS before it",
            auth=MECHANISMS,
            starttls_required=True,
        ),
        HostProfile(
            "auth-implicit-tls",
            f"{known}, TLS from the first octet",
            auth=MECHANISMS,
            implicit_tls=True,
        ),
    ]


def _dialects() -> list[HostProfile]:
    def hiding(*keywords: str, name: str) -> HostProfile:
        summary = f"does not offer {', '.join(keywords)}"
        return HostProfile(name, summary, hidden=frozenset(keywords))

    return [
        hiding("8BITMIME", name="no-8bitmime"),
        hiding("SMTPUTF8", name="no-smtputf8"),
        hiding("PIPELINING", name="no-pipelining"),
        HostProfile("no-esmtp", "answers EHLO with 502, knows HELO", esmtp=False),
        HostProfile("pieces", "sends replies a few octets at a time", shape=Shape.PIECES),
        HostProfile("multiline", "gives replies of three lines", shape=Shape.MULTILINE),
        HostProfile(
            "garbage-banner",
            "greets with no code",
            {Phase.BANNER: Step(_NO_CODE, close=True, raw=True)},
        ),
        HostProfile(
            "garbage-mail", "answers MAIL with no code", {Phase.MAIL: Step(_NO_CODE, raw=True)}
        ),
        HostProfile(
            "long-reply",
            "answers MAIL with a line of 9,000 octets",
            {Phase.MAIL: Step(_LONG, raw=True)},
        ),
        HostProfile(
            "endless-reply",
            "answers MAIL with 5,001 lines",
            {Phase.MAIL: Step(_ENDLESS, raw=True)},
        ),
    ]


# Appended to, never reordered: the position is the address.
PROFILES: tuple[HostProfile, ...] = (
    *_by_phase(),
    *_limits(),
    *_tls(),
    *_relays(),
    *_dialects(),
)


def addresses(mx_base: str) -> dict[str, str]:
    """Name of each profile -> its address below `mx_base`, such as `127.0.0.`."""
    return {
        profile.name: f"{mx_base}{octet}" for octet, profile in enumerate(PROFILES, FIRST_OCTET)
    }
