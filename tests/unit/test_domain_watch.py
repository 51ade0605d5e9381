"""Domains at a tick of the scheduler."""

from mail_scheduler.domain_watch import watch_domains

from mailroom.domain.dns.answers import DnsAnswer, Question
from mailroom.usecases.domain_checks import DomainPorts
from tests.support.domains import DomainDesk

HOUR = 3600.0


def test_all_that_is_due_is_looked_at_whatever_becomes_of_one() -> None:
    desk = DomainDesk()
    for name in ("a.example", "bad.example", "c.example"):
        desk.domain(name)
    assert watch_domains(desk.ports, desk.clock.now(), threads=1) == {}
    desk.clock.at += HOUR

    class Dns:
        def ask(self, question: Question) -> DnsAnswer:
            if question.name.endswith("bad.example"):
                raise RuntimeError("a bug")
            return desk.dns.ask(question)

    names = [name for name in desk.ports.__slots__ if name != "dns"]
    ports = DomainPorts(**{name: getattr(desk.ports, name) for name in names}, dns=Dns())
    done = watch_domains(ports, desk.clock.now(), threads=1)
    assert done == {"domains_checked": 2, "domains_failed": 1}
    assert watch_domains(ports, desk.clock.now(), threads=1) == {}


def test_a_tick_looks_at_a_bounded_number() -> None:
    desk = DomainDesk()
    for number in range(5):
        desk.domain(f"d{number}.example")
    desk.clock.at += HOUR
    assert watch_domains(desk.ports, desk.clock.now(), limit=3, threads=1) == {"domains_checked": 3}
    assert watch_domains(desk.ports, desk.clock.now(), limit=3, threads=1) == {"domains_checked": 2}
