"""What webhooks hear of send limits: Postal's two events, once an hour, day or month each."""

from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import Notice, Told
from mailroom.domain.server_fact import ServerFact

_MINUTE = 60
_NAMES = {
    Notice.APPROACHING: "SendLimitApproaching",
    Notice.EXCEEDED: "SendLimitExceeded",
}


def limit_fact(server: ServerId, told: Told, now: float) -> ServerFact:
    """Return the fact that a limit is near or reached at `now` (Unix seconds).

    `volume` and `limit` are Postal's keys; `period` is ours, because Postal has hours only. Two
    processes that say so in one minute say it once.
    """
    minute = int(now // _MINUTE)
    return ServerFact(
        id=f"{server}/limit/{told.period}/{told.notice}/{minute}",
        name=_NAMES[told.notice],
        server=server,
        at=float(minute * _MINUTE),
        payload={"volume": told.used, "limit": told.limit, "period": str(told.period)},
    )
