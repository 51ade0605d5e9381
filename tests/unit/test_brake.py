"""Brakes: when they warn, hold and let go, and that nobody misses it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_scheduler.braking import brake as brake_tick

from mailroom.domain.brake import (
    Brake,
    BrakePolicy,
    BrakeState,
    Cause,
    Rates,
    appeal,
    decide,
    lift,
)
from mailroom.domain.hold import Hold, hold_reason
from mailroom.domain.message import BodyRef, Mode, Server, ServerId, Submission
from mailroom.domain.postal_words import WEBHOOK_EVENTS
from mailroom.domain.statistic import HOUR, Slot, Tally
from mailroom.errors import RevisionError
from mailroom.fakes.brakes import MemoryBrakeFlags, MemoryBrakes
from mailroom.fakes.memory import MemoryDirectory
from mailroom.fakes.server_facts import MemoryServerFacts
from mailroom.fakes.statistics import MemoryStatistics, MemoryWatchlist
from mailroom.usecases.brakes import (
    Alarm,
    BrakePorts,
    appeal_brake,
    lift_brake,
    look_at,
    servers_to_look_at,
    standing,
)

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
NOW = 1_760_000_400.0
POLICY = BrakePolicy()
WARNED = Brake(BrakeState.WARNED, since=NOW, reason="r")
HELD = Brake(BrakeState.HELD, since=NOW, reason="r")


def bounces(hard, volume=1_000):
    return Rates(delivered=volume - hard, volume=volume, bounced_hard=hard)


def complaints(count, delivered=10_000):
    return Rates(delivered=delivered, volume=delivered, complained=count)


@pytest.mark.parametrize(
    ("rates", "state", "cause"),
    [
        (Rates(), BrakeState.OK, None),
        (bounces(50), BrakeState.OK, None),  # at the limit is not over it
        (bounces(51), BrakeState.WARNED, Cause.BOUNCES),
        (bounces(500), BrakeState.WARNED, Cause.BOUNCES),  # however bad: first a warning
        (bounces(1, 3), BrakeState.OK, None),
        (bounces(50, 99), BrakeState.OK, None),
        (complaints(10), BrakeState.OK, None),
        (complaints(11), BrakeState.WARNED, Cause.COMPLAINTS),
        (complaints(2, 1_000), BrakeState.OK, None),  # two are an accident
        (complaints(3, 1_000), BrakeState.WARNED, Cause.COMPLAINTS),
        (replace(bounces(60), complained=3), BrakeState.WARNED, Cause.COMPLAINTS),  # the worse one
    ],
)
def test_a_rate_over_its_limit_warns(rates, state, cause):
    after = decide(Brake(), rates, POLICY, NOW)
    assert (after.state, after.cause) == (state, cause)
    assert after.told is (state is BrakeState.OK)


@pytest.mark.parametrize(
    ("rates", "later", "state"),
    [
        (bounces(51), 3_599.0, BrakeState.WARNED),
        (bounces(51), 3_600.0, BrakeState.HELD),
        (bounces(101), 60.0, BrakeState.HELD),  # over twice the limit
        (bounces(100), 60.0, BrakeState.WARNED),
        (bounces(45), 9_000.0, BrakeState.WARNED),  # under, but not well under
        (bounces(39), 60.0, BrakeState.OK),
        (Rates(), 60.0, BrakeState.OK),
    ],
)
def test_a_warning_becomes_a_hold_or_ends(rates, later, state):
    after = decide(WARNED, rates, POLICY, NOW + later)
    assert after.state is state
    assert (after == WARNED) is (state is BrakeState.WARNED)


def test_the_reason_can_be_read():
    assert decide(Brake(), bounces(72, 1_200), POLICY, NOW).reason == (
        "bad addresses are 6 % of 1,200 messages in 24 hours; the limit is 5 %"
    )
    assert decide(Brake(), complaints(13), POLICY, NOW).reason == (
        "complaints are 0.13 % of 10,000 delivered messages in 24 hours; the limit is 0.1 %"
    )


@given(st.builds(bounces, st.integers(0, 1_000)), st.floats(0, 1e9))
def test_only_a_person_ends_a_hold(rates, later):
    assert decide(HELD, rates, POLICY, NOW + later) == HELD


def test_a_lift_raises_the_limits_for_its_days():
    lifted = lift(HELD, days=7, factor=3, reason="they cleaned their list", now=NOW)
    assert (lifted.state, lifted.reason) == (BrakeState.OK, "they cleaned their list")
    during = NOW + 6 * 86_400
    assert decide(lifted, bounces(150), POLICY, during) == lifted
    again = decide(lifted, bounces(151), POLICY, during)
    assert (again.state, again.limit, again.lifted_until) == (
        BrakeState.WARNED, 0.15, lifted.lifted_until
    )  # fmt: skip
    after = NOW + 7 * 86_400
    assert decide(lifted, bounces(51), POLICY, after).state is BrakeState.WARNED
    assert decide(lifted, Rates(), POLICY, after).lifted_until == 0


@pytest.mark.parametrize(
    ("days", "factor"), [(0, 2), (-1, 2), (91, 2), (1, 0.5), (1, 21), (float("nan"), 2)]
)
def test_a_lift_has_bounds(days, factor):
    with pytest.raises(ValueError):
        lift(HELD, days=days, factor=factor, reason="", now=NOW)


def test_an_appeal_needs_a_brake_and_has_a_length():
    assert len(appeal(HELD, "x" * 9_000, NOW).appeal) == 2_000
    with pytest.raises(ValueError):
        appeal(Brake(), "why", NOW)


states = st.sampled_from([Brake(), WARNED, HELD, replace(WARNED, lifted_until=NOW + 9, factor=2.0)])


@given(states, st.integers(0, 2_000), st.integers(0, 200), st.integers(0, 50), st.floats(0, 1e6))
def test_every_decision_is_a_move_by_one_step(before, volume, hard, complained, later):
    rates = Rates(volume, volume + hard, complained, hard)
    after = decide(before, rates, POLICY, NOW + later)
    moves = {
        BrakeState.OK: {BrakeState.OK, BrakeState.WARNED},
        BrakeState.WARNED: set(BrakeState),
        BrakeState.HELD: {BrakeState.HELD},
    }
    assert after.state in moves[before.state]
    assert (after.since != before.since) <= (after.state is not before.state) or later == 0
    assert decide(after, rates, POLICY, NOW + later).state in moves[after.state]


class World:
    def __init__(self):
        self.statistics, self.watchlist = MemoryStatistics(), MemoryWatchlist()
        self.brakes, self.flags, self.facts = (
            MemoryBrakes(),
            MemoryBrakeFlags(),
            MemoryServerFacts(),
        )
        self.directory = MemoryDirectory()
        for server in (SERVER, OTHER):
            self.directory.add_server(Server(server, "o", "n", "p", "abcdef"))
        self.ports = BrakePorts(
            self.statistics,
            self.watchlist,
            self.brakes,
            self.flags,
            self.facts,
            self.directory,
        )
        self.added = 0

    def met(self, server=SERVER, at=NOW, **counts):
        self.added += 1
        self.statistics.add([Tally(Slot(server), int(at // HOUR), counts)], str(self.added))
        self.watchlist.note(server, at)

    def names(self):
        return [fact.name for fact in self.facts.facts]


@pytest.fixture
def world():
    return World()


def test_a_server_is_warned_then_held_then_lifted(world):
    world.met(sent=900, bounced=100, bounced_hard=60)
    assert look_at(SERVER, NOW, world.ports).what == "brake_warned"
    assert world.flags.reasons == {}
    assert look_at(SERVER, NOW + 60, world.ports) is None
    held = look_at(SERVER, NOW + 3_600, world.ports)
    assert held == Alarm(SERVER, "brake_held", world.flags.reasons[SERVER])
    assert "6 %" in held.reason
    assert appeal_brake(SERVER, "we were hacked", NOW + 4_000, world.ports).what == "brake_appeal"
    assert world.brakes.read(SERVER)[0].appeal == "we were hacked"
    lifted = lift_brake(
        SERVER, days=7, factor=2, reason="fixed", now=NOW + 5_000, ports=world.ports
    )
    assert lifted == Alarm(SERVER, "brake_ok", "fixed")
    assert world.flags.reasons == {}
    assert world.names() == ["ServerBrakeWarned", "ServerBrakeHeld", "ServerBrakeLifted"]
    assert set(world.names()) <= WEBHOOK_EVENTS
    payload = world.facts.facts[1].payload
    assert (payload["state"], payload["cause"], payload["volume"]) == ("held", "bounces", 1_000)
    json.dumps(payload)


def test_what_is_older_than_the_window_is_forgotten(world):
    world.met(at=NOW - 25 * HOUR, sent=900, bounced=100, bounced_hard=100)
    assert look_at(SERVER, NOW, world.ports) is None
    world.met(at=NOW - 24 * HOUR, sent=900, bounced=100, bounced_hard=100)
    assert look_at(SERVER, NOW, world.ports).what == "brake_warned"


def test_a_crash_before_everybody_knows_is_made_good_at_the_next_look(world):
    world.met(sent=900, bounced=100, bounced_hard=100)
    look_at(SERVER, NOW, world.ports)
    world.flags.broken = True
    with pytest.raises(ConnectionError):
        look_at(SERVER, NOW + 3_600, world.ports)
    assert world.names() == ["ServerBrakeWarned"]
    assert world.brakes.touched(limit=5) == [SERVER]
    world.flags.broken = False
    assert look_at(SERVER, NOW + 3_660, world.ports).what == "brake_held"
    assert world.names() == ["ServerBrakeWarned", "ServerBrakeHeld"]
    assert SERVER in world.flags.reasons


def test_who_loses_a_race_tells_nothing(world):
    world.met(sent=900, bounced=100, bounced_hard=100)
    world.brakes.lost = 1
    assert look_at(SERVER, NOW, world.ports) is None
    assert world.names() == []
    world.brakes.lost = 1
    with pytest.raises(RevisionError):
        lift_brake(SERVER, days=1, factor=2, reason="", now=NOW, ports=world.ports)


def test_a_flag_that_came_late_gives_way_to_the_newer_state(world):
    world.brakes.brakes[SERVER] = replace(HELD, told=False), 1

    class Lifting(MemoryServerFacts):
        def tell(self, fact):
            world.brakes.brakes.pop(SERVER)  # lifted and forgotten by somebody else
            return super().tell(fact)

    ports = replace(world.ports, facts=Lifting())
    assert look_at(SERVER, NOW, ports) is None
    assert world.flags.reasons == {}


def test_standing_shows_brake_and_rates(world):
    world.met(sent=10, bounced=2, bounced_hard=1)
    shown = standing(SERVER, NOW, world.ports)
    assert (shown.brake, shown.rates, shown.policy) == (Brake(), Rates(10, 12, 0, 1), POLICY)


def test_a_server_may_have_limits_of_its_own(world):
    server = replace(world.directory.server(SERVER), bounce_limit=0.2)
    world.directory.add_server(server)
    world.met(sent=900, bounced=100, bounced_hard=100)
    assert look_at(SERVER, NOW, world.ports) is None
    assert standing(SERVER, NOW, world.ports).policy == replace(POLICY, bounce_rate=0.2)
    world.directory.add_server(replace(server, bounce_limit=0.01))
    assert look_at(SERVER, NOW, world.ports).what == "brake_warned"


def test_a_sandbox_is_not_judged(world):
    server = world.directory.server(SERVER)
    world.directory.add_server(replace(server, mode=Mode.SANDBOX))
    world.met(sent=900, bounced=100, bounced_hard=100)
    assert look_at(SERVER, NOW, world.ports) is None


def test_the_brake_of_a_server_that_is_gone_goes_too(world):
    gone = ServerId("dddddddddd")
    world.brakes.brakes[gone] = HELD, 3
    assert look_at(gone, NOW, world.ports) is None
    assert world.brakes.touched(limit=5) == []


def test_servers_are_found_by_what_happened_and_by_their_brakes(world):
    world.watchlist.note(SERVER, NOW)
    world.brakes.brakes[OTHER] = WARNED, 1
    world.watchlist.note(ServerId("cccccccccc"), NOW - 3_600)
    assert list(servers_to_look_at(NOW, world.ports, limit=9)) == [SERVER, OTHER]


def test_over_the_limit_every_server_has_its_turn(world):
    servers = {ServerId(f"s{number:09d}") for number in range(25)}
    for server in servers:
        world.watchlist.note(server, NOW)
    seen = set()
    for minute in range(3):
        some = servers_to_look_at(NOW + 60 * minute, world.ports, limit=10)
        assert len(some) == 10
        seen.update(some)
    assert seen == servers


def test_a_tick_raises_an_alarm_that_is_no_mail(world, capsys):
    world.met(sent=900, bounced=100, bounced_hard=100)
    assert brake_tick(world.ports, NOW) == {"brakes_looked_at": 1, "brake_warned": 1}
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["function"], line["alarm"], line["server"]) == ("alarm", "brake_warned", SERVER)
    assert line["reason"].startswith("bad addresses are 10 %")


def test_a_brake_holds_before_all_but_a_suspension_and_no_release_overrides_it():
    server = Server(SERVER, "o", "n", "p", "abcdef", mode=Mode.DEVELOPMENT, braked="too much")
    submission = Submission(
        SERVER, 1, 0.0, 1.0, "a@b", "a@b", "b", "", None, None, 1, 1, "api", False, BodyRef(),
        hold=True,
    )  # fmt: skip
    assert hold_reason(submission, server, manual=True) is Hold.BRAKE
    suspended = replace(server, suspended="s")
    assert hold_reason(submission, suspended, manual=True) is Hold.SUSPENDED
