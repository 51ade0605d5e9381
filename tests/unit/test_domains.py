"""Domains from their first day to their last: proof, checks, keys, and what the sender reads."""

from dataclasses import replace

import pytest

from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.dns.spelling import domain_pk, load_domain
from mailroom.domain.dns.state import State
from mailroom.domain.dns.state_row import DUE_PARTITION
from mailroom.domain.message import Domain
from mailroom.domain.tenancy.audit import audit_partition
from mailroom.domain.tenancy.kinds.domain import DOMAIN, key_ring
from mailroom.domain.tenancy.kinds.tracking_domain import TRACKING_DOMAIN
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.resource import Resource
from mailroom.errors import (
    AlreadyExistsError,
    DomainError,
    KeyUnfitError,
    NotFoundError,
)
from mailroom.usecases import domain_checks as checks
from mailroom.usecases import domains
from mailroom.usecases.domains import OwnKey
from tests.support.domains import ME, ORGANISATION, PARENT, DomainDesk

HOUR = 3600.0


@pytest.fixture
def desk() -> DomainDesk:
    return DomainDesk()


def runtime(desk: DomainDesk, domain: Resource) -> Domain:
    """What the sending path reads."""
    name = domain.fields["name"]
    record = desk.registry.read(Place(domain_pk(name), domain.parent))
    assert record is not None
    return load_domain(name, domain.parent, dict(record.body), record.secret)


def states(domain: Resource) -> dict[str, str]:
    return {key.selector: str(key.state) for key in key_ring(domain.fields)}


def audit(desk: DomainDesk) -> list[dict[str, object]]:
    partition = audit_partition(ORGANISATION, desk.clock.now())
    return [dict(r.body) for r in desk.registry.page(partition, "", limit=100).records]


def test_a_new_domain_has_a_key_and_a_token_and_sends_nothing_yet(desk: DomainDesk) -> None:
    domain = desk.domain("B\u00fccher.example")
    assert domain.fields["name"] == "xn--bcher-kva.example"
    assert len(domain.fields["token"]) == 32
    assert domain.fields["token"].isalnum()
    assert list(states(domain).values()) == ["active"]
    found = runtime(desk, domain)
    assert not found.verified
    assert found.return_path == "psrp.xn--bcher-kva.example"
    secret = desk.keyring.unwrap(found.wrapped_key, PARENT)
    assert desk.keys.inspect(secret).public == key_ring(domain.fields)[0].public


def test_secrets_stand_nowhere_in_the_clear(desk: DomainDesk) -> None:
    desk.domain()
    for partition in (PARENT, audit_partition(ORGANISATION, desk.clock.now())):
        for record in desk.registry.page(partition, "", limit=10).records:
            assert "rsa 2048" not in repr(record)
    assert "keys" in audit(desk)[0]["after"]  # type: ignore[operator]
    assert audit(desk)[0]["after"]["keys"] == "(not shown)"  # type: ignore[index]


@pytest.mark.parametrize("name", ["", "localhost", "192.0.2.1", "a b.example"])
def test_what_is_no_domain_is_refused(desk: DomainDesk, name: str) -> None:
    with pytest.raises(DomainError):
        desk.domain(name)


def test_a_name_is_there_once_for_each_owner(desk: DomainDesk) -> None:
    desk.domain()
    with pytest.raises(AlreadyExistsError):
        desk.domain("EXAMPLE.com.")
    desk.domain(parent=f"organisation#{ORGANISATION}")


def test_the_ownership_record_proves_a_domain(desk: DomainDesk) -> None:
    domain = desk.domain()
    with pytest.raises(DomainError, match="has no TXT record 'mailroom-verification"):
        domains.verify_domain(domain, desk.ports, actor=ME)
    desk.dns.broken = {"example.com"}
    with pytest.raises(DomainError, match="no usable answer"):
        domains.verify_domain(domain, desk.ports, actor=ME)
    desk.dns.broken = set()
    desk.publish(domain)
    proven = domains.verify_domain(domain, desk.ports, actor=ME)
    assert proven.fields["verified_by"] == "dns"
    assert runtime(desk, proven).verified
    assert domains.verify_domain(proven, desk.ports, actor=ME) == proven


