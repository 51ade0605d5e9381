"""Reading command lines (RFC 5321 section 4.1.1). Strict where leniency helps smugglers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from egress.core.smtp_answer import BAD_ARGUMENT, MALFORMED_LINE, Answer

_MAX_PATH = 254  # octets without the brackets, RFC 5321 section 4.5.3.1.3
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPEAK_UTF8 = frozenset({"MAIL", "RCPT"})  # RFC 6531 section 3.3
# Quoted parts may hold spaces and brackets; a source route is read and dropped (appendix C).
_PATH = re.compile(
    r'[ ]*(?:<(?:@[^:<>"\s]+:)?(?P<path>(?:[^<>"\s]|"(?:[^"\\]|\\.)*")*)>'
    r'|(?P<bare>(?:[^<>"\s]|"(?:[^"\\]|\\.)*")+))(?P<rest>[ ].*)?\Z'
)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u00a1-\U0010ffff]+))?\Z")


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
    """Read a line without its CRLF; return the command or the reply that refuses it.

    Printable text only, in UTF-8 where an address may stand and in ASCII everywhere else.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return MALFORMED_LINE
    word, _, argument = text.partition(" ")
    verb = word.upper() if word.isascii() else ""  # the upper case of \u0131 is an ASCII I
    if not verb or _CONTROL.search(text) or not (text.isascii() or verb in _SPEAK_UTF8):
        return MALFORMED_LINE
    return Command(verb, argument.strip(" "))


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
    if len(address.encode()) > _MAX_PATH:
        return malformed
    parameters = _parameters((found["rest"] or "").split(" "))
    return BAD_ARGUMENT if parameters is None else MailPath(address, parameters)


def _parameters(words: list[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for word in filter(None, words):
        found = _PARAMETER.match(word)
        if found is None or found[1].upper() in parameters:
            return None
        name, value = found[1].upper(), found[2] or ""
        if not (value.isascii() or name == "ORCPT"):  # RFC 6533 section 3
            return None
        parameters[name] = value
    return parameters
