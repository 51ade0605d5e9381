"""How mail to each address of the simulator ends: docs/local-stack.md as a table to check by."""

from collections.abc import Mapping
from enum import StrEnum

from localstack.simulator.behaviours import TABLE
from localstack.simulator.profiles import PROFILES
from localstack.zones import RECIPIENT_DOMAIN, world_zone


class Ending(StrEnum):
    """What becomes of a delivery; the comments say what lies in the mailbox."""

    SENT = "sent"  # one copy
    BOUNCED = "bounced"  # none
    LOST = "lost"  # none; final replies are lost until we give up: uncertain
    LATE = "late"  # none while the world is as it is; one when it is well again


_WAYS: Mapping[Ending, str] = {
    Ending.SENT: """accept greylist drop-after-dot cut-after-reply slow slow-rcpt slow-data
        @slow-banner @slow-ehlo @slow-starttls @slow-mail @slow-rcpt @slow-data @slow-body @slow-dot
        @cut-starttls @cut-after @cut-quit @limit5 @connections3 @rate5
        @no-starttls @starttls-refused @starttls-garbage @starttls-closed @starttls-required
        @expired @wrong-name @self-signed
        @no-8bitmime @no-smtputf8 @no-pipelining @no-esmtp @pieces @multiline
        @failover @deadfirst @half-dead @equal @private-first @nomx @cname @mx-alias
        @mx-missing-first @ipv6 @dualstack""",
    Ending.BOUNCED: """hard-bounce soft-bounce blocked reject-data reject-at-data
        @550-mail @small @nodata @nullmx @no-such-domain @private @rebind-private
        @mx-literal @mx-missing""",
    Ending.LOST: "cut-in-data cut-at-dot @cut-body @cut-dot",
    Ending.LATE: """defer throttle ratelimit disconnect defer-data defer-at-data
        close-at-data close-at-dot
        @421-banner @421-ehlo @421-mail @421-rcpt @421-data @421-dot
        @cut-banner @cut-ehlo @cut-mail @cut-rcpt @cut-data @block @451-mail
        @implicit-tls @auth-plain @auth-login @auth-cram-md5 @auth @auth-starttls
        @auth-implicit-tls @garbage-banner @garbage-mail @long-reply @endless-reply
        @busy @down @many @mx-servfail @mx-timeout @servfail @timeout""",
}

# The name, or the domain's first label after @, with how mail to it ends.
ENDINGS: Mapping[str, Ending] = {
    place: ending for ending, places in _WAYS.items() for place in places.split()
}

# These need what a machine may lack, or answer differently from one question to the next.
UNSTEADY = frozenset({"@ipv6", "@rebind"})


def address(place: str, tag: str) -> str:
    """Return the address of `place` (a key of ENDINGS) whose mailbox `tag` keeps apart."""
    if place.startswith("@"):
        return f"any+{tag}@{place[1:]}.{RECIPIENT_DOMAIN}"
    return f"{place}+{tag}@{RECIPIENT_DOMAIN}"


def known_places() -> set[str]:
    """Return every place that the simulator's own tables have, as in ENDINGS."""
    below = f".{RECIPIENT_DOMAIN}"
    zone = world_zone()
    exchanged = [str(name) for name, kind, *_ in zone["records"] if kind == "MX"]
    special = [str(name) for key in ("servfail", "silent") for name in zone[key]]
    changing = [str(name) for name, *_ in zone["changing"]]
    domains = {name.rstrip(".") for name in (*exchanged, *special, *changing)}
    named = {f"@{name.removesuffix(below)}" for name in domains if name.endswith(below)}
    return (
        {row.name for row in TABLE}
        | {f"@{row.name}" for row in PROFILES}
        | named
        | {"@nomx", "@nodata", "@cname", "@no-such-domain"}
    )
