"""Trace headers: what is read, what is handed on, and which requests are followed."""

from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.trace import TraceContext, decided, new_root, read_trace

ROOT = "1-68e8e780-0123456789abcdef01234567"
PARENT = "53995c3f42cd8ad8"


def test_a_header_is_read_and_written_alike() -> None:
    header = f"Root={ROOT};Parent={PARENT};Sampled=1"
    assert read_trace(header) == TraceContext(ROOT, PARENT, sampled=True)
    assert read_trace(header).header == header


def test_what_load_balancers_add_is_ignored() -> None:
    assert read_trace(f"Self=1-1-1; Root={ROOT}; Foo=bar;Sampled=?") == TraceContext(ROOT)


@given(st.text(max_size=600))
def test_strangers_write_what_they_like(header: str) -> None:
    found = read_trace(header)
    assert found == TraceContext() or found.root in header


def test_a_malformed_root_is_no_trace() -> None:
    assert read_trace("Root=1-xyz;Parent=53995c3f42cd8ad8;Sampled=1") == TraceContext()
    assert read_trace(f"Root={ROOT}0;Sampled=1") == TraceContext()


@given(st.integers(0, (1 << 128) - 1), st.floats(0, 4e9))
def test_a_new_trace_has_a_root_of_its_time(chance: int, now: float) -> None:
    fresh = decided(TraceContext(), now=now, chance=chance, rate=1.0)
    assert fresh.sampled
    assert read_trace(fresh.header) == fresh
    assert int(fresh.root.split("-")[1], 16) == int(now) & 0xFFFFFFFF


def test_the_rate_decides_for_new_traces_only() -> None:
    always, never = (1 << 128) - 1, 0
    assert decided(TraceContext(), now=1.0, chance=always, rate=0.01).sampled is False
    assert decided(TraceContext(), now=1.0, chance=never, rate=0.01).sampled is True
    assert decided(TraceContext(), now=1.0, chance=never, rate=0.0).sampled is False
    upstream = TraceContext(ROOT, PARENT, sampled=True)
    assert decided(upstream, now=1.0, chance=always, rate=0.0) == upstream


def test_roots_name_their_second() -> None:
    assert new_root(0x68E8E780, 5) == "1-68e8e780-000000000000000000000005"
