"""What is barred beyond one path: an address or a domain or a tenant at a provider, a campaign."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Any, NamedTuple

from egress.core.engine.path_record import ENGINE, MOST_TEXT
from egress.core.engine.strikes import DECAY_SECONDS, decayed, penalty
from egress.core.engine.triggers import Triggers
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Action, Category, Judgement, Scope, Verb

ANYWHERE = "*"  # the provider of a bar that holds at all of them
NOBODY = "other"  # the provider of sites that belong to nobody in particular
_DEFAULT_SECONDS = 3_600.0
_MOST_COUNTED = 10_000


class BarScope(StrEnum):
    """What is barred. Values are stored; never rename them."""

    ADDRESS = "address"
    DOMAIN = "domain"
    TENANT = "tenant"
    CAMPAIGN = "campaign"


class BarKey(NamedTuple):
    """Whom a bar is for; a campaign's `key` is `tenant/campaign` and its provider is any."""

    scope: BarScope
    key: str
    provider: str

    def __str__(self) -> str:
        return f"{self.scope.value}#{self.key}#{self.provider}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar until a time (Unix seconds; infinity: until a person lifts it)."""

    at: BarKey
    until: float
    since: float
    strikes: int = 1
    rule: str = ""
    reply: str = ""
    category: str = Category.OTHER.value
    by: str = ENGINE

    @property
    def reason(self) -> str:
        """Why, for people."""
        at = self.at
        whom = f"{at.scope.value} {at.key} barred at {at.provider}"
        return ": ".join(part for part in (whom, self.rule, self.reply) if part)


class Bars:
    """The bars that a host knows. Looking one up costs the same however many there are."""

    def __init__(self, bars: Iterable[Bar] = ()) -> None:
        self._bars: dict[BarKey, Bar] = {bar.at: bar for bar in bars}
        self._triggers = Triggers(_MOST_COUNTED)

    def apply(
        self,
        judgement: Judgement,
        reply: SmtpReply,
        *,
        address: str,
        provider: str,
        domain: str,
        tenant: str,
        campaign: str,
        now: float,
    ) -> Bar | None:
        """Bar what a reply asks to be barred; return the bar if it is new or longer.

        Where the provider is nobody in particular, give the site's key for it: nothing is barred
        at "other", which is most of the world.
        """
        wanted = _wanted(judgement, address, provider, domain, tenant, campaign)
        if wanted is None:
            return None
        at, action = wanted
        if not self._triggers.fires((judgement.rule, at), judgement.trigger, now):
            return None
        seconds = action.seconds
        if action.verb is Verb.DISABLE_ADDRESS:
            seconds = seconds or inf
        text = str(reply)[:MOST_TEXT]
        return self._set(at, seconds or _DEFAULT_SECONDS, judgement, text, now)

    def find(self, at: BarKey, now: float) -> Bar | None:
        """Return the bar at a key that has not expired."""
        bar = self._bars.get(at)
        return bar if bar is not None and bar.until > now else None

    def of_address(self, address: str, provider: str, now: float) -> Bar | None:
        """Return what bars an address at a provider, or everywhere."""
        if not self._bars:
            return None
        return self.find(BarKey(BarScope.ADDRESS, address, provider), now) or self.find(
            BarKey(BarScope.ADDRESS, address, ANYWHERE), now
        )

    def of_job(
        self, domain: str, tenant: str, campaign: str, provider: str, now: float
    ) -> Bar | None:
        """Return the longest of what bars mail of a domain, tenant or campaign at a provider."""
        if not self._bars:
            return None
        found = [
            self.find(BarKey(BarScope.DOMAIN, domain, provider), now),
            self.find(BarKey(BarScope.TENANT, tenant, provider), now),
            self.find(_campaign(tenant, campaign), now) if campaign else None,
        ]
        bars = [bar for bar in found if bar is not None]
        return max(bars, key=lambda bar: bar.until, default=None)

    def order(self, at: BarKey, until: float, reason: str, author: str, now: float) -> Bar:
        """Bar by an operator's word."""
        bar = Bar(at, until, now, reply=reason[:MOST_TEXT], by=author)
        self._bars[at] = bar
        return bar

    def lift(self, at: BarKey) -> Bar | None:
        """Forget a bar and its strikes; return it if there was one.

        A path that a reply DISABLED is lifted by itself, with an order for the path.
        """
        return self._bars.pop(at, None)

    def replace(self, bars: Iterable[Bar]) -> None:
        """Take the bars as they are stored now: other hosts and operators write them too."""
        self._bars = {bar.at: bar for bar in bars}

    def expire(self, now: float) -> tuple[BarKey, ...]:
        """Forget bars whose strikes are forgiven too; return their keys, for their rows."""
        over = [
            at
            for at, bar in self._bars.items()
            if bar.until <= now and not decayed(bar.strikes, bar.until, now)
        ]
        for at in over:
            del self._bars[at]
        return tuple(over)

    def all(self, now: float) -> tuple[Bar, ...]:
        """Return the bars that hold now."""
        return tuple(bar for bar in self._bars.values() if bar.until > now)

    def _set(
        self, at: BarKey, seconds: float, judgement: Judgement, text: str, now: float
    ) -> Bar | None:
        category = judgement.category.value
        last = self._bars.get(at)
        if last is None:
            bar = Bar(at, now + seconds, now, 1, judgement.rule, text, category)
        elif last.until > now:
            # Mail that was under way says it again: the same trouble, not another strike.
            bar = replace(last, until=max(last.until, now + seconds))
            if bar.until - last.until < DECAY_SECONDS / 360:
                return None
        else:
            strikes = decayed(last.strikes, last.until, now) + 1
            until = now + penalty(seconds, strikes, category)
            bar = Bar(at, until, now, strikes, judgement.rule, text, category)
        self._bars[at] = bar
        return bar


