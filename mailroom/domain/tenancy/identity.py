"""Identifiers: sortable by time, fit for URLs, and marked with the deployment that made them.

A mark at the end tells an id of another deployment (a copied script, a staging key in production)
from one that is merely unknown.
"""

import hashlib
import re
from typing import Protocol

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # lower-case base32 (RFC 4648)
# In an order that sorts as the numbers do.
_SORTED = "234567abcdefghijklmnopqrstuvwxyz"
_TIME = 9  # characters: milliseconds until the year 3084
_CHANCE = 12  # characters: 60 random bits
_MARK = 2
_SERVER_CHANCE = 8  # characters: 40 random bits, and a conditional write guards them
MAX_ID = 40

_SIGN = f"[{_ALPHABET}]"
_ID = re.compile(rf"([a-z]{{2,6}})_({_SIGN}{{{_TIME + _CHANCE}}})({_SIGN}{{{_MARK}}})\Z")
_SERVER = re.compile(rf"{_SIGN}{{{_SERVER_CHANCE + _MARK}}}\Z")


class Bits(Protocol):
    """Randomness, as `mailroom.ports.Chance` gives it."""

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits."""


def mark_of(environment: str) -> str:
    """Return the two characters that ids of a deployment end in."""
    digest = hashlib.sha256(f"mailroom/{environment}".encode()).digest()
    return _ALPHABET[digest[0] & 31] + _ALPHABET[digest[1] & 31]


def new_id(prefix: str, *, now: float, chance: Bits, environment: str) -> str:
    """Return a new id such as `dom_...`; later ones sort behind earlier ones."""
    moment = _written(int(now * 1000), _TIME)
    return f"{prefix}_{moment}{_written(chance.bits(5 * _CHANCE), _CHANCE)}{mark_of(environment)}"


def new_server_id(*, chance: Bits, environment: str) -> str:
    """Return a new server id: ten characters, because it rides in return paths and on every row."""
    return _written(chance.bits(5 * _SERVER_CHANCE), _SERVER_CHANCE) + mark_of(environment)


def is_id(text: str, prefix: str) -> bool:
    """Say whether `text` is spelled like an id with this prefix."""
    found = _ID.match(text)
    return found is not None and found[1] == prefix


def is_foreign(text: str, environment: str) -> bool:
    """Say whether an id that is not known here bears another deployment's mark.

    Ids of servers made before there were marks bear none; they are known where they were made.
    """
    found = _ID.match(text)
    if found is not None:
        return found[3] != mark_of(environment)
    return bool(_SERVER.match(text)) and text[-_MARK:] != mark_of(environment)


def new_secret(chance: Bits, environment: str, prefix: str = "mr") -> str:
    """Return a new secret of 160 random bits: its prefix and the deployment's mark come first."""
    return f"{prefix}_{mark_of(environment)}_{_written(chance.bits(160), 32)}"


def is_foreign_secret(text: str, environment: str) -> bool:
    """Say whether a secret bears another deployment's mark."""
    found = re.match(rf"[a-z]{{2,4}}_([{_ALPHABET}]{{2}})_[{_ALPHABET}]{{32}}\Z", text)
    return found is not None and found[1] != mark_of(environment)


def _written(number: int, length: int) -> str:
    return "".join(_SORTED[(number >> 5 * place) & 31] for place in reversed(range(length)))
