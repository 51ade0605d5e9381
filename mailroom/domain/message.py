"""The nouns every room shares: server, submission, delivery and their keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NewType, Self

from mailroom.domain.lifecycle import State
from mailroom.domain.send_limit import Limits

ServerId = NewType("ServerId", str)  # ten characters of lower-case base32

RECIPIENT_BITS = 10
MAX_RECIPIENTS = 1 << RECIPIENT_BITS
NUMBER_BITS = 43  # 30 bits of seconds, 13 random
TRANSACTIONAL, BROADCAST = "transactional", "broadcast"  # the streams every server has
RAW_DAYS, METADATA_DAYS = 30, 60  # Postal's defaults of retention
SEND_SCOPE = "messages:send"
EPOCH = 1_704_067_200  # 2024-01-01T00:00:00Z; the 30 bits last until 2058


def submission_number(now: float, chance: int) -> int:
    """Return a submission number for `now` (Unix seconds); `chance` gives the 13 random bits.

    Sortable by time. Unique only together with the conditional commit: on a clash the caller
    draws again.
    """
    seconds = max(0, int(now) - EPOCH) & ((1 << 30) - 1)
    return (seconds << 13) | (chance & 0x1FFF)


def is_bulk(stream: str) -> bool:
    """Say whether mail of a stream, or of a class, is bulk: it waits longer, and gives way."""
    return stream == BROADCAST


def drawn_at(number: int) -> float:
    """Return the second (Unix seconds) a submission number was drawn for: that of the acceptance,
    or one of the few after it where earlier numbers were taken."""
    return float(EPOCH + (number >> 13))


@dataclass(frozen=True, slots=True, order=True)
class DeliveryKey:
    """Names one delivery: one message for one recipient."""

    server: ServerId
    number: int
    index: int

    @property
    def postal_id(self) -> int:
        """The integer id of Postal's API: below 2^53, so JavaScript and PHP keep it exact."""
        return (self.number << RECIPIENT_BITS) | self.index

    @classmethod
    def from_postal_id(cls, server: ServerId, id_: int) -> "DeliveryKey":
        """Decode `postal_id`; it needs no index because it is the key.

        Raises ValueError for a number that no delivery can have.
        """
        if not 0 < id_ < 1 << (NUMBER_BITS + RECIPIENT_BITS):
            raise ValueError("no message has that id")
        return cls(server, id_ >> RECIPIENT_BITS, id_ & (MAX_RECIPIENTS - 1))

    def __str__(self) -> str:
        return f"{self.server}.{self.number}.{self.index}"

    @classmethod
    def parse(cls, text: str) -> "DeliveryKey":
        """Read what `str(key)` wrote. Raises ValueError for anything else."""
        server, number, index = text.split(".")
        key = cls(ServerId(server), int(number), int(index))
        if str(key) != text:  # int() reads more spellings than str() writes
            raise ValueError("not the name of a delivery")
        return key


