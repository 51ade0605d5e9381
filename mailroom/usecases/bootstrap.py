"""The first hour of a platform: its own keys, an administrator, and a key to begin with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.tenancy.access import ALL, Actor
from mailroom.domain.tenancy.identity import new_secret
from mailroom.domain.tenancy.kinds.key import KEY
from mailroom.domain.tenancy.kinds.secret import sealed
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import AlreadyExistsError
from mailroom.ports.dns import DkimKeys
from mailroom.ports.registry import Keyring
from mailroom.usecases.keys import PREFIX
from mailroom.usecases.quorum import ADMINISTRATORS, circle, moved
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.users import new_user

SYMMETRIC = ("tracking", "verp", "token", "recipients")
WEBHOOK = "webhook"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ACTOR = Actor("platform", "bootstrap", "bootstrap")


@dataclass(frozen=True, slots=True)
class BootstrapPorts:
    """The register, the keyring that wraps the platform's keys, and what makes RSA keys."""

    registrar: Registrar
    keyring: Keyring
    keys: DkimKeys


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """The first administrator, and two secrets that are shown once.

    `token` is the administrator's own, `key` a key of the platform for programs. `made` are the
    purposes of the platform keys that were missing.
    """

    administrator: Resource
    token: str = field(repr=False)
    key: str = field(repr=False)
    made: tuple[str, ...] = ()


def bootstrap(email: str, name: str, ports: BootstrapPorts) -> Bootstrapped:
    """Make what a new platform lacks. Platform keys that are there stay.

    Raises AlreadyExistsError, after the missing platform keys were made, when there is an
    administrator already or somebody has the address.
    """
    made = complete_platform_keys(ports)
    registrar = ports.registrar
    if circle(ADMINISTRATORS, registrar.registry):
        raise AlreadyExistsError("the platform has an administrator", field="administrator")
    id_ = registrar.id_for(USER)
    token, own = _key("First token", f"user#{id_}", registrar)
    key, platforms = _key("bootstrap", PLATFORM, registrar)
    administrator = registrar.create(
        USER,
        PLATFORM,
        {**new_user(email, name), "administrator": True},
        actor=_ACTOR,
        organisation="",
        id_=id_,
        beside=[
            *own,
            *platforms,
            *moved(ADMINISTRATORS, id_, registrar.registry, inside=True),
        ],
    )
    return Bootstrapped(administrator, token, key, made)


def complete_platform_keys(ports: BootstrapPorts) -> tuple[str, ...]:
    """Make those of the platform's own keys that are missing; return their purposes."""
    registry = ports.registrar.registry
    missing = [
        purpose
        for purpose in (*SYMMETRIC, WEBHOOK)
        if not registry.count(PLATFORM, f"key#{purpose}#", most=1)
    ]
    if missing:
        registry.write([change for each in missing for change in _platform_key(each, ports)])
    return tuple(missing)


def _platform_key(purpose: str, ports: BootstrapPorts) -> Sequence[Change]:
    registrar = ports.registrar
    # Return paths have room for a key id of one character only.
    kid = _chosen(1 if purpose == "verp" else 6, registrar)
    secret, public = registrar.chance.bits(256).to_bytes(32, "big"), ""
    if purpose == WEBHOOK:
        material = ports.keys.generate(KeyKind.RSA)
        secret, public = material.private, _pem(material.public)
    record = Record(
        Place(PLATFORM, f"key#{purpose}#{kid}"),
        {"public": public, "created_at": registrar.clock.now()},
        secret=ports.keyring.wrap(secret, f"platform#{purpose}"),
    )
    entry = {"kind": "platform-key", "id": kid, "parent": PLATFORM, "after": {"purpose": purpose}}
    return [
        Change.put(record, 0),
        registrar.note("create", entry, organisation="", actor=_ACTOR),
    ]


def _key(name: str, parent: str, registrar: Registrar) -> tuple[str, Sequence[Change]]:
    secret, now = new_secret(registrar.chance, registrar.environment, PREFIX), registrar.clock.now()
    fields = {"name": name, "scopes": [ALL], "networks": [], "expires_at": None, **sealed(secret)}
    key = Resource(KEY.name, parent, registrar.id_for(KEY), fields, created_at=now, updated_at=now)
    return secret, registrar.creation(KEY, key, _ACTOR)


def _pem(public: str) -> str:
    lines = [public[start : start + 64] for start in range(0, len(public), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _chosen(count: int, registrar: Registrar) -> str:
    drawn = registrar.chance.bits(5 * count)
    return "".join(_ALPHABET[(drawn >> 5 * place) & 31] for place in range(count))