def test_anothers_token_proves_nothing(desk: DomainDesk) -> None:
    ours = desk.domain()
    desk.publish(ours)
    theirs = desk.domain(parent="server#zzzzzzzzzz")
    with pytest.raises(DomainError):
        domains.verify_domain(theirs, desk.ports, actor=ME)


def test_a_domain_from_postal_comes_with_all_it_has_published(desk: DomainDesk) -> None:
    material = desk.keys.make(KeyKind.RSA, 1024)
    own = OwnKey("postal-ABCDEF", material.private, from_postal=True)
    given = {"token": "T" * 32, "verification_prefix": "postal-verification"}
    domain = desk.domain(given=given, own_key=own, verified=True)
    desk.dns.publish("example.com", "TXT", "v=spf1 a mx include:spf.mail.test ~all")
    value = f"v=DKIM1; t=s; h=sha256; p={material.public};"
    desk.dns.publish("postal-abcdef._domainkey.example.com", "TXT", value)
    after, watch = checks.check_domain(domain, desk.ports)
    assert after.fields["dns_state"] == "ok"
    assert runtime(desk, after).selector == "postal-ABCDEF"
    assert {c.key: str(c.state) for c in watch.checks}["dkim:postal-ABCDEF"] == "ok"
    assert next(c for c in watch.checks if c.key == "ownership").need == "optional"


def test_a_check_finds_all_verifies_and_uses_the_return_path(desk: DomainDesk) -> None:
    domain = desk.domain()
    before, watch = checks.check_domain(domain, desk.ports, actor=ME)
    assert before.fields["dns_state"] == "missing"
    assert before.fields["verified_at"] is None
    desk.publish(domain)
    after, watch = checks.check_domain(before, desk.ports, actor=ME)
    assert (after.fields["dns_state"], after.fields["verified_by"]) == ("ok", "dns")
    found = runtime(desk, after)
    assert found.verified
    assert found.return_path_ok
    assert checks.read_watch(domain.id, desk.ports.registrar) == watch.__class__(
        **{name: getattr(watch, name) for name in watch.__slots__ if name != "revision"},
        revision=watch.revision + 1,
    )


