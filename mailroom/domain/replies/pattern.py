"""Regular expressions that cannot be made to run for long, and the words they need.

Rules are written by operators and matched against what strangers send. Only a part of Python's
syntax is taken, small enough to say of each pattern how many ways a text can be tried in, and
which literal words must be there before trying is worth it.
"""

import re
from dataclasses import dataclass, field

MAX_TEXT = 1_000  # characters of a reply that are looked at
MAX_PATTERN = 1_200
MAX_WAYS = 5_000  # ways to try one pattern from one place of a text
_MAX_DEPTH = 8
_HUGE = 10**9
_CLASSES = "dDwWsS"
_EDGES = "bB"
_REPEAT = re.compile(r"\{(\d{1,4})(,?)(\d{0,4})\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; a text without one of `literals` cannot match (none: any may)."""

    source: str
    literals: tuple[str, ...] = ()
    compiled: "re.Pattern[str]" = field(default=re.compile(""), compare=False, repr=False)

    def matches(self, text: str) -> bool:
        """Say whether the pattern is found in `text`, which is lower case and cut."""
        literals = self.literals
        if literals and not any(literal in text for literal in literals):
            return False
        return self.compiled.search(text) is not None


def parse_pattern(source: str) -> Pattern:
    """Return the pattern `source` means. Raises ValueError with what is wrong with it.

    Taken are literals in lower case (replies are lowered before), `.`, classes in brackets,
    `\\d \\w \\s \\b`, `(...)`, `(?:...)`, `|`, `^`, `$` and greedy or lazy `? * + {m,n}`. Nested
    repetitions are refused by what they cost.
    """
    if not source or len(source) > MAX_PATTERN:
        raise ValueError(f"a pattern has 1 to {MAX_PATTERN} characters")
    reader = _Reader(source)
    part = reader.choice(0)
    if not reader.at_end():
        raise ValueError(f"unmatched ) at {reader.place}")
    if part.ways > MAX_WAYS:
        raise ValueError("too many ways to match: leave out, narrow or unnest repetitions")
    try:
        compiled = re.compile(source)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return Pattern(source, tuple(sorted(part.needed)), compiled)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is known of a piece: ways to match it, a literal it is, words one of which it has."""

    ways: int = 1
    literal: str = ""
    needed: frozenset[str] = frozenset()
    first: str = ""  # the letter it begins with, where there is one


def _better(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Return the set of words that rules out more texts: the one whose shortest is longer."""
    return max(one, other, key=lambda words: min(map(len, words), default=0))


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.place = 0

    def at_end(self) -> bool:
        return self.place >= len(self._source)

    def choice(self, depth: int) -> _Part:
        if depth > _MAX_DEPTH:
            raise ValueError("groups are nested too deep")
        branches = [self._sequence(depth)]
        while self._skip("|"):
            branches.append(self._sequence(depth))
        if len(branches) == 1:
            return branches[0]
        words = [branch.needed for branch in branches]
        needed = frozenset().union(*words) if all(words) else frozenset[str]()
        return _Part(_ways_of(branches), "", needed)

    def _sequence(self, depth: int) -> _Part:
        ways, run, needed, first = 1, "", frozenset[str](), None
        while not self.at_end() and self._peek() not in "|)":
            atom = self._atom(depth)
            least, most = self._repeats()
            if first is None:
                first = (atom.literal or atom.first) if least else ""
            if atom.literal and (least, most) == (1, 1):
                run += atom.literal
                continue
            if run:
                needed, run = _better(needed, frozenset({run})), ""
            if least:
                needed = _better(needed, atom.needed or frozenset(filter(None, {atom.literal})))
            ways = min(ways * _ways(atom.ways, least, most), _HUGE)
        if run:
            needed = _better(needed, frozenset({run}))
        return _Part(ways, "", needed, first or "")

    def _atom(self, depth: int) -> _Part:
        char = self._take()
        match char:
            case "(":
                return self._group(depth)
            case "[":
                self._bracket()
                return _Part()
            case "\\":
                return self._escape()
            case "." | "^" | "$":
                return _Part()
            case "*" | "+" | "?" | "{":
                raise ValueError(f"nothing to repeat at {self.place - 1}")
        if char != char.lower():
            raise ValueError("replies are matched in lower case: write the pattern so")
        return _Part(literal=char)

    def _group(self, depth: int) -> _Part:
        if self._skip("?") and not self._skip(":"):
            raise ValueError("of groups only (...) and (?:...) are taken")
        part = self.choice(depth + 1)
        if not self._skip(")"):
            raise ValueError("a group is not closed")
        return _Part(part.ways, "", part.needed, part.first)

    def _bracket(self) -> None:
        self._skip("^")
        self._skip("]")
        while not self.at_end():
            char = self._take()
            if char == "]":
                return
            if char == "\\":
                self._escape()
        raise ValueError("a [ is not closed")

    def _escape(self) -> _Part:
        if self.at_end():
            raise ValueError("a pattern cannot end with \\")
        char = self._take()
        if char in _CLASSES or char in _EDGES:
            return _Part()
        if char.isalnum():
            raise ValueError(f"\\{char} is not taken")
        return _Part(literal=char)

    def _repeats(self) -> tuple[int, int]:
        """Return the least and the most times the atom before may come."""
        if self.at_end() or self._peek() not in "?*+{":
            return 1, 1
        found = _REPEAT.match(self._source, self.place)
        if self._peek() == "{":
            if not found:
                raise ValueError(f"a {{ at {self.place} repeats nothing: write \\{{")
            self.place = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3] or MAX_TEXT)
            if most < least:
                raise ValueError("a repetition ends below its beginning")
        else:
            least, most = {"?": (0, 1), "*": (0, MAX_TEXT), "+": (1, MAX_TEXT)}[self._take()]
        if not self._skip("?") and not self.at_end() and self._peek() in "*+{":
            raise ValueError(f"a repetition of a repetition at {self.place}")
        return least, most

    def _peek(self) -> str:
        return self._source[self.place]

    def _take(self) -> str:
        self.place += 1
        return self._source[self.place - 1]

    def _skip(self, char: str) -> bool:
        if self._source.startswith(char, self.place):
            self.place += 1
            return True
        return False


def _ways_of(branches: list[_Part]) -> int:
    """Return in how many ways one of several branches can match: at any place of a text only
    those that begin with the letter that is there are tried for long.
    """
    anywhere = sum(branch.ways for branch in branches if not branch.first)
    letters = {branch.first for branch in branches if branch.first}
    return anywhere + max(
        (sum(each.ways for each in branches if each.first == letter) for letter in letters),
        default=0,
    )


def _ways(inner: int, least: int, most: int) -> int:
    """Return in how many ways a repetition can match, `_HUGE` for too many to count."""
    if inner == 1:
        return most - least + 1
    ways = 1
    for _ in range(most):
        ways *= inner
        if ways > MAX_WAYS:
            return _HUGE
    return ways * (most - least + 1)
