"""A thousand messages to every address of the simulator, five hundred in flight at each kill -9.

The sender and the submission server are killed at named moments and from outside, at seeded
instants, while clients of both doors go on. Four accounts must agree in the end: what clients were
promised, the ledger, the mailboxes, and the webhooks.
"""

import json
import logging
import os
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from egress.sender.faults import Moment as Sending
from egress.submission.faults import Moment as Accepting
from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.postal_words import webhook_event
from tests.support.books import Entry, Ledger
from tests.support.customer import Customer, wait_for
from tests.support.endings import ENDINGS, UNSTEADY, Ending, address, known_places
from tests.support.killing import Victim
from tests.support.tenants import Tenant, tenants_of
from tests.support.traffic import Promise, Traffic
from tests.support.weather import Weather

log = logging.getLogger(__name__)

SEED = int(os.environ.get("MAILROOM_CHAOS_SEED", "1122"))
MESSAGES, IN_FLIGHT = 1_000, 500
LATE_EACH = 6  # messages to each place that defers for as long as the world is unwell
BY_SMTP = 350
SPARE = 40  # what may become final while a process is on its way to its moment
VISITS = {"sender": 40, "submission": 8}  # a slice of SMTP mail has three times as many
LONGEST_WAIT = 0.6  # seconds from a condition to a kill from outside
FROM_OUTSIDE = {"sender": 3, "submission": 2}
NOBODY_TOLD = {str(Accepting.BEFORE_HAND_OVER), str(Accepting.AFTER_ACCEPT)}
HEARD = {"DNS", "MAIL", "RCPT", "DATA", "."}  # phases of tries that count
STATES = {
    Ending.SENT: State.SENT,
    Ending.LATE: State.SENT,
    Ending.BOUNCED: State.BOUNCED,
    Ending.LOST: State.UNCERTAIN,
}


@dataclass(frozen=True)
class Kill:
    """One death: at the `visits`th visit to a moment, or from outside after `wait` seconds."""

    victim: str
    moment: str
    visits: int
    wait: float


@dataclass(frozen=True)
class Death:
    """When a kill was begun and when its victim was known to be dead (Unix seconds)."""

    kill: Kill
    begun: float
    known: float


def test_every_place_of_the_simulator_has_an_ending() -> None:
    assert set(ENDINGS) | UNSTEADY == known_places()


