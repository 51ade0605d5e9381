"""Who opened or clicked: the verdict on one hit, on a delivery's stored hits again, and privacy.

Pure and repeatable: a verdict follows from what is stored with the hit, so that rules made later
can judge hits made earlier.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network

from mailroom.domain.event import Event, EventType, ViewFacts
from mailroom.domain.message import drawn_at
from mailroom.domain.visit_rules import (
    BURST_SECONDS,
    RULES,
    RULES_VERSION,
    Verdict,
    VisitFacts,
    VisitRule,
)

__all__ = ["RULES_VERSION", "Verdict", "VisitFacts"]

_PREFIX = {4: 24, 6: 48}

# What a privacy server keeps of a reader's user agent; the first whose needle is found. Browsers
# name their ancestors too, so the youngest come first.
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Outlook", ("outlook", "ms-office", "microsoft office")),
    ("Thunderbird", ("thunderbird",)),
    ("Edge", ("edg/", "edga/", "edgios/", "edge")),
    ("Opera", ("opr/", "opera")),
    ("Samsung Internet", ("samsungbrowser", "samsung internet")),
    ("Firefox", ("firefox", "fxios")),
    ("Chrome", ("chrome", "crios")),
    ("Safari", ("safari",)),
    ("WebKit", ("webkit",)),  # Apple Mail without its privacy protection, among others
)


def judge(facts: VisitFacts) -> Verdict:
    """Return who it was. Total: what no rule knows was a person."""
    rule = fired(facts)
    return rule.verdict if rule else Verdict.PERSON


def fired(facts: VisitFacts) -> VisitRule | None:
    """Return the first rule that matches, or None."""
    return next((rule for rule in RULES if rule.matches(facts)), None)


def judged(view: ViewFacts, *, age: float | None, links: int = 1) -> ViewFacts:
    """Return `view` with its verdict and the rules' version; `age`, `links` as in VisitFacts."""
    facts = VisitFacts(
        click=bool(view.url),
        user_agent=view.user_agent,
        network=view.network or network_of(view.ip_address),
        ahead=view.ahead,
        age=age,
        links=links,
    )
    return replace(view, verdict=judge(facts), rules=RULES_VERSION)


def rejudge(events: Iterable[Event]) -> list[Event]:
    """Return a delivery's whole history, in its order, judged by the rules of today.

    Better informed than the verdict of the moment: it knows when the receiver took the mail, and
    the hits around each one. Doing it twice changes nothing.
    """
    history = list(events)
    received_at = _received_at(history)
    return [
        _judged_again(event, received_at, links)
        for event, links in zip(history, _links_around(history), strict=True)
    ]


def is_person(view: ViewFacts) -> bool:
    """Say whether a hit counts as human. One that nobody has judged does."""
    return view.verdict in ("", Verdict.PERSON)


def reduced(view: ViewFacts, *, privacy: bool) -> ViewFacts:
    """Return what may be kept and told of a hit: all of it, or what `privacy` leaves.

    That is no address, only its network, and the family of the user agent, from which the rules
    that look at user agents come to the same verdict. Doing it twice changes nothing.
    """
    if not privacy:
        return view
    network = view.network or network_of(view.ip_address)
    return replace(view, ip_address="", user_agent=_family(view), network=network)


def network_of(address: str) -> str:
    """Return the network of an IP address: /24 of IPv4, /48 of IPv6; "" for what is none.

    IPv4 written as IPv6 (`::ffff:`) is IPv4.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ip_network((found, _PREFIX[found.version]), strict=False))


def _judged_again(event: Event, received_at: float | None, links: int) -> Event:
    if event.view is None:
        return event
    since = drawn_at(event.key.number) if received_at is None else received_at
    return replace(event, view=judged(event.view, age=event.at - since, links=links))


def _family(view: ViewFacts) -> str:
    for rule in RULES:
        # A rule of the other kind says nothing here, or the family would change the verdict.
        named = rule.found_in(view.user_agent) if rule.click in (None, bool(view.url)) else None
        if named is not None:
            return named
    agent = view.user_agent.lower()
    for family, needles in _FAMILIES:
        if any(needle in agent for needle in needles):
            return family
    return "other"


def _received_at(history: Sequence[Event]) -> float | None:
    """Return when the receiver took the mail, if its reply came at the first time of asking.

    After a lost reply nobody knows: a reader may have had the mail long before we heard of it.
    """
    known = [event for event in history if event.type in (EventType.SENT, EventType.UNCERTAIN)]
    first = min(known, key=lambda event: event.at, default=None)
    return first.at if first and first.type is EventType.SENT else None


def _links_around(history: Sequence[Event]) -> list[int]:
    """Return for each event how many different links were followed close to it, at least 1."""
    order = sorted(
        (event.at, place, event.view.url)
        for place, event in enumerate(history)
        if event.view is not None and event.view.url and not event.view.ahead
    )
    around = [1] * len(history)
    window: deque[tuple[float, str]] = deque()
    urls: Counter[str] = Counter()
    coming = iter(order)
    following = next(coming, None)
    for at, place, _ in order:
        while following is not None and following[0] <= at + BURST_SECONDS:
            window.append((following[0], following[2]))
            urls[following[2]] += 1
            following = next(coming, None)
        while window[0][0] < at - BURST_SECONDS:
            _drop(urls, window.popleft()[1])
        around[place] = len(urls)
    return around


def _drop(urls: Counter[str], url: str) -> None:
    urls[url] -= 1
    if not urls[url]:
        del urls[url]
