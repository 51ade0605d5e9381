"""Add, prove, sign for and remove sending domains and tracking domains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.domain.dns import dkim_rotation as rotation
from mailroom.domain.dns.answers import Lookup, txt
from mailroom.domain.dns.dkim_record import KeyKind, compare_dkim
from mailroom.domain.dns.dkim_rotation import DkimKey, KeyRing, KeyState, Origin, RotationError
from mailroom.domain.dns.names import domain_name
from mailroom.domain.dns.names import selector as checked_selector
from mailroom.domain.dns.records import dkim_name, ownership_value
from mailroom.domain.dns.state import State
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.domain import DOMAIN, key_ring, sending_domain, with_key_ring
from mailroom.domain.tenancy.kinds.tracking_domain import TRACKING_DOMAIN
from mailroom.domain.tenancy.resource import Resource, ResourceKind
from mailroom.errors import DomainError, KeyUnfitError
from mailroom.ports.dns import KeyMaterial
from mailroom.usecases.domain_checks import DomainPorts, first_watch, last_watch, read_watch
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.servers import ServerPorts, change_server

TOKEN = 32  # characters, as Postal has
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN_BITS = 192  # 62^32 is a little over 190
RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key that a tenant brings: `private` in PEM or DER, and the selector it is published at.

    One that comes from Postal keeps the wording of its record.
    """

    selector: str
    private: bytes
    from_postal: bool = False


def create_domain(
    parent: str,
    organisation: str,
    given: Mapping[str, Any],
    ports: DomainPorts,
    *,
    actor: Actor,
    bits: int = RSA_BITS,
    own_key: OwnKey | None = None,
    verified: bool = False,
) -> Resource:
    """Add a sending domain with a key of its own, to be proven by its ownership record.

    `given` has `name` and may have `token`, `verification_prefix`, `return_path_label`, `receives`
    and `external_id`. A `verified` one is taken for proven (a platform administrator's, or one
    from a Postal database). Raises DomainError, KeyUnfitError, AlreadyExistsError, TooManyError.
    """
    registrar, platform = ports.registrar, ports.platform
    now = registrar.clock.now()
    material, selector, origin = _first_key(own_key, bits, ports)
    keys = _added((), _key(material, selector, origin, now))
    fields = {
        "name": _name(given["name"]),
        "token": given.get("token") or _token(registrar),
        # Written down, so that a new convention of the platform's undoes nothing.
        "verification_prefix": given.get("verification_prefix") or platform.verification_prefix,
        "return_path_label": given.get("return_path_label") or platform.return_path_label,
        "return_path_ok": False,
        "receives": bool(given.get("receives")),
        "external_id": given.get("external_id"),
        "verified_at": now if verified else None,
        "verified_by": "platform" if verified else None,
        "dns_state": "unknown",
    }
    wrapped = {selector: ports.keyring.wrap(material.private, parent)}
    id_ = registrar.id_for(DOMAIN)
    return registrar.create(
        DOMAIN,
        parent,
        with_key_ring(fields, keys, wrapped),
        actor=actor,
        organisation=organisation,
        id_=id_,
        beside=first_watch(DOMAIN, parent, id_, now, divisor=ports.delay_divisor),
    )


def verify_domain(domain: Resource, ports: DomainPorts, *, actor: Actor) -> Resource:
    """Prove a domain by its ownership record, looked up now.

    Raises DomainError, which says what was found, if it is not there.
    """
    if domain.fields.get("verified_at") is not None:
        return domain
    expected = sending_domain(domain.fields)
    wanted = ownership_value(expected, ports.platform)
    answer = ports.dns.ask(txt(expected.name))
    if answer.lookup is Lookup.FAILED:
        raise DomainError(f"the DNS gave no usable answer: {answer.problem}")
    if not any(text.split() == wanted.split() for text in answer.values):
        raise DomainError(f"{expected.name} has no TXT record {wanted!r} yet")
    now = ports.registrar.clock.now()
    fields = {**domain.fields, "verified_at": now, "verified_by": "dns"}
    return ports.registrar.update(DOMAIN, domain, fields, actor=actor, action="verify")


