"""Look at what domains publish: when somebody asks, and again and again by the clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailroom.domain.dns.answers import Answers, DnsAnswer, Lookup, Question, txt
from mailroom.domain.dns.check import judge, judge_alias
from mailroom.domain.dns.dkim_rotation import KeyRing, take_over
from mailroom.domain.dns.questions import alias_questions, missing_questions
from mailroom.domain.dns.records import PlatformNames, Purpose, SendingDomain, tracking_record
from mailroom.domain.dns.state import Check, State
from mailroom.domain.dns.state_row import (
    DUE_PARTITION,
    DUE_PREFIX,
    Watch,
    due_sort,
    dump_due,
    dump_watch,
    load_watch,
    watch_place,
)
from mailroom.domain.dns.watch import News, advance, next_check, state_of, total_of
from mailroom.domain.message import ServerId
from mailroom.domain.server_fact import ServerFact
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.domain import DOMAIN, key_ring, sending_domain, with_key_ring
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.kinds.tracking_domain import TRACKING_DOMAIN
from mailroom.domain.tenancy.record import ABSENT, Change
from mailroom.domain.tenancy.resource import Resource, ResourceKind
from mailroom.errors import NotFoundError, RevisionError
from mailroom.ports.dns import AuthoritativeDns, DkimKeys, SpfChecker
from mailroom.ports.registry import ConflictError, Keyring
from mailroom.ports.server_facts import ServerFacts
from mailroom.usecases.registrar import Registrar

LEASE_SECONDS = 900.0  # a check that died is made again after that
FIRST_SECONDS = 300.0  # after a domain was added
_TRIES = 3
_CHANCE_BITS = 16
_SCHEDULER = Actor("platform", "scheduler", "DNS checks", "", "")
_POSTAL_WORDS = {State.OK: "OK", State.MISSING: "Missing", State.INVALID: "Invalid"}
_KINDS: Mapping[str, ResourceKind] = {each.name: each for each in (DOMAIN, TRACKING_DOMAIN)}


@dataclass(frozen=True, slots=True)
class DomainPorts:
    """The world that domains need. `delay_divisor` shortens every wait on the local stack."""

    registrar: Registrar
    keyring: Keyring
    dns: AuthoritativeDns
    spf: SpfChecker
    keys: DkimKeys
    facts: ServerFacts
    platform: PlatformNames
    delay_divisor: float = 1.0


def first_watch(
    kind: ResourceKind, parent: str, id_: str, now: float, *, divisor: float = 1.0
) -> Sequence[Change]:
    """Return the changes by which a new domain is looked at from now on."""
    watch = Watch(kind.name, parent, id_, due_at=now + FIRST_SECONDS / divisor)
    return Change.put(dump_watch(watch), ABSENT), Change.put(dump_due(watch))


def last_watch(watch: Watch | None) -> Sequence[Change]:
    """Return the changes by which a domain is looked at no more."""
    if watch is None:
        return ()
    return Change(watch.place, None, watch.revision), Change(watch.due_place, None)


def read_watch(id_: str, registrar: Registrar) -> Watch | None:
    """Return how a domain stood when it was last looked at."""
    record = registrar.registry.read(watch_place(id_))
    return load_watch(record) if record else None


def ask_dns(domain: SendingDomain, ports: DomainPorts) -> dict[Question, DnsAnswer]:
    """Ask all there is to ask about a domain.

    When the domain's own servers do not answer they are not asked for the names below it.
    """
    first = txt(domain.name)
    answers = {first: ports.dns.ask(first)}
    while answers[first].lookup is not Lookup.FAILED:
        questions = missing_questions(domain, ports.platform, answers)
        if not questions:
            break
        answers |= {question: ports.dns.ask(question) for question in questions}
    return answers


def check_domain(
    domain: Resource, ports: DomainPorts, *, actor: Actor = _SCHEDULER
) -> tuple[Resource, Watch]:
    """Check a domain now, keep what was found, and let follow what follows from it.

    The ownership record verifies the domain, a pending key whose record is seen signs from now
    on, and the return path is used while its record is good. Raises NotFoundError if the domain
    is deleted meanwhile, RevisionError if others keep changing it.
    """
    checks = _domain_checks(domain, ports)
    return _keep(DOMAIN, domain, checks, ports, actor)


def check_tracking_domain(
    domain: Resource, ports: DomainPorts, *, actor: Actor = _SCHEDULER
) -> tuple[Resource, Watch]:
    """Check the alias of a tracking domain now and keep what was found. Raises as `check_domain`
    does."""
    record = tracking_record(domain.fields["name"], ports.platform)
    answers: dict[Question, DnsAnswer] = {}
    while questions := [q for q in alias_questions(record, answers) if q not in answers]:
        answers |= {question: ports.dns.ask(question) for question in questions}
    return _keep(TRACKING_DOMAIN, domain, [judge_alias(record, answers)], ports, actor)


def due_domains(now: float, limit: int, ports: DomainPorts) -> Sequence[str]:
    """Return the ids of the earliest `limit` domains that are to be looked at by `now`."""
    page = ports.registrar.registry.page(DUE_PARTITION, DUE_PREFIX, limit=limit)
    behind = due_sort(now)
    return [each.body["id"] for each in page.records if each.place.sort < behind]


def recheck_domain(id_: str, ports: DomainPorts) -> bool:
    """Check one domain that is due; False if another process has taken it.

    It is put off before it is looked at, so that one that cannot be checked holds up no other.
    """
    registrar = ports.registrar
    watch = read_watch(id_, registrar)
    if watch is None or not _leased(watch, registrar):
        return False
    kind = _KINDS[watch.kind]
    try:
        domain = registrar.read(kind, watch.parent, watch.id)
        _CHECKS[kind.name](domain, ports)
    except NotFoundError:
        found = read_watch(id_, registrar)
        registrar.registry.write(last_watch(found))
    return True


def recheck_domains(now: float, ports: DomainPorts, *, limit: int = 50) -> int:
    """Check up to `limit` domains that are due at `now` (Unix seconds); return how many were."""
    return sum(recheck_domain(id_, ports) for id_ in due_domains(now, limit, ports))


def _domain_checks(domain: Resource, ports: DomainPorts) -> Sequence[Check]:
    expected, platform = sending_domain(domain.fields), ports.platform
    answers: Answers = ask_dns(expected, ports)
    spf = ports.spf.evaluate(expected.name, platform.spf_include, platform.sending_addresses)
    return judge(expected, platform, answers, spf).checks


def _keep(
    kind: ResourceKind,
    domain: Resource,
    checks: Sequence[Check],
    ports: DomainPorts,
    actor: Actor,
) -> tuple[Resource, Watch]:
    for _ in range(_TRIES):
        try:
            return _kept_once(kind, domain, checks, ports, actor)
        except (ConflictError, RevisionError):
            # Somebody changed it meanwhile, or another check was faster: what was found holds.
            domain = ports.registrar.read(kind, domain.parent, domain.id)
    raise RevisionError("it keeps changing: try again")


def _kept_once(
    kind: ResourceKind,
    domain: Resource,
    checks: Sequence[Check],
    ports: DomainPorts,
    actor: Actor,
) -> tuple[Resource, Watch]:
    registrar = ports.registrar
    now = registrar.clock.now()
    before = read_watch(domain.id, registrar) or Watch(kind.name, domain.parent, domain.id, now)
    divisor = ports.delay_divisor
    watched = advance(before.standings, checks, now, announced=before.announced, divisor=divisor)
    chance = registrar.chance.bits(_CHANCE_BITS) / (1 << _CHANCE_BITS)
    after = replace(
        before,
        due_at=next_check(watched.standings, checks, now, chance, divisor=divisor),
        checked_at=now,
        announced=watched.announced,
        standings=watched.standings,
        checks=tuple(checks),
    )
    if watched.news is not None:  # before it is written: told twice is better than not at all
        _tell(domain, after, watched.news, ports)
    changes = _moved(before, after)
    fields = _following(kind, domain, after, now)
    if fields != domain.fields:
        domain = registrar.update(
            kind, domain, fields, actor=actor, beside=changes, action="dns_check"
        )
    else:
        registrar.registry.write(changes)
    return domain, after


def _moved(before: Watch, after: Watch) -> Sequence[Change]:
    changes = [Change.put(dump_watch(after), before.revision), Change.put(dump_due(after))]
    if before.revision != ABSENT and before.due_place != after.due_place:
        changes.append(Change(before.due_place, None))
    return changes


def _leased(watch: Watch, registrar: Registrar) -> bool:
    later = replace(watch, due_at=registrar.clock.now() + LEASE_SECONDS)
    try:
        registrar.registry.write(_moved(watch, later))
    except ConflictError:
        return False
    return True


def _following(kind: ResourceKind, domain: Resource, watch: Watch, now: float) -> dict[str, Any]:
    """Return the fields of a domain as the standings want them."""
    total = total_of(watch.standings)
    fields = {**domain.fields, "dns_state": str(total)}
    if kind is TRACKING_DOMAIN:
        return fields
    if fields.get("verified_at") is None and _is_ok(watch, Purpose.OWNERSHIP):
        fields |= {"verified_at": now, "verified_by": "dns"}
    fields["return_path_ok"] = _is_ok(watch, Purpose.RETURN_PATH)
    keys = _taken_over(key_ring(fields), watch, now)
    return with_key_ring(fields, keys) if keys != key_ring(fields) else fields


def _taken_over(keys: KeyRing, watch: Watch, now: float) -> KeyRing:
    prefix = f"{Purpose.DKIM}:"
    seen = {
        check.key.removeprefix(prefix)
        for check in watch.checks
        if check.purpose is Purpose.DKIM and check.state is State.OK
    }
    return take_over(keys, seen, now)


def _is_ok(watch: Watch, purpose: Purpose) -> bool:
    return state_of(watch.standings, purpose) is State.OK


def _tell(domain: Resource, watch: Watch, news: News, ports: DomainPorts) -> None:
    server = _server_of(domain, ports.registrar)
    if server is None:
        return
    name = "DomainDNSError" if news is News.FAILED else "DomainDNSRecovered"
    ports.facts.tell(
        ServerFact(
            id=f"dns#{domain.id}#{watch.revision}#{news}",
            name=name,
            server=server,
            at=watch.checked_at or 0.0,
            payload=_payload(domain, watch),
        )
    )


def _server_of(domain: Resource, registrar: Registrar) -> ServerId | None:
    """Return whose webhooks hear of a domain: its server's, or of an organisation's the first
    server's, among which are those of the organisation. Postal tells nobody of these."""
    owner, _, id_ = domain.parent.partition("#")
    if owner == "server":
        return ServerId(id_)
    servers, _ = registrar.page(SERVER, domain.parent, limit=1)
    return ServerId(servers[0].id) if servers else None


def _payload(domain: Resource, watch: Watch) -> dict[str, Any]:
    """Return what Postal's `DomainDNSError` says beside the server; `state` is ours."""
    payload: dict[str, Any] = {
        "domain": domain.fields["name"],
        "uuid": domain.id,
        "dns_checked_at": watch.checked_at,
        "state": str(total_of(watch.standings)),
    }
    for word in ("spf", "dkim", "mx", "return_path", "tracking"):
        checks = [each for each in watch.checks if each.purpose == word]
        worst = next((each for each in checks if each.state is not State.OK), None)
        shown = worst or (checks[0] if checks else None)
        if shown is None and word == "tracking":
            continue
        payload[f"{word}_status"] = _POSTAL_WORDS.get(shown.state) if shown else None
        payload[f"{word}_error"] = worst.reason if worst else None
    return payload


_CHECKS = {DOMAIN.name: check_domain, TRACKING_DOMAIN.name: check_tracking_domain}
