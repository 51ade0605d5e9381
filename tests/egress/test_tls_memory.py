"""What hosts tell each other of broken TLS."""

import pytest

from egress.tls_memory import SECONDS, KeptTlsMemory
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.tls_result import TlsResult
from mailroom.fakes.control import MemoryControl


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_what_one_host_learned_another_knows_until_it_is_over() -> None:
    control, clock = MemoryControl(), Clock()
    one, two = KeptTlsMemory(control, now=clock), KeptTlsMemory(control, now=clock)
    one.learn("mx.test", TlsResult.VALIDATION_FAILURE)
    assert one.about("mx.test") is TlsResult.VALIDATION_FAILURE
    await one.drain()
    assert two.about("mx.test") is None
    await two.load()
    assert two.about("mx.test") is TlsResult.VALIDATION_FAILURE
    clock.now += SECONDS
    await two.load()
    assert (one.about("mx.test"), two.about("mx.test")) == (None, None)


async def test_many_rows_are_read_in_pages() -> None:
    control, clock = MemoryControl(), Clock()
    for number in range(2_500):
        place = Place("tls", f"mx{number:04}.test")
        control.put(Record(place, {}, expires_at=clock.now + 60))
    memory = KeptTlsMemory(control, now=clock)
    await memory.load()
    assert all(memory.about(f"mx{number:04}.test") for number in range(2_500))


@pytest.mark.parametrize("body", [{"result": "a-later-one"}, {}])
async def test_rows_of_other_releases_are_understood(body: dict[str, str]) -> None:
    control, clock = MemoryControl(), Clock()
    control.put(Record(Place("tls", "mx.test"), body, expires_at=clock.now + 60))
    control.put(Record(Place("tls", "forever.test"), body))
    memory = KeptTlsMemory(control, now=clock)
    await memory.load()
    assert memory.about("mx.test") is TlsResult.VALIDATION_FAILURE
    assert memory.about("forever.test") is None


class Broken(MemoryControl):
    def put(self, record: Record, expected: int | None = None) -> Record | None:
        raise OSError("no table")

    def page(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise OSError("no table")


async def test_without_the_table_a_host_knows_what_it_learned_itself() -> None:
    memory = KeptTlsMemory(Broken(), now=Clock())
    memory.learn("mx.test", TlsResult.VALIDATION_FAILURE)
    await memory.drain()
    await memory.load()
    assert memory.about("mx.test") is TlsResult.VALIDATION_FAILURE