def rotate_key(
    domain: Resource,
    ports: DomainPorts,
    *,
    actor: Actor,
    kind: KeyKind = KeyKind.RSA,
    bits: int = RSA_BITS,
) -> Resource:
    """Make a key that takes over (RSA) or joins (Ed25519) once its record is seen in the DNS.

    Raises DomainError if the domain's keys do not allow it.
    """
    try:
        material = ports.keys.generate(kind, bits)
    except ValueError as error:
        raise KeyUnfitError(str(error)) from error
    ring = key_ring(domain.fields)
    selector = rotation.new_selector(ring, ports.registrar.chance.bits(rotation.SELECTOR_BITS))
    action = "add_key" if kind is KeyKind.ED25519 else "rotate_key"
    return _with_new(domain, material, selector, Origin.GENERATED, ports, actor, action)


def import_key(domain: Resource, own: OwnKey, ports: DomainPorts, *, actor: Actor) -> Resource:
    """Add a key that the tenant brings; it is pending until its record is seen.

    Raises KeyUnfitError for a key DKIM cannot use, DomainError for a selector it cannot have.
    """
    material = _inspected(own, ports)
    origin = _origin(own)
    return _with_new(domain, material, own.selector, origin, ports, actor, "import_key")


def activate_key(domain: Resource, selector: str, ports: DomainPorts, *, actor: Actor) -> Resource:
    """Let a key sign from now on, if its record is published: it is looked up now.

    Raises DomainError, which says what is wrong with the record.
    """
    ring = key_ring(domain.fields)
    key = _found(ring, selector)
    answer = ports.dns.ask(txt(dkim_name(selector, domain.fields["name"])))
    if answer.lookup is Lookup.FAILED:
        raise DomainError(f"the DNS gave no usable answer: {answer.problem}")
    if len(answer.values) != 1:
        raise DomainError(f"there is not exactly one DKIM record at {selector}")
    fault = compare_dkim(answer.values[0], key.kind, key.public)
    if fault is not None:
        raise DomainError(fault.reason)
    return _stepped(domain, rotation.activate, selector, ports, actor, "activate_key")


def retire_key(domain: Resource, selector: str, ports: DomainPorts, *, actor: Actor) -> Resource:
    """Let an Ed25519 key sign no more. Raises DomainError if it does not."""
    return _stepped(domain, rotation.retire, selector, ports, actor, "retire_key")


def remove_key(domain: Resource, selector: str, ports: DomainPorts, *, actor: Actor) -> Resource:
    """Forget a pending or retired key for ever. Raises DomainError for one that signs."""
    try:
        ring = rotation.remove(key_ring(domain.fields), selector)
    except RotationError as error:
        raise DomainError(str(error)) from error
    return _changed(domain, ring, ports, actor, "remove_key")


def create_tracking_domain(
    parent: str,
    organisation: str,
    given: Mapping[str, Any],
    ports: DomainPorts,
    *,
    actor: Actor,
) -> Resource:
    """Add a tracking domain. Raises DomainError, AlreadyExistsError, TooManyError."""
    registrar = ports.registrar
    fields = {
        "name": _name(given["name"]),
        "secure": bool(given.get("secure", True)),
        "external_id": given.get("external_id"),
        "dns_state": "unknown",
    }
    id_, now = registrar.id_for(TRACKING_DOMAIN), registrar.clock.now()
    return registrar.create(
        TRACKING_DOMAIN,
        parent,
        fields,
        actor=actor,
        organisation=organisation,
        id_=id_,
        beside=first_watch(TRACKING_DOMAIN, parent, id_, now, divisor=ports.delay_divisor),
    )


def use_tracking_domain(
    server: Resource, domain: Resource, ports: ServerPorts, *, actor: Actor
) -> Resource:
    """Let a server's links and pixels lead to a tracking domain from now on.

    Raises DomainError while its alias does not lead to the platform, RevisionError.
    """
    if domain.fields.get("dns_state") != State.OK:
        raise DomainError(f"{domain.fields['name']} does not lead to the platform yet: check it")
    scheme = "https" if domain.fields.get("secure", True) else "http"
    tracking = {"base_url": f"{scheme}://{domain.fields['name']}"}
    return change_server(server, {"tracking": tracking}, actor=actor, ports=ports)


def leave_tracking_domain(server: Resource, ports: ServerPorts, *, actor: Actor) -> Resource:
    """Let a server's links and pixels lead to the platform's own tracking host again."""
    return change_server(server, {"tracking": None}, actor=actor, ports=ports)


