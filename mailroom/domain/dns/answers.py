"""What the DNS was asked and what it said, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Kind(StrEnum):
    """Types of records that are asked for."""

    TXT = "TXT"
    CNAME = "CNAME"
    MX = "MX"
    A = "A"
    AAAA = "AAAA"
    PTR = "PTR"


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """One question: a name in lower case without its final dot, and a type."""

    name: str
    kind: Kind


class Lookup(StrEnum):
    """How a question ended. Values are stored; never rename them."""

    FOUND = "found"
    EMPTY = "empty"  # the name exists, without records of this type
    ABSENT = "absent"  # the name does not exist
    FAILED = "failed"  # no answer, or nonsense: nothing is known


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """The records of one question as text.

    A TXT has its character-strings joined; an MX is `preference host`, the null MX `0 .`; names
    are in lower case without their final dot. `aliases` are the targets of CNAMEs followed on the
    way, in order. `problem` says in a few words why a look-up failed.
    """

    lookup: Lookup
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    problem: str = ""


Answers: TypeAlias = Mapping[Question, DnsAnswer]
UNASKED = DnsAnswer(Lookup.FAILED, problem="it was not asked")


def txt(name: str) -> Question:
    """Return the question for the TXT records of `name`."""
    return Question(name.lower(), Kind.TXT)


def cname(name: str) -> Question:
    """Return the question for the CNAME of `name`."""
    return Question(name.lower(), Kind.CNAME)


def mx(name: str) -> Question:
    """Return the question for the MX records of `name`."""
    return Question(name.lower(), Kind.MX)


def a(name: str) -> Question:
    """Return the question for the IPv4 addresses of `name`."""
    return Question(name.lower(), Kind.A)
