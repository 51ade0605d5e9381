"""What hosts show of themselves."""

from typing import Any

from mailroom.domain.sending.view import (
    MAX_PATHS,
    MAX_STORIES,
    ErrorView,
    HostView,
    PathView,
    TransitionView,
    dump_view,
    load_view,
)
from mailroom.fakes.control import MemoryControl
from mailroom.ports.control import Control
from mailroom.usecases.host_views import read_views, remove_view, write_view

NOW = 1_800_000_000.0


def shown_by(process: str, control: Control, now: float) -> HostView | None:
    return next((v for v in read_views(control, now=now) if v.process == process), None)


def path(number: int = 0, **more: Any) -> PathView:
    return PathView(
        f"ip_{number}",
        "gmail",
        errors=(ErrorView(NOW, 421, "4.7.28 slow down", "MAIL", "gmail-rate"),),
        transitions=(TransitionView(NOW, "normal", "backoff", "gmail-rate"),),
        orders=("ord_1",),
        **more,
    )


def view(**more: Any) -> HostView:
    given: dict[str, Any] = {"process": "host-1", "at": NOW, "leases": ("ip_1",), **more}
    return HostView(**given)


def test_a_view_is_stored_and_read_back_whole() -> None:
    control = MemoryControl()
    shown = view(paths=(path(until=NOW + 5, rate=2.5),), lanes={"bulk": 3}, counters={"sent": 9.0})
    write_view(shown, control)
    assert read_views(control, now=NOW + 60) == [shown]
    assert shown_by("host-1", control, NOW + 60) == shown


def test_a_host_that_is_silent_for_a_minute_is_not_shown() -> None:
    control = MemoryControl()
    write_view(view(), control)
    assert read_views(control, now=NOW + 61) == []
    assert shown_by("host-1", control, NOW + 61) is None
    assert shown_by("host-2", control, NOW) is None
    remove_view("host-1", control)
    assert read_views(control, now=NOW) == []


def test_a_view_of_a_later_or_an_earlier_version_is_read() -> None:
    body = dump_view(view(paths=(path(),)))
    body["moon"] = body["paths"][0]["moon"] = body["paths"][0]["errors"][0]["moon"] = 1
    del body["lanes"], body["paths"][0]["parked"]
    assert load_view(body) == view(paths=(path(),))


def test_a_view_is_bounded_and_trouble_comes_first() -> None:
    many = [path(n, ready=n, reply="x" * 1000) for n in range(MAX_PATHS + 50)]
    shown = view(
        paths=(*many, path(9_999, state="suspended")),
        waiting={f"site{n}": n for n in range(1_000)},
    ).bounded()
    names = [each.address for each in shown.paths]
    assert names[:3] == ["ip_9999", f"ip_{MAX_PATHS + 49}", f"ip_{MAX_PATHS + 48}"]
    assert len(names) == MAX_PATHS
    assert sum(bool(each.errors) for each in shown.paths) == MAX_STORIES
    assert max(len(each.reply) for each in shown.paths) == 300
    assert (len(shown.waiting), shown.waiting["site999"]) == (200, 999)


def test_the_largest_view_fits_into_a_row() -> None:
    text = "421-4.7.28 Our system has detected an unusual rate of mail, number {n} " * 6
    errors = tuple(ErrorView(NOW + n, 421, text.format(n=n)) for n in range(10))
    moves = tuple(TransitionView(NOW + n, "normal", "backoff", text[:100]) for n in range(10))
    many = tuple(
        PathView(f"ip_{n:021d}", f"mx{n}.example-{n * 7919}.test", errors=errors, transitions=moves)
        for n in range(MAX_PATHS)
    )
    control = MemoryControl()
    write_view(view(paths=many), control)
    (stored,) = control.page("view").records
    assert len(stored.body["packed"]) < 350_000
