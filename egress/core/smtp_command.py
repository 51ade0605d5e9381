"""Reading command lines (RFC 5321 section 4.1.1). Strict where leniency helps smugglers."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from egress.core.smtp_answer import (
    BAD_ARGUMENT,
    LOGIN_MALFORMED,
    MALFORMED_LINE,
    NOT_ASCII,
    Answer,
)

_MAX_PATH = 254  # octets without the brackets, RFC 5321 section 4.5.3.1.3
_PRINTABLE = re.compile(rb"[\x20-\x7e]+\Z")
# Quoted parts may hold spaces and brackets; a source route is read and dropped (appendix C).
_PATH = re.compile(
    r'[ ]*(?:<(?:@[^:<>"\s]+:)?(?P<path>(?:[^<>"\s]|"(?:[^"\\]|\\.)*")*)>'
    r'|(?P<bare>(?:[^<>"\s]|"(?:[^"\\]|\\.)*")+))(?P<rest>[ ].*)?\Z'
)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?\Z")


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `verb` in upper case, `argument` as given, without spaces around it."""

    verb: str
    argument: str


@dataclass(frozen=True, slots=True)
class MailPath:
    """An address as MAIL or RCPT gives it ("" for the null sender), and its parameters.

    Names of parameters are in upper case; one without a value has "".
    """

    address: str
    parameters: Mapping[str, str]


def read_command(line: bytes) -> Command | Answer:
    """Read a line without its CRLF; return the command or the reply that refuses it."""
    if not _PRINTABLE.match(line):
        speaks_utf8 = line[:4].upper() in (b"MAIL", b"RCPT") and not line.isascii()
        return NOT_ASCII if speaks_utf8 else MALFORMED_LINE
    verb, _, argument = line.decode("ascii").partition(" ")
    return Command(verb.upper(), argument.strip(" ")) if verb else MALFORMED_LINE


def read_path(argument: str, keyword: str, malformed: Answer) -> MailPath | Answer:
    """Read `FROM:<address> PARAMETERS` (keyword "FROM") or the same with "TO".

    Returns `malformed` for what is no path. Brackets may be missing, as they are in the wild.
    """
    if argument[: len(keyword) + 1].upper() != f"{keyword}:":
        return BAD_ARGUMENT
    found = _PATH.match(argument, len(keyword) + 1)
    if found is None:
        return malformed
    address = found["path"] if found["path"] is not None else found["bare"]
    if len(address) > _MAX_PATH:
        return malformed
    parameters = _parameters((found["rest"] or "").split())
    return BAD_ARGUMENT if parameters is None else MailPath(address, parameters)


def _parameters(words: list[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for word in words:
        found = _PARAMETER.match(word)
        if found is None or found[1].upper() in parameters:
            return None
        parameters[found[1].upper()] = found[2] or ""
    return parameters


def read_password(response: str) -> str | Answer:
    """Return the password of a base64 PLAIN response (RFC 4616); the names in it do not matter.

    What is not UTF-8 can be no secret of ours and comes back as "", which opens nothing.
    """
    try:
        decoded = base64.b64decode("" if response == "=" else response, validate=True)
    except (binascii.Error, ValueError):
        return LOGIN_MALFORMED
    parts = decoded.split(b"\0")
    if len(parts) != 3:
        return LOGIN_MALFORMED
    try:
        return parts[2].decode("utf-8")
    except UnicodeDecodeError:
        return ""