def delete_tracking_domain(
    domain: Resource, server: Resource | None, registrar: Registrar, *, actor: Actor
) -> None:
    """Take a tracking domain away. Raises DomainError while its `server` uses it."""
    used = ((server.fields if server else {}).get("tracking") or {}).get("base_url", "")
    if used.partition("://")[2] == domain.fields["name"]:
        raise DomainError("the server's links lead there: let it use another one first")
    delete_domain(TRACKING_DOMAIN, domain, registrar, actor=actor)


def delete_domain(
    kind: ResourceKind, domain: Resource, registrar: Registrar, *, actor: Actor
) -> None:
    """Take a domain of either kind away: nothing is sent from it any more, nor is it looked at.

    Raises RevisionError if it has changed since it was read.
    """
    beside = last_watch(read_watch(domain.id, registrar))
    registrar.delete(kind, domain, actor=actor, beside=beside)


def restore_domain(
    kind: ResourceKind, parent: str, id_: str, registrar: Registrar, *, actor: Actor
) -> Resource:
    """Bring a deleted domain back with its keys, and look at it soon.

    Raises NotFoundError, AlreadyExistsError, TooManyError.
    """
    back = registrar.restore(kind, parent, id_, actor=actor)
    if read_watch(id_, registrar) is None:
        registrar.registry.write(first_watch(kind, parent, id_, registrar.clock.now()))
    return back


def _name(text: str) -> str:
    try:
        return domain_name(text)
    except ValueError as error:
        raise DomainError(str(error)) from error


def _first_key(
    own: OwnKey | None, bits: int, ports: DomainPorts
) -> tuple[KeyMaterial, str, Origin]:
    if own is not None:
        return _inspected(own, ports), own.selector, _origin(own)
    try:
        material = ports.keys.generate(KeyKind.RSA, bits)
    except ValueError as error:
        raise KeyUnfitError(str(error)) from error
    chance = ports.registrar.chance.bits(rotation.SELECTOR_BITS)
    return material, rotation.new_selector((), chance), Origin.GENERATED


def _inspected(own: OwnKey, ports: DomainPorts) -> KeyMaterial:
    try:
        checked_selector(own.selector)
    except ValueError as error:
        raise DomainError(str(error)) from error
    try:
        return ports.keys.inspect(own.private)
    except ValueError as error:
        raise KeyUnfitError(str(error)) from error


def _origin(own: OwnKey) -> Origin:
    return Origin.POSTAL if own.from_postal else Origin.IMPORTED


def _key(material: KeyMaterial, selector: str, origin: Origin, now: float) -> DkimKey:
    return DkimKey(
        selector=selector,
        kind=material.kind,
        bits=material.bits,
        public=material.public,
        state=KeyState.PENDING,
        created_at=now,
        since=now,
        origin=origin,
    )


def _with_new(
    domain: Resource,
    material: KeyMaterial,
    selector: str,
    origin: Origin,
    ports: DomainPorts,
    actor: Actor,
    action: str,
) -> Resource:
    key = _key(material, selector, origin, ports.registrar.clock.now())
    ring = _added(key_ring(domain.fields), key)
    wrapped = {selector: ports.keyring.wrap(material.private, domain.parent)}
    fields = with_key_ring(domain.fields, ring, wrapped)
    return ports.registrar.update(DOMAIN, domain, fields, actor=actor, action=action)


def _added(ring: KeyRing, key: DkimKey) -> KeyRing:
    try:
        return rotation.add_key(ring, key)
    except ValueError as error:
        raise DomainError(str(error)) from error


def _found(ring: KeyRing, selector: str) -> DkimKey:
    try:
        return rotation.find(ring, selector)
    except RotationError as error:
        raise DomainError(str(error)) from error


def _stepped(
    domain: Resource,
    step: Callable[[KeyRing, str, float], KeyRing],
    selector: str,
    ports: DomainPorts,
    actor: Actor,
    action: str,
) -> Resource:
    try:
        ring = step(key_ring(domain.fields), selector, ports.registrar.clock.now())
    except RotationError as error:
        raise DomainError(str(error)) from error
    return _changed(domain, ring, ports, actor, action)


def _changed(
    domain: Resource, ring: KeyRing, ports: DomainPorts, actor: Actor, action: str
) -> Resource:
    fields = with_key_ring(domain.fields, ring)
    return ports.registrar.update(DOMAIN, domain, fields, actor=actor, action=action)


def _token(registrar: Registrar) -> str:
    drawn = registrar.chance.bits(_TOKEN_BITS)
    return "".join(_ALPHABET[drawn // 62**place % 62] for place in range(TOKEN))
