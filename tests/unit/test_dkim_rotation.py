"""The lives of a domain's DKIM keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.dns import dkim_rotation as rotation
from mailroom.domain.dns.dkim_record import KeyKind, Wording
from mailroom.domain.dns.dkim_rotation import DkimKey, KeyRing, KeyState, Origin, RotationError

RSA, ED25519 = KeyKind.RSA, KeyKind.ED25519
DAY = 86_400.0


def key(selector: str, kind: KeyKind = RSA, origin: Origin = Origin.GENERATED) -> DkimKey:
    return DkimKey(selector, kind, 2048, "AAAA", KeyState.PENDING, 0.0, 0.0, origin)


def states(keys: KeyRing) -> dict[str, str]:
    return {each.selector: str(each.state) for each in keys}


def test_the_first_key_signs_at_once_because_there_is_no_other() -> None:
    assert states(rotation.add_key((), key("a"))) == {"a": "active"}


def test_the_next_key_waits_until_it_is_seen() -> None:
    keys = rotation.add_key(rotation.add_key((), key("a")), key("b"))
    assert states(keys) == {"a": "active", "b": "pending"}
    assert states(rotation.take_over(keys, {"a"}, 5.0)) == states(keys)
    taken = rotation.take_over(keys, {"b"}, 5.0)
    assert states(taken) == {"a": "retired", "b": "active"}
    assert [each.since for each in taken] == [5.0, 5.0]
    assert rotation.take_over(taken, {"a", "b"}, 9.0) == taken


def test_a_key_that_nobody_published_makes_way_for_the_next() -> None:
    keys = rotation.add_key(rotation.add_key((), key("a")), key("b"))
    assert states(rotation.add_key(keys, key("c"))) == {"a": "active", "c": "pending"}


def test_ed25519_signs_beside_rsa_and_never_alone() -> None:
    with pytest.raises(RotationError, match="beside an RSA key"):
        rotation.add_key((), key("e", ED25519))
    keys = rotation.add_key(rotation.add_key((), key("a")), key("e", ED25519))
    assert [each.selector for each in rotation.signing(keys)] == ["a"]
    keys = rotation.take_over(keys, {"e"}, 1.0)
    assert states(keys) == {"a": "active", "e": "active"}
    assert [each.selector for each in rotation.signing(keys)] == ["a", "e"]
    keys = rotation.retire(keys, "e", 2.0)
    assert [each.selector for each in rotation.signing(keys)] == ["a"]


def test_a_retired_key_stays_published_and_then_may_go() -> None:
    keys = rotation.activate(
        rotation.add_key(rotation.add_key((), key("a")), key("b")), "b", 10 * DAY
    )
    assert [rotation.removable_at(key) for key in keys] == [24 * DAY, None]
    assert rotation.removable_at(keys[0], days=1) == 11 * DAY
    assert states(rotation.remove(keys, "a")) == {"b": "active"}


def test_a_retired_key_may_come_back() -> None:
    keys = rotation.activate(rotation.add_key(rotation.add_key((), key("a")), key("b")), "b", 1.0)
    assert states(rotation.activate(keys, "a", 2.0)) == {"a": "active", "b": "retired"}


def test_what_cannot_be_done_is_refused_with_a_reason() -> None:
    keys = rotation.add_key((), key("a"))
    for step, reason in (
        (lambda: rotation.activate(keys, "a", 1.0), "active already"),
        (lambda: rotation.activate(keys, "b", 1.0), "no key of that selector"),
        (lambda: rotation.retire(keys, "a", 1.0), "rotate it"),
        (lambda: rotation.remove(keys, "a"), "cannot be removed"),
        (lambda: rotation.remove(keys, "b"), "no key of that selector"),
        (lambda: rotation.add_key(keys, key("A")), "has that selector already"),
        (lambda: rotation.add_key(keys, key("a b")), "selector has up to 63"),
    ):
        with pytest.raises(ValueError, match=reason):
            step()
    pending = rotation.add_key(keys, key("b"))
    with pytest.raises(RotationError, match="not active"):
        rotation.retire(pending, "b", 1.0)


def test_a_domain_has_a_bounded_number_of_keys() -> None:
    keys: KeyRing = ()
    for number in range(rotation.MAX_KEYS):
        keys = rotation.add_key(keys, key(f"k{number}"))
        keys = rotation.take_over(keys, {f"k{number}"}, number)
    with pytest.raises(RotationError, match="at most 10 keys"):
        rotation.add_key(keys, key("more"))


def test_a_key_from_postal_is_worded_as_there() -> None:
    keys = rotation.add_key((), key("postal-ABCDEF", origin=Origin.POSTAL))
    keys = rotation.add_key(keys, key("b", origin=Origin.IMPORTED))
    published = rotation.published(keys)
    assert [(p.selector, p.wording, p.pending) for p in published] == [
        ("postal-ABCDEF", Wording.POSTAL, False),
        ("b", Wording.PLAIN, True),
    ]
    assert [p.selector for p in rotation.published(rotation.take_over(keys, {"b"}, 1.0))] == ["b"]


def test_selectors_have_postals_form_and_are_new() -> None:
    first = rotation.new_selector((), 12_345_678)
    assert rotation.new_selector((), 12_345_678) == first
    assert first.startswith("mailroom-")
    assert len(first) == len("mailroom-") + 6
    assert rotation.new_selector((key(first),), 12_345_678) != first
    assert rotation.new_selector((), 0, prefix="postal") == "postal-aaaaaa"
    assert rotation.new_selector((), (1 << 32) - 1, prefix="x").isascii()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "activate", "retire", "remove", "see"]),
        st.sampled_from(["a", "b", "c", "d", "e"]),
        st.sampled_from(list(KeyKind)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=200)
def test_whatever_is_done_there_is_one_active_key_of_a_kind(
    steps: list[tuple[str, str, KeyKind]],
) -> None:
    keys: KeyRing = ()
    for now, (step, selector, kind) in enumerate(steps):
        try:
            if step == "add":
                keys = rotation.add_key(keys, key(selector, kind))
            elif step == "activate":
                keys = rotation.activate(keys, selector, now)
            elif step == "retire":
                keys = rotation.retire(keys, selector, now)
            elif step == "remove":
                keys = rotation.remove(keys, selector)
            else:
                keys = rotation.take_over(keys, {selector}, now)
        except RotationError:
            continue
        for each in KeyKind:
            of_kind = [k.state for k in keys if k.kind is each]
            assert of_kind.count(KeyState.ACTIVE) <= 1
            assert of_kind.count(KeyState.PENDING) <= 1
        if keys:
            assert rotation.active(keys, RSA) is not None
        assert len({k.selector for k in keys}) == len(keys)