def dump(bar: Bar) -> dict[str, Any]:
    """Return a bar as JSON-ready values."""
    return {
        "scope": bar.at.scope.value,
        "key": bar.at.key,
        "provider": bar.at.provider,
        "until": None if bar.until == inf else bar.until,
        "since": bar.since,
        "strikes": bar.strikes,
        "rule": bar.rule,
        "reply": bar.reply,
        "category": bar.category,
        "by": bar.by,
    }


def load(body: Mapping[str, Any]) -> Bar:
    """Return the bar that a row holds. Raises KeyError and ValueError for one that is none."""
    at = BarKey(BarScope(body["scope"]), str(body["key"]), str(body["provider"]))
    until = body.get("until")
    return Bar(
        at,
        inf if until is None else float(until),
        float(body.get("since", 0.0)),
        int(body.get("strikes", 1)),
        str(body.get("rule", "")),
        str(body.get("reply", ""))[:MOST_TEXT],
        str(body.get("category", Category.OTHER.value)),
        str(body.get("by", ENGINE)),
    )


def _wanted(
    judgement: Judgement, address: str, provider: str, domain: str, tenant: str, campaign: str
) -> tuple[BarKey, Action] | None:
    """Return what a judgement wants barred beyond its path, and by which action."""
    hold = judgement.action(Verb.HOLD_CAMPAIGN)
    if hold is not None and campaign and tenant:
        return _campaign(tenant, campaign), hold
    disable, defer = judgement.action(Verb.DISABLE_ADDRESS), judgement.action(Verb.DEFER_TENANT)
    if judgement.scope is Scope.CONFIGURATION and disable is not None:
        return BarKey(BarScope.ADDRESS, address, ANYWHERE), disable
    if provider == NOBODY:
        return None
    action = disable or judgement.action(Verb.SUSPEND)
    if judgement.scope is Scope.ADDRESS and action is not None:
        return BarKey(BarScope.ADDRESS, address, provider), action
    if judgement.scope is Scope.DOMAIN and defer is not None and domain:
        return BarKey(BarScope.DOMAIN, domain, provider), defer
    if judgement.scope is Scope.TENANT and defer is not None and tenant:
        return BarKey(BarScope.TENANT, tenant, provider), defer
    return None


def _campaign(tenant: str, campaign: str) -> BarKey:
    return BarKey(BarScope.CAMPAIGN, f"{tenant}/{campaign}", ANYWHERE)
