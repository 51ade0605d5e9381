"""The benchmarks of the engine do what they say, with a handful of jobs."""

from bench import day, waiting
from bench.pure_engine import BusyEngine


def test_a_small_day_delivers_all_its_mail() -> None:
    found = day.measure(200)
    assert found["delivered"] == found["jobs"] == 200


def test_mail_for_a_closed_path_leaves_and_none_of_it_stays_in_memory() -> None:
    found = waiting.measure(500)
    assert found["moved"] == {"park": 500}
    assert found["waiting_in_memory"] == 0


def test_a_busy_engine_goes_on() -> None:
    engine = BusyEngine(connections=8, waiting=40)
    for _ in range(100):
        engine.message()
