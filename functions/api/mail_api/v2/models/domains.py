"""Schemas of sending domains, their DNS and their keys, and of tracking domains."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from mail_api.v2.models.base import Body, Dated, Reference, View
from mailroom.domain.dns import names
from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.dns.dkim_rotation import KeyState, Origin
from mailroom.domain.dns.records import Need, Purpose
from mailroom.domain.dns.state import State

MAX_KEY = 16_384  # characters of a private key in PEM

DomainName = Annotated[
    str,
    StringConstraints(min_length=3, max_length=253),
    AfterValidator(names.domain_name),
    Field(description="In letters of any script, or as the DNS has it", examples=["example.com"]),
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=63), AfterValidator(names.label)]
Selector = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9_])?$"),
    Field(examples=["postal-ABCDEF"]),
]
Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{16,64}$")]
Bits = Literal[2048, 3072, 4096]


class OwnKey(Body):
    """A DKIM key of your own: RSA of 1,024 to 4,096 bits, or Ed25519."""

    selector: Selector
    private_key: str = Field(max_length=MAX_KEY, description="PEM, not encrypted")
    from_postal: bool = Field(default=False, description="Its record is worded as Postal's are")


class DomainCreate(Body):
    """A new sending domain. Without a key of your own one is made.

    `token` and `verified` are for platform administrators: an importer keeps what is published.
    """

    name: DomainName
    verification_prefix: Prefix | None = Field(None, examples=["postal-verification"])
    return_path_label: Label | None = Field(None, examples=["psrp"])
    receives: bool = Field(default=False, description="Its MX should lead here")
    key_bits: Bits = 2048
    key: OwnKey | None = None
    external_id: Reference | None = None
    token: Token | None = None
    verified: bool = False


class DomainUpdate(Body):
    """What may be changed of a domain."""

    return_path_label: Label = "psrp"
    receives: bool = False
    external_id: Reference | None = None


class KeyCreate(Body):
    """A key to be made: RSA takes over from the one before, Ed25519 signs beside it."""

    kind: KeyKind = KeyKind.RSA
    bits: Bits = Field(2048, description="Of an RSA key")


class KeyView(View):
    """A DKIM key without its secret half. Times are Unix seconds."""

    selector: str
    kind: KeyKind
    bits: int
    state: KeyState
    origin: Origin = Origin.GENERATED
    created_at: float
    since: float = Field(description="When it came into its state")
    public: str = Field(description="The p= value of its record")
    removable_at: float | None = Field(
        None, description="Until when the record of a retired key should stay published"
    )


class Domain(Dated):
    """A sending domain."""

    name: str
    shown_name: str = Field(description="The name in its own script")
    verified_at: float | None = None
    verified_by: str | None = None
    dns_state: State = State.UNKNOWN
    verification_prefix: str
    token: str
    return_path_label: str
    return_path_ok: bool = False
    receives: bool = False
    keys: list[KeyView]
    external_id: str | None = None
    deleted_at: float | None = None


class RecordView(View):
    """One record to publish, and how it stands. `type`, `name` and `value` are ready to paste."""

    purpose: Purpose
    type: str
    name: str
    value: str
    ttl: int
    need: Need
    state: State = State.UNKNOWN
    since: float | None = None
    reason: str = ""
    found: list[str] = []


class DnsView(View):
    """What a domain should publish and what it did publish when it was looked at.

    `state` is that of the whole; a record that has just begun to fail counts when a second look,
    `next_check_at`, agrees.
    """

    state: State
    checked_at: float | None
    next_check_at: float | None
    records: list[RecordView]


class ChangeBatch(View):
    """A `ChangeBatch` for Route 53's ChangeResourceRecordSets."""

    Comment: str
    Changes: list[dict[str, Any]]


class TrackingDomainCreate(Body):
    """A name of your own that links and pixels lead to: an alias of the platform's."""

    name: DomainName
    secure: bool = Field(default=True, description="It answers https")
    external_id: Reference | None = None


class TrackingDomainUpdate(Body):
    """What may be changed of a tracking domain."""

    secure: bool = True
    external_id: Reference | None = None


class TrackingDomain(Dated):
    """A tracking domain."""

    name: str
    shown_name: str
    secure: bool = True
    dns_state: State = State.UNKNOWN
    external_id: str | None = None
    deleted_at: float | None = None
