"""Warm-up at each tick: once a day, soon after midnight, every address is judged by its day."""

from collections import Counter

from mailroom.usecases.warmup_care import WarmUpCarePorts, look_after_warm_up

LIMIT = 100  # addresses a tick; each costs up to a dozen calls


def judge_warm_up(ports: WarmUpCarePorts, now: float, *, limit: int = LIMIT) -> Counter[str]:
    """Judge the addresses whose turn it is and return what came of it."""
    return Counter(look_after_warm_up(now, ports, limit=limit))
