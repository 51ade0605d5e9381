"""One action on every message a filter finds: counted first, then done as a job.

The job walks from the newest message to the oldest one of its range, a bounded number of messages a
step. Its range ends when it was asked for, so that it does not run after messages that come in
meanwhile. A step may be repeated: what has moved already refuses the action, and is counted so.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from mailroom.domain.job import Job, StepResult
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId
from mailroom.domain.message_filter import MessageFilter, matches
from mailroom.domain.stored_message import Place, StoredMessage, dump_cursor, load_cursor
from mailroom.errors import InvalidRequestError, MailroomError
from mailroom.ports.search import MAX_SLICE, Search, Span
from mailroom.usecases.cancel import CANCELLABLE, cancel
from mailroom.usecases.find_messages import (
    MAX_LOOKED,
    Wanted,
    in_states,
    span_of,
    where_of,
)
from mailroom.usecases.jobs import BrokenJobError, NewJob, Step
from mailroom.usecases.release import HoldPorts, release
from mailroom.usecases.retry import RETRYABLE, retry

KIND = "messages.bulk"
STEP_MESSAGES = 200  # looked at in one step

Act = Callable[[DeliveryKey, str], Delivery]


class BulkAction(StrEnum):
    """What can be done to many messages. Values are stored and sent; never rename them."""

    RETRY = "retry"
    RELEASE = "release"
    CANCEL = "cancel"


# In other states the action refuses; such messages are not even counted.
STATES: Mapping[BulkAction, frozenset[State]] = {
    BulkAction.RETRY: RETRYABLE,
    BulkAction.RELEASE: frozenset({State.HELD}),
    BulkAction.CANCEL: CANCELLABLE,
}

# Without a state: to send again what had ended must be asked for by name.
_UNNAMED: Mapping[BulkAction, frozenset[State]] = {
    **STATES,
    BulkAction.RETRY: frozenset({State.DEFERRED}),
}


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages an action would be done to, as far as was looked (`find_messages`)."""

    matching: int
    looked_at: int
    looked_back_to: float
    is_complete: bool


def bulk_target(action: BulkAction, wanted: Wanted, now: float) -> Wanted:
    """Return what an action is for: the messages wanted that it can be done to, up to `now`.

    Raises InvalidRequestError when there can be none, or the range is not one.
    """
    span = span_of(wanted, now)
    named = STATES if wanted.filter.states else _UNNAMED
    target = in_states(wanted, named[action])
    if not target.filter.states:
        possible = ", ".join(sorted(STATES[action]))
        raise InvalidRequestError(f"{action} is for messages that are {possible}")
    return replace(target, since=span.since, until=min(span.until, now), cursor="")


def count_bulk(target: Wanted, search: Search) -> Count:
    """Say how many messages `target` names, looking at MAX_LOOKED of them at most."""
    where, span = where_of(target), Span(target.since or 0.0, target.until or 0.0)
    matching = looked = 0
    place: Place | None = None
    while looked < MAX_LOOKED:
        part = search.newest(where, span, after=place)
        looked += part.looked
        matching += sum(matches(target.filter, message) for message in part.messages)
        place = part.place
        if place is None:
            break
    back_to = span.since if place is None else (place.at_ms + 1) / 1000
    return Count(matching, looked, back_to, is_complete=place is None)


def new_bulk_job(action: BulkAction, target: Wanted, by: str) -> NewJob:
    """Return the job that does `action` to what `bulk_target` gave; `by` is told in histories."""
    asked = {**asdict(target.filter), "states": sorted(target.filter.states)}
    parameters = {
        "action": str(action),
        "server": str(target.server),
        "filter": {name: value for name, value in asked.items() if value},
        "since": target.since,
        "until": target.until,
        "by": by,
    }
    return NewJob(KIND, f"server#{target.server}", by, parameters)


def actions_of(ports: HoldPorts) -> Mapping[str, Act]:
    """Return what can be done, by name."""
    return {
        BulkAction.RETRY: partial(retry, ports=ports),
        BulkAction.RELEASE: partial(release, ports=ports),
        BulkAction.CANCEL: partial(cancel, ports=ports),
    }


def bulk_step(search: Search, actions: Mapping[str, Act]) -> Step:
    """Return the step of a bulk job. Progress counts messages the action was done to or refused."""

    def step(job: Job, _now: float) -> StepResult:
        return _step(job, search, actions)

    return step


def _step(job: Job, search: Search, actions: Mapping[str, Act]) -> StepResult:
    target, by = _target(job.parameters), str(job.parameters["by"])
    act = actions.get(str(job.parameters["action"]))
    if act is None:
        raise BrokenJobError(f"there is no action {job.parameters['action']}")
    place = _place(job)
    done = refused = looked = 0
    is_last = False
    while looked < STEP_MESSAGES and not is_last:
        part = search.newest(
            where_of(target),
            Span(target.since or 0.0, target.until or 0.0),
            after=place,
            limit=min(MAX_SLICE, STEP_MESSAGES - looked),
        )
        for message in part.messages:
            if matches(target.filter, message):
                if _did(act, message, by):
                    done += 1
                else:
                    refused += 1
        # A slice may have found nothing and still have cost a call.
        looked += max(part.looked, 1)
        place, is_last = part.place, part.place is None
    so_far = int(job.result.get("looked_at", 0)) + looked
    result = {"looked_at": so_far, "looked_back_to": place.at if place else target.since}
    checkpoint = {"cursor": dump_cursor(place, 0)} if place else {}
    return StepResult(checkpoint, done, refused, finished=is_last, result=result)


def _did(act: Act, message: StoredMessage, by: str) -> bool:
    try:
        act(message.delivery.key, by)
    except MailroomError:  # it has moved on since it was found
        return False
    return True


def _place(job: Job) -> Place | None:
    cursor = job.checkpoint.get("cursor")
    return load_cursor(str(cursor))[0] if cursor else None


def _target(stored: Mapping[str, Any]) -> Wanted:
    asked = dict(stored["filter"])
    states = frozenset(map(State, asked.pop("states", ())))
    return Wanted(
        server=ServerId(stored["server"]),
        filter=MessageFilter(states=states, **asked),
        since=float(stored["since"]),
        until=float(stored["until"]),
    )
