"""Statistics of servers and organisations, usage of limits, and brakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mail_api.v2.models.statistics import (
    Appeal,
    BrakesView,
    Counts,
    Lift,
    Range,
    SeriesView,
    Split,
    UsageView,
    Values,
    ValuesView,
)
from mail_api.v2.operation import Call, Operation
from mailroom.adapters.log_line import write_line
from mailroom.domain.brake import Rates
from mailroom.domain.message import Server, ServerId
from mailroom.domain.provider import PROVIDERS
from mailroom.domain.server_fact import ServerFact
from mailroom.domain.statistic import Counts as Counted
from mailroom.domain.statistic import Dimension
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.spelling import load_server
from mailroom.errors import NotFoundError, RangeError
from mailroom.ports import SendLimits
from mailroom.usecases.brakes import (
    Alarm,
    BrakePorts,
    appeal_brake,
    lift_brake,
    standing,
)
from mailroom.usecases.statistics import Series, series, slot_of, span_of, values_of
from mailroom.usecases.usage import UsagePorts, usage

MOST_SERVERS = 100
_HISTORY = 20
_PREFIX = "ServerBrake"


@dataclass(frozen=True, slots=True)
class StatisticsArea:
    """What this area is plugged in with."""

    brakes: BrakePorts
    limits: SendLimits


def read_server(call: Call) -> SeriesView:
    """Counts of a server by hour (at most 31 days), day (400) or month (60) of UTC.

    Fresh within seconds; counts may be low by what a crash lost, never high.
    """
    dimension, value = call.query.slot
    slot = slot_of(ServerId(call.target.server), dimension, value)
    return _series(call, [slot])


def read_organisation(call: Call) -> SeriesView:
    """Counts of all servers of an organisation that the caller may see, up to 100, added up."""
    return _series(call, [slot_of(ServerId(id_)) for id_ in _servers(call)])


def read_values(call: Call) -> Any:
    """Which domains, tags, providers or streams there are statistics of."""
    wanted = call.query.dimension
    if wanted is Dimension.PROVIDER:
        return {"dimension": wanted, "values": sorted(PROVIDERS)}
    query = call.query
    span = span_of(query.by, query.from_time, query.to_time, _now(call))
    server = ServerId(call.target.server)
    found = values_of(server, wanted, span, _area(call).brakes.statistics)
    return {"dimension": wanted, "values": found}


def read_usage(call: Call) -> Any:
    """What a server uses of its send limits, what waits, and how its mail is received."""
    area = _area(call)
    ports = UsagePorts(area.brakes.statistics, area.limits)
    found = usage(_server(call), _now(call), ports)
    return {
        "limits": list(found.limits),
        "action": found.action,
        "accepted": {str(period): count for period, count in found.accepted.items()},
        "queued": found.waiting.queued,
        "held": found.waiting.held,
        "rates": found.rates,
    }


def read_brakes(call: Call) -> Any:
    """How the brake of a server stands."""
    return _brakes(call)


def appeal(call: Call) -> Any:
    """Ask the platform to lift a brake; its operators get an alarm with it."""
    server = ServerId(call.target.server)
    _raise_alarm(appeal_brake(server, call.body.text, _now(call), _area(call).brakes))
    return _brakes(call)


def lift(call: Call) -> Any:
    """Let a server send again, with higher limits for some days.

    What is held stays held until it is released. A server that is not held can be lifted ahead.
    """
    body = call.body
    alarm = lift_brake(
        ServerId(call.target.server),
        days=body.days,
        factor=body.factor,
        reason=body.reason,
        now=_now(call),
        ports=_area(call).brakes,
    )
    if alarm is not None:
        _raise_alarm(alarm)
    return _brakes(call)


def _series(call: Call, slots: Sequence[Any]) -> SeriesView:
    query = call.query
    span = span_of(query.by, query.from_time, query.to_time, _now(call))
    return _shown(series(slots, span, _area(call).brakes.statistics))


def _shown(found: Series) -> SeriesView:
    points = [{"start": point.start, "counts": _counts(point.counts)} for point in found.points]
    return SeriesView.model_validate(
        {"by": found.by, "points": points, "total": _counts(found.total)}, from_attributes=True
    )


def _counts(counted: Counted) -> Counts:
    return Counts.model_validate({"delivered": counted.get("sent", 0), **counted})


def _brakes(call: Call) -> Any:
    ports, server = _area(call).brakes, ServerId(call.target.server)
    found = standing(server, _now(call), ports)
    brake = found.brake
    return {
        "state": brake.state,
        "since": brake.since or None,
        "reason": brake.reason,
        "cause": brake.cause,
        "complaint_limit": found.policy.complaint_rate,
        "bounce_limit": found.policy.bounce_rate,
        "factor": brake.factor,
        "lifted_until": brake.lifted_until or None,
        "appeal": brake.appeal,
        "appealed_at": brake.appealed_at or None,
        "rates": _rates(found.rates),
        "history": [_change(fact) for fact in _told(ports, server)],
    }


def _rates(rates: Rates) -> Any:
    names = ("delivered", "volume", "complaint_rate", "bounce_rate")
    return {name: getattr(rates, name) for name in names}


def _told(ports: BrakePorts, server: ServerId) -> list[ServerFact]:
    """Return the newest changes among what was told of a server."""
    found = ports.facts.told(server, limit=5 * _HISTORY)
    return [fact for fact in found if fact.name.startswith(_PREFIX)][:_HISTORY]


def _change(fact: ServerFact) -> Any:
    return {"at": fact.at, "event": fact.name, "reason": fact.payload.get("reason", "")}


def _servers(call: Call) -> list[str]:
    """Return the servers that are added up. Raises RangeError for more than there may be."""
    who, organisation = call.principal, call.target.organisation
    part = who.membership(organisation)
    narrowed = part.servers if part and not who.is_administrator else None
    found, more = call.desk.registrar.page(SERVER, call.parent, limit=MOST_SERVERS)
    if more:
        raise RangeError(f"over {MOST_SERVERS} servers are not added up; ask server by server")
    return [each.id for each in found if narrowed is None or each.id in narrowed]


def _server(call: Call) -> Server:
    """Return the server as the sending path knows it, as of now."""
    record = call.desk.registry.read(Place(f"server#{call.target.server}"))
    if record is None:
        raise NotFoundError("there is nothing with that id")
    return load_server(ServerId(call.target.server), dict(record.body))


def _raise_alarm(alarm: Alarm) -> None:
    line = {"function": "alarm", "alarm": alarm.what, "server": alarm.server}
    write_line({**line, "reason": alarm.reason})


def _area(call: Call) -> StatisticsArea:
    area: StatisticsArea = call.desk.area("statistics")
    return area


def _now(call: Call) -> float:
    return call.desk.registrar.clock.now()


_SERVER = "/servers/{server}"
_READ = Scope.STATISTICS_READ

OPERATIONS = (
    Operation("statistics.server", "GET", f"{_SERVER}/statistics", "Read statistics of a server",
              read_server, _READ, answer=SeriesView, query=Split),
    Operation("statistics.values", "GET", f"{_SERVER}/statistics/values",
              "List what statistics are split by", read_values, _READ, answer=ValuesView,
              query=Values),
    Operation("statistics.organisation", "GET", "/organisations/{organisation}/statistics",
              "Read statistics of an organisation", read_organisation, _READ,
              answer=SeriesView, query=Range),
    Operation("usage.read", "GET", f"{_SERVER}/usage", "Read what a server uses", read_usage,
              _READ, answer=UsageView),
    Operation("brakes.read", "GET", f"{_SERVER}/brakes", "Read the brake of a server",
              read_brakes, _READ, answer=BrakesView),
    Operation("brakes.appeal", "POST", f"{_SERVER}/brakes/appeal", "Appeal against a brake",
              appeal, Scope.SERVERS_WRITE, answer=BrakesView, body=Appeal),
    Operation("brakes.lift", "POST", f"{_SERVER}/brakes/lift", "Lift a brake", lift,
              Scope.PLATFORM, answer=BrakesView, body=Lift),
)  # fmt: skip
