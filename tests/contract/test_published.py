"""Published documents: one suite for the fake and for the table."""

import itertools
import secrets
from collections.abc import Mapping
from typing import Any

import pytest

from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.shipped import shipped
from mailroom.adapters.tables import bound
from mailroom.domain.tenancy.record import Place, Record, RecordPage
from mailroom.errors import AlreadyExistsError, DocumentError, NotFoundError, RevisionError
from mailroom.fakes.control import MemoryControl
from mailroom.ports.control import Control
from mailroom.usecases.published import (
    CHECKS,
    MAX_OCTETS,
    Kind,
    PublishPorts,
    current,
    diff,
    generation,
    newest_version,
    publish,
    rollback,
    version,
    versions,
)

NOW = 1_800_000_000.0
SHAPING = Kind.SHAPING


class Apart:
    """A control table of a test's own: its partitions have a prefix."""

    def __init__(self, control: Control, prefix: str) -> None:
        self._control = control
        self._prefix = prefix

    def read(self, place: Place) -> Record | None:
        return self._control.read(self._own(place))

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        return self._control.page(self._prefix + partition, prefix, limit=limit, after=after)

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        own = Record(self._own(record.place), record.body, expires_at=record.expires_at)
        return self._control.put(own, expected)

    def delete(self, place: Place, expected: int | None = None) -> bool:
        return self._control.delete(self._own(place), expected)

    def add(
        self, place: Place, amount: float, *, ceiling: float | None, expires_at: float
    ) -> float | None:
        own = self._own(place)
        return self._control.add(own, amount, ceiling=ceiling, expires_at=expires_at)

    def counter(self, place: Place) -> float:
        return self._control.counter(self._own(place))

    def _own(self, place: Place) -> Place:
        return Place(self._prefix + place.partition, place.sort)


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def control(request: pytest.FixtureRequest) -> Control:
    if request.param == "memory":
        return MemoryControl()
    cloud = request.getfixturevalue("cloud")
    table = DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))
    return Apart(table, f"test{secrets.token_hex(6)}-")


@pytest.fixture
def ports(control: Control) -> PublishPorts:
    return PublishPorts(control, CHECKS)


def document(connections: int) -> Mapping[str, Any]:
    return {"providers": {"gmail": {"connections": connections}}, "defaults": {"idle": 5}}


def test_before_the_first_version_there_is_nothing(ports: PublishPorts) -> None:
    assert current(SHAPING, ports) is None
    assert newest_version(SHAPING, ports) is None
    assert versions(SHAPING, ports) == []
    assert generation(SHAPING, ports.control) == 0
    for number in (-1, 0, 1, 10**12):
        with pytest.raises(NotFoundError):
            version(SHAPING, number, ports)


def test_what_is_published_is_read_compared_and_rolled_back(ports: PublishPorts) -> None:
    first = publish(SHAPING, document(5), "Ann", "a start", NOW, ports)
    second = publish(SHAPING, document(3), "Ben", "deferrals", NOW + 60, ports)
    assert (first.number, second.number) == (1, 2)
    found = current(SHAPING, ports)
    assert found is not None
    assert (found.version, found.document) == (second, document(3))
    assert version(SHAPING, 1, ports).document == document(5)
    assert diff(SHAPING, 1, 2, ports) == ["providers.gmail.connections: 5 -> 3"]

    third = rollback(SHAPING, 1, "Ann", "they were ours", NOW + 120, ports)
    assert (third.number, third.back_to, third.digest) == (3, 1, first.digest)
    assert version(SHAPING, 3, ports).document == document(5)
    assert versions(SHAPING, ports) == [third, second, first]
    assert versions(SHAPING, ports, limit=1) == [third]
    assert versions(SHAPING, ports, limit=1, before=3) == [second]
    assert versions(SHAPING, ports, before=1) == []
    assert current(Kind.RULES, ports) is None


def test_every_version_raises_the_generation(ports: PublishPorts) -> None:
    seen = [generation(SHAPING, ports.control)]
    publish(SHAPING, document(5), "Ann", "a start", NOW, ports)
    seen.append(generation(SHAPING, ports.control))
    publish(SHAPING, document(4), "Ann", "less", NOW, ports)
    seen.append(generation(SHAPING, ports.control))
    rollback(SHAPING, 1, "Ann", "more", NOW, ports)
    seen.append(generation(SHAPING, ports.control))
    assert all(later > earlier for earlier, later in itertools.pairwise(seen))
    assert generation(Kind.RULES, ports.control) == 0


def test_more_than_ten_versions_stay_in_their_order(ports: PublishPorts) -> None:
    for number in range(1, 13):
        publish(SHAPING, document(number), "Ann", "more", NOW, ports)
    assert [each.number for each in versions(SHAPING, ports)] == list(range(12, 0, -1))


def test_the_same_content_is_refused_whatever_the_order_of_its_keys(ports: PublishPorts) -> None:
    publish(SHAPING, document(5), "Ann", "a start", NOW, ports)
    other = dict(reversed(document(5).items()))
    with pytest.raises(AlreadyExistsError):
        publish(SHAPING, other, "Ann", "again", NOW, ports)
    with pytest.raises(AlreadyExistsError):
        rollback(SHAPING, 1, "Ann", "again", NOW, ports)
    assert len(versions(SHAPING, ports)) == 1


