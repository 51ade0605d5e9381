"""The DKIM keys of a domain and their lives: pending, active, retired, gone.

A new key is published first and signs nothing. When its record is seen in the DNS it takes over,
and the key before it stays published until no message signed with it is under way any more.
There is one active key of each kind: RSA signs every message, Ed25519 signs it as well (RFC 8463).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from mailroom.domain.dns.dkim_record import KeyKind, Wording
from mailroom.domain.dns.names import selector as checked_selector
from mailroom.domain.dns.records import PublishedKey

MAX_KEYS = 10  # of a domain, retired ones included
RETIRED_DAYS = 14  # retries last two days, forwarded mail and its reports some more
SELECTOR_PREFIX = "mailroom"
POSTAL_PREFIX = "postal"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SELECTOR_LETTERS = 6
SELECTOR_BITS = 32  # of chance; 26^6 is a little over 28 bits


class KeyState(StrEnum):
    """Where a key is in its life. Values are stored; never rename them."""

    PENDING = "pending"  # to be published; signs nothing yet
    ACTIVE = "active"
    RETIRED = "retired"  # signs nothing any more, still published


class Origin(StrEnum):
    """Where a key came from. Values are stored; never rename them."""

    GENERATED = "generated"
    IMPORTED = "imported"  # the tenant's own
    POSTAL = "postal"


@dataclass(frozen=True, slots=True)
class DkimKey:
    """One key, without its secret half. Times are Unix seconds; `since` is that of its state."""

    selector: str
    kind: KeyKind
    bits: int
    public: str
    state: KeyState
    created_at: float
    since: float
    origin: Origin = Origin.GENERATED

    @property
    def wording(self) -> Wording:
        """How its record is written: as Postal did if it came from there."""
        return Wording.POSTAL if self.origin is Origin.POSTAL else Wording.PLAIN


KeyRing = tuple[DkimKey, ...]


class RotationError(ValueError):
    """The step is not possible with these keys; the message is for the tenant."""


def new_selector(keys: KeyRing, chance: int, prefix: str = SELECTOR_PREFIX) -> str:
    """Return a selector no key of the domain has: `prefix` and six letters, Postal's form.

    `chance` gives `SELECTOR_BITS` random bits. Letters are small because the DNS knows no case.
    """
    taken = {key.selector for key in keys}
    while True:
        text, rest = "", chance
        for _ in range(_SELECTOR_LETTERS):
            rest, letter = divmod(rest, len(_LETTERS))
            text += _LETTERS[letter]
        if f"{prefix}-{text}" not in taken:
            return f"{prefix}-{text}"
        chance += 1


def add_key(keys: KeyRing, key: DkimKey) -> KeyRing:
    """Return the keys with a new one, active or pending.

    A first RSA key is active at once: there is nothing else to sign with. Every other one waits
    until it is seen in the DNS. A pending key of the same kind makes way. Raises RotationError for
    a selector that is taken, for too many keys, and for an Ed25519 key without an RSA key, which
    most receivers would take for no signature at all.
    """
    checked_selector(key.selector)
    kept = tuple(
        each for each in keys if not (each.state is KeyState.PENDING and each.kind is key.kind)
    )
    if any(each.selector.lower() == key.selector.lower() for each in keys):
        raise RotationError("a key of the domain has that selector already")
    if len(kept) >= MAX_KEYS:
        raise RotationError(f"a domain has at most {MAX_KEYS} keys: remove retired ones first")
    if key.kind is not KeyKind.RSA and active(keys, KeyKind.RSA) is None:
        raise RotationError("an Ed25519 key only signs beside an RSA key")
    first = key.kind is KeyKind.RSA and active(keys, KeyKind.RSA) is None
    state = KeyState.ACTIVE if first else KeyState.PENDING
    return (*kept, replace(key, state=state))


def activate(keys: KeyRing, selector: str, now: float) -> KeyRing:
    """Return the keys with `selector` signing from now on and the one before it retired.

    A retired key may come back. The caller knows that its record is published. Raises
    RotationError if there is no such key or it is active already.
    """
    chosen = find(keys, selector)
    if chosen.state is KeyState.ACTIVE:
        raise RotationError("the key is active already")
    return tuple(_stepped(key, chosen, now) for key in keys)


def retire(keys: KeyRing, selector: str, now: float) -> KeyRing:
    """Return the keys with an active Ed25519 key retired.

    Raises RotationError for an RSA key, without which nothing could be signed, and for a key that
    is not active.
    """
    chosen = find(keys, selector)
    if chosen.state is not KeyState.ACTIVE:
        raise RotationError("the key is not active")
    if chosen.kind is KeyKind.RSA:
        raise RotationError("the active RSA key can only be replaced: rotate it")
    return tuple(_in_state(k, KeyState.RETIRED, now) if k is chosen else k for k in keys)


def remove(keys: KeyRing, selector: str) -> KeyRing:
    """Return the keys without a pending or retired one.

    Raises RotationError for an active key and for one that is not there.
    """
    chosen = find(keys, selector)
    if chosen.state is KeyState.ACTIVE:
        raise RotationError("an active key cannot be removed")
    return tuple(key for key in keys if key is not chosen)


def take_over(keys: KeyRing, seen: Collection[str], now: float) -> KeyRing:
    """Return the keys with every pending one whose selector was `seen` in the DNS active."""
    for key in keys:
        if key.state is KeyState.PENDING and key.selector in seen:
            keys = activate(keys, key.selector, now)
    return keys


def removable_at(key: DkimKey, days: float = RETIRED_DAYS) -> float | None:
    """Return when the record of a retired key may go (Unix seconds); None for any other key."""
    return key.since + days * 86_400 if key.state is KeyState.RETIRED else None


def active(keys: KeyRing, kind: KeyKind) -> DkimKey | None:
    """Return the key of a kind that signs, None if none does."""
    return next((k for k in keys if k.kind is kind and k.state is KeyState.ACTIVE), None)


def signing(keys: KeyRing) -> KeyRing:
    """Return the keys that sign, RSA first."""
    found = [active(keys, kind) for kind in (KeyKind.RSA, KeyKind.ED25519)]
    return tuple(key for key in found if key is not None)


def find(keys: KeyRing, selector: str) -> DkimKey:
    """Return the key of a selector. Raises RotationError if there is none."""
    for key in keys:
        if key.selector == selector:
            return key
    raise RotationError("the domain has no key of that selector")


def published(keys: KeyRing) -> tuple[PublishedKey, ...]:
    """Return what the DNS should have: active and pending keys.

    Retired ones are published too, but nothing is wrong once they are gone.
    """
    return tuple(
        PublishedKey(
            key.selector, key.kind, key.public, key.wording, pending=key.state is KeyState.PENDING
        )
        for key in keys
        if key.state is not KeyState.RETIRED
    )


def _stepped(key: DkimKey, chosen: DkimKey, now: float) -> DkimKey:
    if key is chosen:
        return _in_state(key, KeyState.ACTIVE, now)
    if key.kind is chosen.kind and key.state is KeyState.ACTIVE:
        return _in_state(key, KeyState.RETIRED, now)
    return key


def _in_state(key: DkimKey, state: KeyState, now: float) -> DkimKey:
    return replace(key, state=state, since=now)
