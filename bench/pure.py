"""Pure decisions, in microseconds a call: they must not be noticed beside a message."""

import time
from collections.abc import Callable
from itertools import count as count_up
from typing import Any

from bench.engine_lab import make_job
from bench.machine import describe
from bench.pure_engine import BusyEngine
from bench.sample import message
from egress.core.engine.path_control import PathControl
from egress.core.engine.ready import Fit, ReadyQueue
from mailroom.adapters.shipped import shipped_reply_rules
from mailroom.domain.dkim import body_hash
from mailroom.domain.headers import fields, problem_with, split
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId
from mailroom.domain.mime import rewrite_message
from mailroom.domain.outcome import classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.settlement import Seen, settle
from mailroom.domain.tracking_token import TrackingKey, click_token
from mailroom.domain.verp import VerpKey, return_path

_KEY = DeliveryKey(ServerId("abcdefghij"), 123_456_789, 0)
_SECRET = b"k" * 32
_WAITING, _TENANTS = 500, 50


def measure(count: int = 0) -> dict[str, Any]:
    """Return microseconds a call (CPU, one process), and the machine."""
    raw = message()
    reply = SmtpReply(250, "2.0.0 ok", Phase.DOT)
    waiting = Delivery(_KEY, "a@b.test", State.ATTEMPTING, 0.0, 1e9)
    tracking, verp = TrackingKey("a", _SECRET), VerpKey("a", _SECRET)

    def link(url: str) -> str:
        token = click_token(tracking, server=_KEY.server, number=_KEY.number, index=0, url=url)
        return f"https://track.example/c/{token}"

    def decide() -> None:
        outcome = classify_reply(reply)
        settle(waiting, outcome, Seen(), now=1.0, policy=RetryPolicy(), jitter=0.0)

    path = PathControl(PathKey("a", "site"), PathSettings(message_rate=Rate(1e6)), 0.0)
    clock = count_up(1.0)

    def send() -> None:
        now = next(clock)
        if path.permit(now).may_send and path.earliest_message(now, len(raw)) <= now:
            path.take_message(now, len(raw))
        path.succeeded(now, 1)

    rules = shipped_reply_rules()
    numbers = count_up(1)

    def judge() -> None:
        reply = f"4.7.0 [{next(numbers)}] try again later, too many connections from your host"
        rules.judge(SmtpReply(421, reply, Phase.MAIL), "google")

    queue = ReadyQueue()
    for number in range(_WAITING):
        queue.push(make_job(number, tenant=f"t{number % _TENANTS}"))

    def turn() -> None:
        job = queue.pick(_now)
        if job is not None:
            queue.push(job)

    engine = BusyEngine()
    calls: dict[str, Callable[[], object]] = {
        "classify_and_settle": decide,
        "path_of_a_message": send,
        "engine_message_20_connections": engine.message,
        "judge_a_new_reply": judge,
        "ready_queue_pick_and_push": turn,
        "return_path": lambda: return_path(_KEY, domain="rp.example", signer=verp),
        "examine_header_at_accept": lambda: (problem_with(raw), list(fields(split(raw)[0]))),
        "rewrite_ten_links_and_pixel": lambda: rewrite_message(
            raw, link=link, pixel="https://track.example/o/x"
        ),
        "dkim_body_hash": lambda: body_hash(raw),
    }
    return {
        "message_octets": len(raw),
        "cpu_us_per_call": {name: _cpu_us(call, count or 2_000) for name, call in calls.items()},
        "machine": describe(),
    }


def _now(_job: JobFacts) -> Fit:
    return Fit.NOW


def _cpu_us(call: Callable[[], object], count: int) -> float:
    call()
    started = time.process_time()
    for _ in range(count):
        call()
    return round((time.process_time() - started) / count * 1e6, 1)