@pytest.fixture
def tenant(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """A server of the test's own: whatever it accepts, this test has sent."""
    return tenants_of(customer.stack, monkeypatch)()


@pytest.fixture
def victims(customer: Customer) -> Iterator[dict[str, Victim]]:
    found = {name: Victim(customer.stack, name) for name in FROM_OUTSIDE}
    yield found
    for victim in found.values():
        victim.disarm()


@pytest.fixture
def weather(customer: Customer, victims: dict[str, Victim]) -> Iterator[Weather]:
    found = Weather(customer)
    yield found
    found.restore()
    victims["sender"].kill()  # it keeps what DNS said for a minute


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_a_thousand_messages_outlive_every_kill(
    customer: Customer, tenant: Tenant, victims: dict[str, Victim], weather: Weather
) -> None:
    log.warning("seed %d", SEED)  # pytest shows it when the test fails
    rng = random.Random(SEED)
    run = f"r{uuid.uuid4().hex[:8]}"
    places = _places(rng, run)
    traffic = Traffic(tenant.on(customer), run)
    ledger = Ledger(customer.stack, tenant.server.id)
    with traffic.flowing():
        deaths = _send_and_kill(rng, places, traffic, ledger, victims, weather)
        traffic.wait_for_promises(MESSAGES, within=60)
    promised = traffic.promised.values()
    wait_for(
        lambda: not ledger.unfinished(promise.id for promise in promised),
        within=300,  # a lost reply is followed by three more copies, each up to half a minute later
        every=2,
        what="a final state of every message",
    )
    entries = wait_for(lambda: _all_told(ledger), within=60, every=3, what="every history")
    _promises_were_kept(traffic, entries, deaths)
    _many_were_in_flight(deaths, traffic.promised, entries)
    _endings_are_as_implied(entries, places)
    _mailboxes_agree(customer, run, entries)
    _webhooks_agree(customer, tenant, entries)


def _places(rng: random.Random, run: str) -> dict[str, str]:
    """Return 1,000 addresses in seeded order, with the place of the simulator each stands for."""
    steady = [place for place in ENDINGS if place not in UNSTEADY]
    late = [place for place in steady if ENDINGS[place] is Ending.LATE] * LATE_EACH
    others = [place for place in steady if ENDINGS[place] is not Ending.LATE]
    chosen = late + [others[n % len(others)] for n in range(MESSAGES - len(late))]
    rng.shuffle(chosen)
    return {address(place, f"{run}x{n}"): place for n, place in enumerate(chosen)}


def _plan(rng: random.Random) -> list[Kill]:
    """Return every moment of both processes once, and kills from outside, in seeded order."""
    moments = [("sender", str(each)) for each in Sending]
    moments += [("submission", str(each)) for each in Accepting]
    moments += [(name, "") for name, count in FROM_OUTSIDE.items() for _ in range(count)]
    rng.shuffle(moments)
    return [
        Kill(victim, moment, rng.randint(1, VISITS[victim]), rng.uniform(0.0, LONGEST_WAIT))
        for victim, moment in moments
    ]


def _send_and_kill(
    rng: random.Random,
    places: dict[str, str],
    traffic: Traffic,
    ledger: Ledger,
    victims: dict[str, Victim],
    weather: Weather,
) -> list[Death]:
    """Send everything, a slice with each kill; heal the world before the last, a sender's."""
    by_smtp, by_api = list(places)[:BY_SMTP], deque(list(places)[BY_SMTP:])
    plan, deaths = [*_plan(rng), Kill("sender", "", 0, 0.0)], []
    for number, kill in enumerate(plan):
        while (lacking := IN_FLIGHT + SPARE - _in_flight(traffic, ledger)) > 0:
            with victims["sender"].paused():
                more = [by_api.popleft() for _ in range(min(lacking, len(by_api)))]
                assert more, f"too few messages for {kill}, number {number}"
                traffic.add(traffic.api, more)
                traffic.wait_for_promises(len(traffic.promised) + len(more), within=60)
        if number == len(plan) - 1:
            weather.heal(each for each in places if ENDINGS[places[each]] is Ending.LATE)
        traffic.add(traffic.smtp, by_smtp[number :: len(plan)])
        deaths.append(_die(kill, victims[kill.victim]))
    traffic.add(traffic.api, by_api)
    return deaths


def _in_flight(traffic: Traffic, ledger: Ledger) -> int:
    return len(ledger.unfinished([promise.id for promise in list(traffic.promised.values())]))


def _die(kill: Kill, victim: Victim) -> Death:
    if kill.moment:
        begun = time.time()
        victim.kill_at(kill.moment, kill.visits)
    else:
        time.sleep(kill.wait)  # the seeded instant itself, no wait for anything
        begun = time.time()
        victim.kill()
    return Death(kill, begun, time.time())


def _all_told(ledger: Ledger) -> list[Entry]:
    """Return all that was accepted once nothing is missing any more, else nothing.

    What a client sent twice, because it had no answer, may become final later than the rest.
    """
    entries = ledger.entries()
    untold = [entry for entry in entries if not entry.is_told]
    if untold:
        log.warning("%d histories are not complete, such as %s", len(untold), untold[0])
    return [] if untold else entries


def _promises_were_kept(traffic: Traffic, entries: list[Entry], deaths: list[Death]) -> None:
    """What was promised is in the ledger; beside it only what a client had no answer about."""
    accepted = {entry.id: entry.recipient for entry in entries}
    promised = {promise.id: box for box, promise in traffic.promised.items()}
    assert len(promised) == MESSAGES
    assert promised.items() <= accepted.items()
    untold = Counter(box for id_, box in accepted.items() if id_ not in promised)
    assert untold <= traffic.unanswered, untold - traffic.unanswered
    assert untold.total() >= sum(death.kill.moment in NOBODY_TOLD for death in deaths)
    log.warning("unanswered: %d, accepted: %d", traffic.unanswered.total(), untold.total())


def _many_were_in_flight(
    deaths: list[Death], promised: dict[str, Promise], entries: list[Entry]
) -> None:
    """At each death enough was accepted before and not final after it, by clients and histories."""
    final_at = {entry.id: entry.events[-1].at for entry in entries}
    counts = {
        death: sum(p.at <= death.begun and final_at[p.id] > death.known for p in promised.values())
        for death in deaths
    }
    for death, count in counts.items():
        log.warning("%d in flight, %.1f s: %s", count, death.known - death.begun, death.kill)
    assert min(counts.values()) >= IN_FLIGHT


def _endings_are_as_implied(entries: list[Entry], places: dict[str, str]) -> None:
    """Each history is whole, in order, and ends as its place does."""
    for entry in entries:
        assert entry.state == STATES[ENDINGS[places[entry.recipient]]], entry
        # The acceptance of the message stands in the history of its first recipient.
        after = [event for event in entry.events if event.type is not EventType.ACCEPTED]
        attempts = [event.attempt for event in after]
        assert all(attempts), entry
        # A try that follows at once, because of how it was offered, is not counted.
        told = [each.attempt for each in attempts if each and each.attempt and each.phase in HEARD]
        assert list(dict.fromkeys(told)) == list(range(1, entry.attempts + 1)), entry
        ends = [attempt.final for attempt in attempts if attempt]
        assert ends == [False] * (len(ends) - 1) + [True], entry
        assert entry.events[-1].type == entry.state, entry
        kinds = Counter(event.type for event in entry.events)
        assert kinds[EventType.UNCERTAIN] == entry.uncertain, entry
        assert places[entry.recipient] != "drop-after-dot" or entry.uncertain, entry


def _mailboxes_agree(customer: Customer, run: str, entries: list[Entry]) -> None:
    """A copy of everything sent; more only where a final reply was lost, and no more than that."""
    answer = customer.http(f"{customer.status['simulator_url']}/api/copies")
    copies = Counter(
        {to: n for to, n in json.loads(answer.body)["recipients"].items() if run in to}
    )
    sent, spare = Counter[str](), Counter[str]()
    for entry in entries:
        if entry.state == State.SENT:
            sent[entry.recipient] += 1
            spare[entry.recipient] += entry.uncertain
    assert sent <= copies, sent - copies
    assert copies <= sent + spare, copies - sent - spare
    log.warning("%d sent, %d copies, %d spare", sent.total(), copies.total(), spare.total())


def _webhooks_agree(customer: Customer, tenant: Tenant, entries: list[Entry]) -> None:
    """Every fact has been told, under one uuid of its own; nothing else has been."""
    facts = Counter(
        (entry.id, webhook_event(event.type, final=attempt.final), event.at)
        for entry in entries
        for event in entry.events
        if (attempt := event.attempt)
    )
    assert max(facts.values()) == 1

    def told() -> dict[str, tuple[object, ...]]:
        uuids: dict[str, tuple[object, ...]] = {}
        for hook in customer.webhooks(limit=10_000):
            if hook["name"] == tenant.server.id:
                assert hook["verified"], hook
                payload = hook["payload"]
                fact = (payload["message"]["id"], hook["event"], payload["timestamp"])
                assert uuids.setdefault(hook["uuid"], fact) == fact
        return uuids

    wait_for(lambda: len(told()) >= len(facts), within=120, every=3, what="every webhook")
    assert Counter(told().values()) == facts