def test_who_has_not_seen_the_newest_version_is_told(ports: PublishPorts) -> None:
    publish(SHAPING, document(5), "Ann", "a start", NOW, ports, expected=0)
    with pytest.raises(RevisionError):
        publish(SHAPING, document(4), "Ben", "a start", NOW, ports, expected=0)
    publish(SHAPING, document(4), "Ben", "less", NOW, ports, expected=1)
    with pytest.raises(RevisionError):
        rollback(SHAPING, 1, "Ann", "back", NOW, ports, expected=1)
    assert rollback(SHAPING, 1, "Ann", "back", NOW, ports, expected=2).number == 3


def test_of_two_who_publish_at_once_the_slower_one_is_told(ports: PublishPorts) -> None:
    publish(SHAPING, document(4), "Ben", "less", NOW, ports)
    slow = _Stale(ports.control)
    with pytest.raises(RevisionError, match="version 1 "):
        publish(SHAPING, document(5), "Ann", "more", NOW, PublishPorts(slow))
    found = current(SHAPING, ports)
    assert found is not None
    assert found.document == document(4)


class _Stale(Apart):
    """A table that has been looked at a moment too early: no version is seen yet."""

    def __init__(self, control: Control) -> None:
        super().__init__(control, "")

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        return RecordPage(())


def test_what_is_not_valid_is_refused_with_all_that_is_wrong(ports: PublishPorts) -> None:
    with pytest.raises(DocumentError) as raised:
        publish(SHAPING, {"defaults": {"idle": -1, "age": 0}}, "Ann", "why", NOW, ports)
    assert len(raised.value.problems) == 2
    with pytest.raises(DocumentError):
        publish(Kind.RULES, {"version": "1", "rules": [{"id": "x"}]}, "Ann", "why", NOW, ports)
    assert current(SHAPING, ports) is current(Kind.RULES, ports) is None
    assert generation(SHAPING, ports.control) == 0


@pytest.mark.parametrize(
    ("author", "reason"), [("", "why"), ("Ann", " "), ("Ann", "w" * 501), ("A" * 201, "why")]
)
def test_nothing_is_published_without_an_author_and_a_reason(author: str, reason: str) -> None:
    with pytest.raises(DocumentError):
        publish(SHAPING, document(5), author, reason, NOW, PublishPorts(MemoryControl()))


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "x" * (MAX_OCTETS + 1)])
def test_what_is_no_json_or_too_large_is_refused(value: object) -> None:
    with pytest.raises(DocumentError):
        publish(SHAPING, {"note": value}, "Ann", "why", NOW, PublishPorts(MemoryControl()))


def test_a_document_larger_than_a_row_is_kept_in_parts(control: Control) -> None:
    ports = PublishPorts(control, {SHAPING: lambda _: ()})
    large = {"note": secrets.token_hex(400_000)}
    made = publish(SHAPING, large, "Ann", "large", NOW, ports)
    assert made.parts > 1
    found = current(SHAPING, ports)
    assert found is not None
    assert found.document == large


def test_the_shipped_documents_can_be_published(ports: PublishPorts) -> None:
    for kind, name in ((SHAPING, "shaping_starter"), (Kind.RULES, "reply_rules")):
        made = publish(kind, shipped(name), "Ann", "a start", NOW, ports)
        assert (made.number, made.parts) == (1, 1)
        found = current(kind, ports)
        assert found is not None
        assert found.document == shipped(name)


def test_a_damaged_text_is_not_taken_for_the_document() -> None:
    control = MemoryControl()
    ports = PublishPorts(control)
    made = publish(SHAPING, document(5), "Ann", "a start", NOW, ports)
    control.put(Record(Place(SHAPING, f"part#{made.text}#000"), {"text": "damaged"}))
    with pytest.raises(ValueError, match="damaged"):
        version(SHAPING, 1, ports)


class _Breaking(MemoryControl):
    """Fails at one of its writes."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        self.left -= 1
        if self.left == -1:
            raise OSError("no answer")
        return super().put(record, expected)


@pytest.mark.parametrize("at", range(3))
def test_whatever_write_fails_the_document_is_published_whole_or_not_and_can_be_again(
    at: int,
) -> None:
    control = _Breaking(at)
    ports = PublishPorts(control)
    with pytest.raises(OSError, match="no answer"):
        publish(SHAPING, document(5), "Ann", "a start", NOW, ports)
    found = current(SHAPING, ports)
    assert found is None or found.document == document(5)
    made = publish(SHAPING, document(4), "Ann", "again", NOW, ports)
    assert version(SHAPING, made.number, ports).document == document(4)


def test_a_version_that_today_s_checks_refuse_does_not_come_back(control: Control) -> None:
    loose = PublishPorts(control, {SHAPING: lambda _: ()})
    publish(SHAPING, {"anything": 1}, "Ann", "before", NOW, loose)
    publish(SHAPING, document(5), "Ann", "now", NOW, loose)
    with pytest.raises(DocumentError):
        rollback(SHAPING, 1, "Ann", "back", NOW, PublishPorts(control))
