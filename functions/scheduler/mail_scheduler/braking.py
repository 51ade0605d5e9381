"""Brakes at each tick: look at the servers in question, say aloud what the platform must hear.

An alarm is a log line of its own, `function` "alarm": a metric filter counts those, and what it
tells goes by SNS to people. Platform alarms never travel by our own mail, which may be the trouble.
"""

from collections import Counter

from mailroom.adapters.log_line import write_line
from mailroom.usecases.brakes import Alarm, BrakePorts, look_at, servers_to_look_at

LIMIT = 500  # servers a tick


def brake(ports: BrakePorts, now: float, *, limit: int = LIMIT) -> Counter[str]:
    """Look at the servers whose turn it is and return what came of it."""
    done: Counter[str] = Counter()
    for server in servers_to_look_at(now, ports, limit=limit):
        done["brakes_looked_at"] += 1
        alarm = look_at(server, now, ports)
        if alarm is not None:
            done[alarm.what] += 1
            raise_alarm(alarm)
    return done


def raise_alarm(alarm: Alarm) -> None:
    """Write the line of an alarm."""
    write_line(
        {
            "function": "alarm",
            "alarm": alarm.what,
            "server": alarm.server,
            "reason": alarm.reason,
        }
    )
