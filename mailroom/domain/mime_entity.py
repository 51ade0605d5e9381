"""One entity of a MIME message, as offsets into the raw octets: its fields and its parts.

Only the fields that decide about rewriting are read (RFC 2045, 2046, 2183, 2231), with folding,
comments and quoted strings. An entity that readers could understand in two ways has media "".
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

MAX_HEADER = 262_144  # octets of one header
MAX_HEADER_LINES = 1_000
MAX_FIELD = 8_192  # octets of one of the fields we read

_FIELD = re.compile(
    rb"\n(content-type|content-transfer-encoding|content-disposition|mime-version|x-amp)[ \t]*:"
    rb"([^\r\n]*+(?:\r\n[ \t][^\r\n]*+){0,1000})",
    re.IGNORECASE,
)
_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'
_LEXEME = re.compile(r'\\.|[()"]|[^\\()"]++|\\')
_PARAMETER = re.compile(rf';[ \t]*([^\s=;"]++)[ \t]*=[ \t]*({_QUOTED}|[^;\s"]*+)')
_ESCAPED = re.compile(r"\\(.)")
_SECTION = re.compile(r"(?:[0-9]{1,3}\*?)?")


@dataclass(frozen=True, slots=True)
class Entity:
    """A message or body part. `fields` maps lower-case names to value and the value's span."""

    start: int
    body: int
    end: int
    fields: dict[bytes, tuple[str, int, int]]
    media: str  # lower-case type/subtype; "" for an entity that cannot be read
    parameters: dict[str, str]  # of the content type, names in lower case

    def word(self, name: bytes) -> str:
        """Return the first word of field `name` in lower case, "" when there is no such field."""
        return self.fields.get(name, ("", 0, 0))[0].partition(";")[0].strip().lower()

    @property
    def is_attachment(self) -> bool:
        """Whether the part is meant to be saved: a disposition but inline, or a file name."""
        if "name" in self.parameters or self.word(b"content-disposition") not in ("", "inline"):
            return True
        given = self.fields.get(b"content-disposition")
        parameters = _parameters(given[0]) if given else {}
        return parameters is None or "filename" in parameters


def body_start(raw: bytes, start: int, end: int) -> int | None:
    """Return where the body of the entity at `start` begins; None when its header is too long.

    An entity without an empty line is all header, and its body begins at `end`.
    """
    if raw.startswith(b"\r\n", start, end):
        return start + 2
    limit = min(end, start + MAX_HEADER)
    blank = raw.find(b"\r\n\r\n", start, limit)
    body = blank + 4 if blank >= 0 else end
    if body > limit or raw.count(b"\n", start, body) > MAX_HEADER_LINES:
        return None
    return body


def read_entity(raw: bytes, start: int, end: int) -> Entity:
    """Read the entity at `start:end` of `raw`; with media "" when it is unreadable."""
    body = body_start(raw, start, end)
    if body is None:
        return Entity(start, end, end, {}, "", {})
    fields: dict[bytes, tuple[str, int, int]] = {}
    for found in _FIELD.finditer(b"\n" + raw[start:body]):
        name = found[1].lower()
        # Readers differ on which of two wins, so a field given twice makes the part unreadable.
        twice = name in fields and name.startswith(b"content-")
        if twice or len(found[2]) > MAX_FIELD:
            return Entity(start, body, end, {}, "", {})
        value_start, value_end = found.span(2)
        fields[name] = (_plain(found[2]), start + value_start - 1, start + value_end - 1)
    content_type = fields.get(b"content-type", ("text/plain", 0, 0))[0]
    parameters = _parameters(content_type)
    if parameters is None:
        return Entity(start, body, end, fields, "", {})
    return Entity(
        start, body, end, fields, content_type.partition(";")[0].strip().lower(), parameters
    )


def part_spans(raw: bytes, entity: Entity, *, limit: int) -> list[tuple[int, int]]:
    """Return the spans of the parts of the multipart `entity`, at most `limit` + 1 of them.

    A missing close delimiter is forgiven. No boundary, or a transfer encoding that a multipart
    must not have (RFC 2045 section 6.4), yields no parts.
    """
    boundary = entity.parameters.get("boundary", "").rstrip(" ")
    encoding = entity.word(b"content-transfer-encoding")
    if not boundary or encoding not in ("", "7bit", "8bit", "binary"):
        return []
    mark = b"--" + boundary.encode("latin-1")
    spans: list[tuple[int, int]] = []
    begin, at = -1, entity.body
    while len(spans) <= limit and (at := raw.find(mark, at, entity.end)) >= 0:
        after = at + len(mark)
        if at != entity.body and raw[at - 2 : at] != b"\r\n":
            at = after
            continue
        line_end = raw.find(b"\r\n", after, entity.end)
        line_end = entity.end if line_end < 0 else line_end
        # A longer line is the boundary of another part that starts with the same letters.
        ending = raw[after:line_end].rstrip(b" \t")
        if ending in (b"", b"--"):
            if begin >= 0:
                spans.append((begin, max(begin, at - 2)))
            begin = min(line_end + 2, entity.end)
            if ending:
                return spans
        at = line_end
    if begin >= 0:
        spans.append((begin, entity.end))
    return spans


def _plain(value: bytes) -> str:
    """Unfold a field value and take its comments out (RFC 5322 section 3.2.2)."""
    text = value.replace(b"\r\n", b"").decode("latin-1")
    return _without_comments(text) if "(" in text else text


def _without_comments(text: str) -> str:
    kept: list[str] = []
    depth, quoted = 0, False
    for lexeme in _LEXEME.findall(text):
        if quoted or (depth == 0 and lexeme != "("):
            kept.append(lexeme)
            quoted = quoted != (lexeme == '"')
        elif lexeme in "()":
            depth += 1 if lexeme == "(" else -1
    return "".join(kept)


def _parameters(value: str) -> dict[str, str] | None:
    """Return the parameters of a field value, names in lower case; None when one comes twice."""
    parameters: dict[str, str] = {}
    for name, given in _PARAMETER.findall(value):
        if name.lower() in parameters:
            return None
        quoted = given[:1] == '"'
        parameters[name.lower()] = _ESCAPED.sub(r"\1", given[1:-1]) if quoted else given
    if "*" in value:
        parameters = _joined(parameters) | parameters
    return parameters


def _joined(parameters: dict[str, str]) -> dict[str, str]:
    """Put together what RFC 2231 spread over `name*`, `name*0`, `name*1*` ..."""
    sections: dict[str, list[tuple[int, str]]] = {}
    for name, value in parameters.items():
        base, star, section = name.partition("*")
        if star and _SECTION.fullmatch(section):
            number = int(section.rstrip("*") or 0)
            if section.endswith("*") or not section:
                value = value if number else value.split("'", 2)[-1]
                value = unquote_to_bytes(value).decode("latin-1")
            sections.setdefault(base, []).append((number, value))
    return {base: "".join(text for _, text in sorted(found)) for base, found in sections.items()}
