"""What a reply or a broken connection means for a path: blame, and what the rule asks for."""

from egress.core.engine.path_record import MOST_TEXT, Cause, PathState
from egress.core.engine.path_states import FREE, SILENT, PathStates
from egress.core.engine.triggers import BACKOFF_RATIO, SLOW_RATIO
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Action, Category, Judgement, Scope, Verb

_ONE_ANSWER = 1.0  # seconds in which failed connections count once
SUSPEND_SECONDS = 600.0  # where no rule says how long
CONNECT_FAILURES = 3  # in a row, until the path is probed
_OURS = frozenset((Scope.PATH, Scope.ADDRESS))
_EARLY = frozenset((Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.MAIL))
_ENDING = frozenset((0, 421))  # the connection is gone: lost, or closed with these words
_ELSEWHERE = frozenset((Category.DNS, Category.TLS_POLICY))  # a domain's trouble, not a path's
_NO_PENALTY = (Verb.RETRY_NOW, Verb.MESSAGES_PER_CONNECTION)
_CONTROLS = frozenset((Verb.ONE_CONNECTION, Verb.HALVE_WINDOW, Verb.RATE, Verb.RATE_TIMES))


def refused(path: PathStates, now: float, judgement: Judgement, reply: SmtpReply) -> bool:
    """Apply the reply to a message; say whether the path is to blame.

    A reply about the message or its recipient shows that the path works. One about a domain, a
    tenant or our configuration says nothing about the path.
    """
    if judgement.scope is Scope.MESSAGE:
        path.answered(now)
        return False
    path.probe.give_back()
    if judgement.scope not in _OURS or path.state is PathState.DISABLED:
        return False
    cause = _cause(judgement, reply)
    if any(judgement.action(verb) for verb in _NO_PENALTY):
        _apply(path, now, judgement, cause)
        return False
    path.shares.count(now, blamed=True)
    if path.state is PathState.PROBE:
        _probe_failed(path, now, judgement, cause)
        return True
    path.stain(now)
    acted = _apply(path, now, judgement, cause)
    if reply.code in _ENDING and reply.phase in _EARLY and path.window.failed():
        path.settle(now)
    if not acted and judgement.category is Category.RATE_LIMITED:
        path.slow(now, cause)
    _weigh(path, now, cause)
    return True


def not_opened(path: PathStates, now: float, judgement: Judgement, reply: SmtpReply) -> None:
    """Apply the refusal of a connection: no answer, or 4xx or 5xx before there was a message."""
    ours = judgement.scope in _OURS
    if judgement.category in _ELSEWHERE:
        return
    if path.state in SILENT or not (ours or judgement.scope is Scope.MESSAGE):
        return
    cause = _cause(judgement, reply, Category.BAD_CONNECTION)
    if ours and path.state is not PathState.PROBE:
        _apply(path, now, judgement, cause)
    if path.state not in SILENT:
        _trouble(path, now, judgement if ours else Judgement(Scope.PATH), cause)


def lost(path: PathStates, now: float, phase: str) -> None:
    """Apply the loss of a connection. After MAIL it says little, except to a probe."""
    if path.state is PathState.PROBE or (path.state not in SILENT and phase in _EARLY):
        text = f"connection lost in {phase}"
        cause = Cause(reply=text, category=Category.BAD_CONNECTION.value)
        _trouble(path, now, Judgement(Scope.PATH), cause)


def _trouble(path: PathStates, now: float, judgement: Judgement, cause: Cause) -> None:
    # Connections opened in one go and turned away together are one answer, not a row of them.
    is_another = now - path.failed_at >= _ONE_ANSWER
    if is_another:
        path.failures += 1
        path.failed_at = now
    if path.state is PathState.PROBE:
        blamed = path.base > 0 or judgement.action(Verb.SUSPEND)
        if blamed or judgement.action(Verb.DISABLE_ADDRESS):
            _probe_failed(path, now, judgement, cause)
        else:
            path.dead(now, cause)
        return
    path.stain(now)
    if path.window.failed():
        path.settle(now)
    if path.state in FREE and path.failures >= CONNECT_FAILURES:
        path.doubt(now, cause)


def _probe_failed(path: PathStates, now: float, judgement: Judgement, cause: Cause) -> None:
    disable, suspend = judgement.action(Verb.DISABLE_ADDRESS), judgement.action(Verb.SUSPEND)
    if disable is not None:
        path.disable(now, disable.seconds, cause)
        return
    named = suspend.seconds if suspend else 0.0
    seconds = named or path.base or SUSPEND_SECONDS
    path.suspend(now, max(seconds, judgement.retry_after or 0.0), cause)


def _weigh(path: PathStates, now: float, cause: Cause) -> None:
    """Act on the share of the attempts that the path is to blame for."""
    if path.state not in FREE:
        return
    ratio = path.shares.ratio(now)
    if ratio >= BACKOFF_RATIO:
        path.back_off(now, path.settings.backoff.seconds, cause)
    elif ratio >= SLOW_RATIO:
        path.slow(now, cause)
        path.shares.clear()  # what comes after the cut is another matter


def _apply(path: PathStates, now: float, judgement: Judgement, cause: Cause) -> bool:
    """Do what the rule asks of the path, if its trigger fires; say whether it asked for any."""
    if not judgement.actions:
        return False
    attempts = path.shares.attempts
    if not path.triggers.fires(judgement.rule, judgement.trigger, now, attempts):
        return False
    acted = [_act(path, now, action, judgement, cause) for action in judgement.actions]
    return any(acted)  # of all: one that did something must not keep the others from it


def _act(path: PathStates, now: float, action: Action, judgement: Judgement, cause: Cause) -> bool:
    verb = action.verb
    if verb in _CONTROLS:
        if path.state not in SILENT:
            _control(path, now, action)
    elif verb is Verb.SLOW:
        path.slow(now, cause)
    elif verb is Verb.BACKOFF:
        path.back_off(now, action.seconds or path.settings.backoff.seconds, cause)
    elif verb is Verb.SUSPEND:
        seconds = action.seconds or SUSPEND_SECONDS
        path.suspend(now, max(seconds, judgement.retry_after or 0.0), cause)
    elif verb is Verb.DISABLE_ADDRESS:
        path.disable(now, action.seconds, cause)
    elif verb is Verb.NORMAL:
        path.relieve(now)
    else:
        return False
    return True


def _control(path: PathStates, now: float, action: Action) -> None:
    if action.verb is Verb.ONE_CONNECTION:
        path.window.one()
        path.hold_until = max(path.hold_until, now + action.seconds if action.seconds else 0.0)
    elif action.verb is Verb.HALVE_WINDOW:
        path.window.halve()
    elif action.verb is Verb.RATE_TIMES:
        path.pace.cut(now, action.factor)
    elif action.rate is not None:
        path.pace.limit(action.rate, now, action.seconds)
    path.settle(now)


def _cause(judgement: Judgement, reply: SmtpReply, category: Category | None = None) -> Cause:
    given = judgement.category
    if given is Category.OTHER and category is not None:
        given = category
    return Cause(judgement.rule, str(reply)[:MOST_TEXT], given.value)
