"""The words of a SQL dump as mysqldump and mariadb-dump write it, read piece by piece.

A dump may be of any size and one word of it many megabytes (a raw message); what is kept in
memory is one word and one piece.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.errors import UsageError
from cli.postal.source import Value

PIECE = 1 << 20  # octets read at a time
_LONGEST = 1 << 30  # octets of one word; more is no dump

_SKIPPED = re.compile(rb"\s++|(?:--(?=[\s])|#)[^\n]*+(?:\n|\Z)|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(
    rb"""(?P<text>'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+')
    |(?P<quoted>"[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+")
    |(?P<name>`[^`]*+(?:``[^`]*+)*+`)
    |(?P<bits>[xXbB]'[0-9A-Fa-f]*+')
    |(?P<word>[A-Za-z0-9_.$@+:\-\x80-\xff]++)
    |(?P<sign>[(),;=*/<>!%&|^~?\[\]{}\\])""",
    re.DOTALL | re.VERBOSE,
)
_OPEN = (b"'", b'"', b"`", b"/*", b"--", b"#")
_ESCAPED = re.compile(rb"\\(.)|''|\"\"", re.DOTALL)
_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_DATABASE = re.compile(rb"--\s+Host:.*?Database:\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its kind (text, quoted, name, bits, word, sign) and its octets as written."""

    kind: str
    octets: bytes

    @property
    def upper(self) -> bytes:
        """The word in capitals, for comparing keywords; a quoted one is no keyword."""
        return self.octets.upper() if self.kind == "word" else b""

    def is_sign(self, sign: bytes) -> bool:
        """Say whether it is this punctuation."""
        return self.kind == "sign" and self.octets == sign


class Words:
    """An iterator of the words of a dump. `database` is what a header line says it is of."""

    def __init__(self, read: Callable[[int], bytes], piece: int = PIECE) -> None:
        self._read = read
        self._piece = piece
        self._buffer = b""
        self._at = 0
        self._passed = 0
        self._is_over = False
        self._pushed: list[Word] = []
        self.database = ""

    def __iter__(self) -> Iterator[Word]:
        """Return itself."""
        return self

    def __next__(self) -> Word:
        """Return the next word. Raises UsageError for what is no dump."""
        if self._pushed:
            return self._pushed.pop()
        self._skip()
        found = self._match(_WORD)
        if found is None:
            if self._at == len(self._buffer):
                raise StopIteration
            raise UsageError(f"the dump makes no sense at octet {self.position}")
        return Word(found.lastgroup or "", found.group())

    def take(self) -> Word:
        """Return the next word where there has to be one. Raises UsageError."""
        word = next(self, None)
        if word is None:
            raise UsageError("the dump ends within a statement")
        return word

    def push(self, word: Word) -> None:
        """Give a word back; it comes next."""
        self._pushed.append(word)

    @property
    def position(self) -> int:
        """How many octets were read."""
        return self._passed + self._at

    def _skip(self) -> None:
        """Pass over blanks and comments; what mysqldump hides in comments is not for us."""
        while found := self._match(_SKIPPED):
            if not self.database and (named := _DATABASE.match(found.group())):
                self.database = named[1].decode("utf-8", "replace")

    def _match(self, pattern: "re.Pattern[bytes]") -> "re.Match[bytes] | None":
        """Match at the current place, reading on while the piece might end within the word."""
        while True:
            found = pattern.match(self._buffer, self._at)
            is_cut = found.end() == len(self._buffer) if found else self._is_open()
            if not is_cut or not self._more():
                break
        if found:
            self._at = found.end()
        return found

    def _is_open(self) -> bool:
        rest = self._buffer[self._at : self._at + 2]
        return len(rest) < 2 or rest.startswith(_OPEN) or rest[1:2] == b"'"

    def _more(self) -> bool:
        """Read on. Twice as much as is waiting, so that a long word is not scanned too often."""
        if self._is_over:
            return False
        self._passed += self._at
        self._buffer, self._at = self._buffer[self._at :], 0
        if len(self._buffer) > _LONGEST:
            raise UsageError(f"the dump has a word of over {_LONGEST} octets")
        fresh = self._read(max(self._piece, len(self._buffer)))
        self._is_over = not fresh
        self._buffer += fresh
        return not self._is_over


def name_of(word: Word) -> str:
    """Return a name without its quotes."""
    octets = word.octets
    if word.kind == "name":
        octets = octets[1:-1].replace(b"``", b"`")
    elif word.kind == "quoted":
        octets = _unescaped(octets)
    return octets.decode("utf-8", "replace")


def value_of(word: Word, *, binary: bool = False) -> Value:
    """Return a literal as a value: text, number, octets or None.

    Text that is not UTF-8 stays octets. Raises UsageError for what is no literal.
    """
    if word.kind in ("text", "quoted"):
        octets = _unescaped(word.octets)
        try:
            return octets if binary else octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets
    if word.kind == "bits":
        return _bits(word.octets)
    if word.kind == "word":
        return _plain(word)
    raise UsageError(f"the dump has {word.octets[:20]!r} for a value")


def _plain(word: Word) -> Value:
    if word.upper in (b"NULL", b"TRUE", b"FALSE"):
        return {b"NULL": None, b"TRUE": 1, b"FALSE": 0}[word.upper]
    if word.upper.startswith(b"0X"):
        return _hex(word.octets[2:])
    if _NUMBER.match(word.octets):
        text = word.octets.decode("ascii")
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    raise UsageError(f"the dump has {word.octets[:20]!r} for a value")


def _bits(octets: bytes) -> Value:
    digits = octets[2:-1]
    if octets[:1] in (b"x", b"X"):
        return _hex(digits)
    try:
        return int(digits or b"0", 2)
    except ValueError:
        raise UsageError("the dump has a bit value that is none") from None


def _hex(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise UsageError("the dump has a hexadecimal value that is none") from None


def _unescaped(quoted: bytes) -> bytes:
    inner = quoted[1:-1]
    if b"\\" not in inner and quoted[:1] not in inner:
        return inner
    return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]) if m[1] else m[0][:1], inner)