@dataclass(frozen=True, slots=True)
class BodyRef:
    """Where the raw message lies: `inline` (zlib-compressed bytes) or the S3 `key`."""

    inline: bytes | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One accepted call or SMTP transaction: one stored body, one or more deliveries.

    Times are Unix seconds. `mail_from` is the envelope sender as submitted; on the wire the
    return path is ours. `sign_domain` is the verified domain of the From header. `tag` is the
    first of `tags`. `expires_at` counts from `send_at` where that is set, and `retention_days` say
    how long after it the rows are kept; `raw_until` is when the retention of the raw message ends
    (None: with that of the rows). None as `track_opens` and `track_clicks` leaves it to the
    server. A `test` is accepted like any other and never leaves (`simulate.py`). Copies of an
    `individual` message name their own recipient in To, where the stored one names nobody.
    """

    server: ServerId
    number: int
    accepted_at: float
    expires_at: float
    mail_from: str
    from_address: str
    sign_domain: str
    subject: str
    message_id: str | None
    tag: str | None
    size: int
    recipients: int
    source: str  # "api", "raw" or "smtp"
    bounce: bool
    body: BodyRef
    credential: str = ""
    received_with_ssl: bool | None = None
    hold: bool = False  # its credential asked to hold what it sends
    utf8: bool = False  # submitted with SMTPUTF8 (RFC 6531): a receiver must offer it too
    dsn: str = ""  # what the submitter asked of RFC 3461, as `dsn_request.py` writes it
    stream: str = TRANSACTIONAL
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    track_opens: bool | None = None
    track_clicks: bool | None = None
    send_at: float | None = None
    retention_days: int = METADATA_DAYS
    raw_until: float | None = None
    test: bool = False
    individual: bool = False

    def key(self, index: int) -> DeliveryKey:
        """Return the key of this submission's delivery number `index`."""
        return DeliveryKey(self.server, self.number, index)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one recipient: the unit of state. Times are Unix seconds.

    `merge` are this recipient's own texts for the placeholders of the message (`merge.py`).
    `bulk` is the class of its stream. `sticky` is the id of the source address that must come
    again, "" for any. `stalls` counts tries since the last attempt that no receiver heard of, or
    that did not count; `late` says that somebody was told how late it is.
    """

    key: DeliveryKey
    recipient: str
    state: State
    accepted_at: float
    expires_at: float
    attempts: int = 0
    uncertain: int = 0  # how often the final reply was lost
    generation: int = 0  # a wake-up of an older generation is stale
    claim: str | None = None
    claim_until: float | None = None
    due_at: float | None = None
    manual: bool = False  # released by a person; only suspension and limits hold it again
    merge: Mapping[str, str] = field(default_factory=dict, hash=False)
    bulk: bool = False
    sticky: str = ""
    stalls: int = 0
    late: bool = False


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A queue entry: "look at this delivery". It carries no authority; the claim does.

    `trace` is the X-Ray trace header of whoever queued it, "" for none. `bulk` and `sticky` are
    the delivery's: they say which queue it goes to and which source address must come again.
    """

    key: DeliveryKey
    generation: int
    recipient: str
    trace: str = ""
    bulk: bool = False
    sticky: str = ""

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return the wake-up for a delivery as it is now."""
        return cls(
            delivery.key,
            delivery.generation,
            delivery.recipient,
            bulk=delivery.bulk,
            sticky=delivery.sticky,
        )


@dataclass(frozen=True, slots=True)
class Tracking:
    """How a server tracks: the public base URL of the tracking host, and what is on."""

    base_url: str
    clicks: bool = True
    opens: bool = True


class Mode(StrEnum):
    """What a server does with accepted mail. Values are stored; never rename them."""

    LIVE = "live"
    DEVELOPMENT = "development"  # everything is held; a person may release it
    SANDBOX = "sandbox"  # everything is accepted and nothing leaves: `simulate.py` answers


class OnSuppressed(StrEnum):
    """What becomes of mail to a suppressed address. Values are stored; never rename them."""

    SUPPRESS = "suppress"  # it ends as suppressed
    HOLD = "hold"  # it is held, as in Postal


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server in Postal's sense: the tenant unit that owns credentials and webhooks.

    `suspended` is set when its organisation is suspended, too. `retention_raw_days` (1 to 400) is
    how long raw messages are kept, `retention_days` (no less) what is known about them. The days
    and months of its limits are those of `time_zone` (IANA name; "" is UTC).
    """

    id: ServerId
    organisation: str
    name: str
    permalink: str
    token: str  # six lower-case characters, as Postal has
    tracking: Tracking | None = None
    suspended: str | None = None  # the reason
    mode: Mode = Mode.LIVE
    send_limit: int | None = None  # messages in any 60 minutes; the next one is held
    privacy: bool = False  # keep addresses of submitting clients and readers to ourselves
    allow_sender: bool = False  # any From, if the Sender header is at a verified domain
    resent_sender: bool = False  # add Resent-Sender with the return path, as Postal does
    limits: Limits = field(default_factory=Limits)
    time_zone: str = ""
    retention_raw_days: int = RAW_DAYS
    retention_days: int = METADATA_DAYS
    postmaster_address: str = ""
    suppressed: OnSuppressed = OnSuppressed.SUPPRESS
    braked: str | None = None  # the reason, while a brake holds its mail (`brake.py`)
    complaint_limit: float | None = None  # share of mail; None is the platform's
    bounce_limit: float | None = None

    @property
    def send_limits(self) -> Limits:
        """All its limits; `send_limit` is what `limits.hour` was before there were others."""
        if self.limits.hour is None and self.send_limit is not None:
            return replace(self.limits, hour=self.send_limit)
        return self.limits


@dataclass(frozen=True, slots=True)
class DomainKey:
    """A DKIM key that signs beside a domain's first one: Ed25519 (RFC 8463)."""

    selector: str
    wrapped_key: bytes = field(repr=False)  # PKCS#8 DER, KMS-encrypted


@dataclass(frozen=True, slots=True)
class Domain:
    """A sending domain of a server or its organisation."""

    name: str
    owner: str  # "server#<id>" or "organisation#<id>"
    verified: bool
    selector: str
    wrapped_key: bytes = field(repr=False)  # RSA private key (PKCS#8 DER), KMS-encrypted
    return_path_ok: bool = False  # <return_path_label>.<domain> points at us
    return_path_label: str = "psrp"  # Postal's
    more_keys: tuple[DomainKey, ...] = ()

    @property
    def return_path(self) -> str:
        """The name that bounces go to, if it points at us."""
        return f"{self.return_path_label}.{self.name}"


@dataclass(frozen=True, slots=True)
class Credential:
    """What opens a server: a secret (`kind` "api" or "smtp") or an address ("smtp-ip").

    `hold` holds all it sends; `cram` allows CRAM-MD5, for which the secret itself is kept. It may
    be used until `expires_at` (Unix seconds) and, if there are `networks` (CIDR), from those only
    (`credential_use.py`). What it sends belongs to `stream` unless the message names another.
    """

    id: str
    server: ServerId
    kind: str
    name: str
    hold: bool = False
    cram: bool = False
    scopes: frozenset[str] = frozenset({SEND_SCOPE})
    networks: tuple[str, ...] = ()
    expires_at: float | None = None
    stream: str = ""


class Views(StrEnum):
    """Whose opens and clicks a webhook hears of. Values are stored; never rename them."""

    ALL = "all"
    HUMAN = "human"  # only those judged to be a person's


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint of a server: a URL, or the ARN of its organisation's own topic.

    Empty `events` means all.
    """

    id: str
    server: ServerId
    url: str
    events: frozenset[str] = frozenset()
    enabled: bool = True
    sign: bool = True
    views: Views = Views.ALL
