"""What a reply says beyond its code: whom to blame, what to do about it, for how long."""

from dataclasses import dataclass
from enum import StrEnum

from mailroom.domain.sending.rate import Rate


class Scope(StrEnum):
    """Whom a reply is about. Values are stored; never rename them."""

    MESSAGE = "message"  # M: this recipient or this message
    PATH = "path"  # P: one source address at one site
    ADDRESS = "address"  # I: one source address at all sites of the provider
    DOMAIN = "domain"  # D: the DKIM or From domain at the provider, from all addresses
    TENANT = "tenant"  # T: the tenant at the provider
    CONFIGURATION = "configuration"  # C: something of ours that a person must put right


class Category(StrEnum):
    """Why mail was refused: PowerMTA's 17 bounce categories and ours. Never rename a value."""

    BAD_CONFIGURATION = "bad-configuration"
    BAD_CONNECTION = "bad-connection"
    BAD_DOMAIN = "bad-domain"
    BAD_MAILBOX = "bad-mailbox"
    CONTENT_RELATED = "content-related"
    INACTIVE_MAILBOX = "inactive-mailbox"
    INVALID_SENDER = "invalid-sender"
    MESSAGE_EXPIRED = "message-expired"
    NO_ANSWER = "no-answer-from-host"
    OTHER = "other"
    POLICY_RELATED = "policy-related"
    PROTOCOL_ERRORS = "protocol-errors"
    QUOTA_ISSUES = "quota-issues"
    RELAYING_ISSUES = "relaying-issues"
    ROUTING_ERRORS = "routing-errors"
    SPAM_RELATED = "spam-related"
    VIRUS_RELATED = "virus-related"
    AUTHENTICATION = "authentication"
    RATE_LIMITED = "rate-limited"
    GREYLISTED = "greylisted"
    TLS_POLICY = "tls-policy"
    DNS = "dns"
    UNCERTAIN = "uncertain"


class Verb(StrEnum):
    """What a rule asks for. Values are stored; never rename them."""

    ONE_CONNECTION = "one-connection"  # the window falls to 1
    HALVE_WINDOW = "halve-window"
    RATE = "rate"  # the message rate becomes `rate`
    RATE_TIMES = "rate-times"  # the message rate is multiplied by `factor`
    MESSAGES_PER_CONNECTION = "messages-per-connection"  # learn what this connection carried
    SLOW = "slow"
    BACKOFF = "backoff"
    SUSPEND = "suspend"  # for `seconds`, then PROBE
    DISABLE_ADDRESS = "disable-address"  # at this provider; for `seconds`, 0 until a person acts
    SKIP_HOST = "skip-host"  # try the next mail exchanger
    CLOSE_CONNECTION = "close-connection"
    RETRY_AFTER = "retry-after"  # the message waits `seconds`
    RETRY_NOW = "retry-now"  # at once, without penalty
    OTHER_ADDRESS = "other-address"  # another source address may try
    STICKY = "sticky"  # the retry comes from the same source address
    DEFER_TENANT = "defer-tenant"  # the tenant's mail (scope T) or domain's (D) waits `seconds`
    HOLD_CAMPAIGN = "hold-campaign"
    HOLD_WARMUP = "hold-warmup"
    FORCE_TLS = "force-tls"
    NORMAL = "normal"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do; which of the fields counts is said at its verb."""

    verb: Verb
    seconds: float = 0.0
    factor: float = 1.0
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """When the actions happen: at once, after `count` in `window` seconds, or at `ratio`.

    `ratio` (0 to 1) is a share of at least `least` attempts in `window` seconds.
    """

    count: int = 1
    window: float = 0.0
    ratio: float = 0.0
    least: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say about one reply; `rule` is the id of the one that matched, "" for none.

    `permanent` overrides the class of the code (None: it stands). `suppress` says that the address
    is bad. `retry_after` (seconds) was read in the reply, or is the rule's; None is the schedule's.
    """

    scope: Scope = Scope.MESSAGE
    category: Category = Category.OTHER
    actions: tuple[Action, ...] = ()
    trigger: Trigger = Trigger()
    rule: str = ""
    permanent: bool | None = None
    suppress: bool = False
    retry_after: float | None = None

    def action(self, verb: Verb) -> Action | None:
        """Return the action with `verb`, if the rule has one."""
        return next((each for each in self.actions if each.verb is verb), None)