def test_a_check_without_a_change_writes_no_audit_entry(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.publish(domain)
    domain, _ = checks.check_domain(domain, desk.ports)
    entries = len(audit(desk))
    for _ in range(3):
        desk.clock.at += 60
        again, watch = checks.check_domain(domain, desk.ports)
        assert again == domain
    assert len(audit(desk)) == entries
    assert watch.checked_at == desk.clock.now()


def test_a_dead_name_server_is_not_asked_for_every_record(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.dns.broken = {"example.com"}
    _, watch = checks.check_domain(domain, desk.ports)
    assert {check.state for check in watch.checks} == {State.UNKNOWN}
    assert len(desk.dns.asked) == 2  # once by us, once by SPF


def test_a_pending_key_takes_over_when_it_is_seen(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.publish(domain)
    domain, _ = checks.check_domain(domain, desk.ports)
    rotated = domains.rotate_key(domain, desk.ports, actor=ME)
    old, new = states(rotated)
    assert states(rotated) == {old: "active", new: "pending"}
    assert runtime(desk, rotated).selector == old
    same, _ = checks.check_domain(rotated, desk.ports)
    assert (states(same)[new], same.fields["dns_state"]) == ("pending", "ok")
    desk.publish(rotated)
    after, _ = checks.check_domain(same, desk.ports)
    assert states(after) == {old: "retired", new: "active"}
    assert runtime(desk, after).selector == new
    secret = desk.keyring.unwrap(runtime(desk, after).wrapped_key, PARENT)
    assert desk.keys.inspect(secret).public == key_ring(after.fields)[1].public
    assert [entry["action"] for entry in audit(desk)][-1] == "dns_check"


def test_a_key_is_activated_by_hand_only_if_it_is_published(desk: DomainDesk) -> None:
    domain = domains.rotate_key(desk.domain(), desk.ports, actor=ME)
    old, new = states(domain)
    with pytest.raises(DomainError, match="not exactly one"):
        domains.activate_key(domain, new, desk.ports, actor=ME)
    desk.dns.publish(f"{new}._domainkey.example.com", "TXT", "v=DKIM1; p=AAAA")
    with pytest.raises(DomainError, match="another key"):
        domains.activate_key(domain, new, desk.ports, actor=ME)
    with pytest.raises(DomainError, match="no key of that selector"):
        domains.activate_key(domain, "x", desk.ports, actor=ME)
    desk.dns.broken = {f"{new}._domainkey.example.com"}
    with pytest.raises(DomainError, match="no usable answer"):
        domains.activate_key(domain, new, desk.ports, actor=ME)
    desk.dns.broken = set()
    desk.publish(domain)
    after = domains.activate_key(domain, new, desk.ports, actor=ME)
    assert states(after) == {old: "retired", new: "active"}
    with pytest.raises(DomainError, match="cannot be removed"):
        domains.remove_key(after, new, desk.ports, actor=ME)
    assert states(domains.remove_key(after, old, desk.ports, actor=ME)) == {new: "active"}


def test_ed25519_signs_beside_rsa_and_can_be_retired(desk: DomainDesk) -> None:
    domain = domains.rotate_key(desk.domain(), desk.ports, actor=ME, kind=KeyKind.ED25519)
    desk.publish(domain)
    domain, _ = checks.check_domain(domain, desk.ports)
    first, second = states(domain)
    found = runtime(desk, domain)
    assert (found.selector, [key.selector for key in found.more_keys]) == (first, [second])
    assert desk.keys.inspect(desk.keyring.unwrap(found.more_keys[0].wrapped_key, PARENT))
    domain = domains.retire_key(domain, second, desk.ports, actor=ME)
    assert runtime(desk, domain).more_keys == ()
    with pytest.raises(DomainError, match="rotate it"):
        domains.retire_key(domain, first, desk.ports, actor=ME)


def test_keys_people_bring(desk: DomainDesk) -> None:
    domain = desk.domain()
    own = OwnKey("mine", desk.keys.make(KeyKind.RSA, 1024).private)
    after = domains.import_key(domain, own, desk.ports, actor=ME)
    assert states(after)["mine"] == "pending"
    with pytest.raises(KeyUnfitError):
        domains.import_key(after, OwnKey("other", b"junk"), desk.ports, actor=ME)
    with pytest.raises(DomainError, match="selector"):
        domains.import_key(after, OwnKey("a b", own.private), desk.ports, actor=ME)
    with pytest.raises(KeyUnfitError):
        domains.rotate_key(after, desk.ports, actor=ME, bits=512)
    ed = OwnKey("e", desk.keys.make(KeyKind.ED25519, 256).private)
    with pytest.raises(DomainError, match="beside an RSA key"):
        desk.domain("other.example", own_key=ed)


def due(desk: DomainDesk) -> list[str]:
    return [r.body["id"] for r in desk.registry.page(DUE_PARTITION, "", limit=100).records]


def recheck(desk: DomainDesk, **how: int) -> int:
    return checks.recheck_domains(desk.clock.now(), desk.ports, **how)


def test_domains_are_looked_at_by_the_clock(desk: DomainDesk) -> None:
    domain = desk.domain()
    assert recheck(desk) == 0
    desk.publish(domain)
    desk.clock.at += checks.FIRST_SECONDS
    assert recheck(desk) == 1
    assert desk.again(domain).fields["dns_state"] == "ok"
    assert recheck(desk) == 0
    desk.clock.at += 2 * HOUR
    assert recheck(desk) == 1
    assert due(desk) == [domain.id]


def test_the_local_stack_looks_and_doubts_faster(desk: DomainDesk) -> None:
    ports = replace(desk.ports, delay_divisor=60.0)

    def look(after: float) -> int:
        desk.clock.at += after
        return checks.recheck_domains(desk.clock.now(), ports)

    domain = domains.create_domain(PARENT, ORGANISATION, {"name": "example.com"}, ports, actor=ME)
    desk.publish(domain)
    assert [look(each) for each in (4.9, 0.2, 50.0)] == [0, 1, 0]
    assert look(17.0) == 1  # a minute, give or take a tenth
    desk.dns.publish("example.com", "TXT", "something else")
    assert look(67.0) == 1
    assert desk.again(domain).fields["dns_state"] == "ok"
    assert look(11.1) == 1
    assert desk.again(domain).fields["dns_state"] != "ok"
    assert [fact.name for fact in desk.facts.facts] == ["DomainDNSError"]


def test_a_failure_is_told_once_and_so_is_its_end(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.publish(domain)
    desk.clock.at += HOUR
    recheck(desk)
    desk.dns.publish("example.com", "TXT", "something else")
    for _ in range(40):
        desk.clock.at += 0.5 * HOUR
        recheck(desk)
    (fact,) = desk.facts.facts
    assert (fact.name, fact.server) == ("DomainDNSError", "abcdefghij")
    assert fact.payload["domain"] == "example.com"
    assert fact.payload["spf_status"] == "Missing"
    assert fact.payload["spf_error"] == "There is no SPF record."
    assert (fact.payload["dkim_status"], fact.payload["dkim_error"]) == ("OK", None)
    assert (fact.payload["mx_status"], fact.payload["return_path_status"]) == ("OK", "OK")
    # Losing the ownership record takes nothing away: it was proven once.
    assert runtime(desk, desk.again(domain)).verified
    desk.publish(domain)
    for _ in range(20):
        desk.clock.at += HOUR
        recheck(desk)
    assert [f.name for f in desk.facts.facts] == ["DomainDNSError", "DomainDNSRecovered"]


def test_a_dns_in_trouble_is_no_news(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.publish(domain)
    desk.clock.at += HOUR
    recheck(desk)
    desk.dns.broken = {"example.com", "psrp.example.com"}
    for _ in range(10):
        desk.clock.at += HOUR
        recheck(desk)
    assert desk.facts.facts == []
    assert runtime(desk, desk.again(domain)).return_path_ok


def test_a_return_path_that_is_gone_is_used_no_more_after_a_second_look(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.publish(domain)
    domain, _ = checks.check_domain(domain, desk.ports)
    desk.dns.withdraw("psrp.example.com", "CNAME")
    domain, _ = checks.check_domain(domain, desk.ports)
    assert runtime(desk, domain).return_path_ok
    desk.clock.at += HOUR
    domain, _ = checks.check_domain(domain, desk.ports)
    assert not runtime(desk, domain).return_path_ok
    assert desk.facts.facts == []


def test_one_tick_does_a_bounded_number_the_earliest_first(desk: DomainDesk) -> None:
    made = [desk.domain(f"d{n}.example") for n in range(5)]
    desk.clock.at += HOUR
    assert recheck(desk, limit=2) == 2
    assert recheck(desk, limit=10) == 3
    assert set(due(desk)) == {domain.id for domain in made}


def test_a_domain_that_cannot_be_checked_holds_up_no_other(desk: DomainDesk) -> None:
    bad, good = desk.domain("bad.example"), desk.domain("good.example")
    desk.clock.at += HOUR

    class BrokenError(Exception):
        pass

    class Dns:
        def ask(self, question: object) -> object:
            if "bad" in str(question):
                raise BrokenError
            return desk.dns.ask(question)  # type: ignore[arg-type]

    ports = checks.DomainPorts(
        **{name: getattr(desk.ports, name) for name in desk.ports.__slots__ if name != "dns"},
        dns=Dns(),  # type: ignore[arg-type]
    )
    with pytest.raises(BrokenError):
        checks.recheck_domain(bad.id, ports)
    assert checks.due_domains(desk.clock.now(), 10, ports) == [good.id]
    desk.clock.at += checks.LEASE_SECONDS
    assert bad.id in checks.due_domains(desk.clock.now(), 10, ports)


def test_what_another_process_has_taken_is_left_to_it(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.clock.at += HOUR
    watch = checks.read_watch(domain.id, desk.ports.registrar)
    assert watch is not None
    assert checks._leased(watch, desk.ports.registrar)
    assert not checks._leased(watch, desk.ports.registrar)


def test_a_deleted_domain_sends_nothing_and_is_looked_at_no_more(desk: DomainDesk) -> None:
    domain = desk.domain(verified=True)
    domains.delete_domain(DOMAIN, domain, desk.ports.registrar, actor=ME)
    assert desk.registry.read(Place(domain_pk("example.com"), PARENT)) is None
    assert due(desk) == []
    with pytest.raises(NotFoundError):
        desk.again(domain)
    back = domains.restore_domain(DOMAIN, PARENT, domain.id, desk.ports.registrar, actor=ME)
    assert runtime(desk, back).verified
    assert due(desk) == [domain.id]


def test_what_is_due_of_a_domain_that_is_gone_goes_too(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.ports.registrar.delete(DOMAIN, domain, actor=ME)
    desk.clock.at += HOUR
    assert recheck(desk) == 1
    assert due(desk) == []
    assert recheck(desk) == 0


def test_a_change_by_a_person_during_a_check_is_kept(desk: DomainDesk) -> None:
    domain = desk.domain()
    desk.publish(domain)
    changed = desk.ports.registrar.update(
        DOMAIN, domain, {**domain.fields, "receives": True}, actor=ME
    )
    after, _ = checks.check_domain(domain, desk.ports)  # read before the change
    assert after.fields["receives"] is True
    assert after.fields["dns_state"] == "ok"
    assert after.revision == changed.revision + 1


def test_an_organisations_domain_is_told_to_its_first_server(desk: DomainDesk) -> None:
    domain = desk.domain(parent=f"organisation#{ORGANISATION}")
    desk.publish(domain)
    domain, _ = checks.check_domain(domain, desk.ports)
    desk.dns.withdraw("example.com", "TXT")
    for _ in range(2):
        desk.clock.at += HOUR
        domain, _ = checks.check_domain(domain, desk.ports)
    assert desk.facts.facts == []  # it has no server yet, so nobody's webhook could hear it
    assert domain.fields["dns_state"] == "missing"


def test_a_tracking_domain(desk: DomainDesk) -> None:
    given = {"name": "click.example.com"}
    made = domains.create_tracking_domain(PARENT, ORGANISATION, given, desk.ports, actor=ME)
    desk.clock.at += HOUR
    assert recheck(desk) == 1
    desk.dns.publish("click.example.com", "CNAME", "track.mail.test")
    after, _ = checks.check_tracking_domain(made, desk.ports)
    assert after.fields["dns_state"] == "ok"
    desk.dns.withdraw("click.example.com", "CNAME")
    for _ in range(2):
        desk.clock.at += 12 * HOUR
        assert recheck(desk) == 1
    (fact,) = desk.facts.facts
    assert (fact.payload["tracking_status"], fact.payload["spf_status"]) == ("Missing", None)
    registrar = desk.ports.registrar
    found = registrar.read(TRACKING_DOMAIN, PARENT, made.id)
    domains.delete_domain(TRACKING_DOMAIN, found, registrar, actor=ME)
    assert due(desk) == []
