"""How a reply line looks before it is sent: enhanced status codes, several lines. Pure."""

import re

from localstack.simulator.profiles import Shape

_BARE_REPLY = re.compile(r"([245])\d\d (?![245]\.\d{1,3}\.\d{1,3}\b)")
_ENHANCED = {
    "250": "2.0.0",
    "221": "2.0.0",
    "252": "2.5.2",
    "454": "4.7.0",
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "504": "5.5.4",
    "530": "5.7.0",
    "552": "5.3.4",
    "553": "5.1.3",
    "555": "5.5.4",
}


def dressed(line: str, shape: Shape) -> str:
    """Return `line` with the enhanced status code the library did not give (RFC 2034), and for
    MULTILINE as three lines, without the last line end.
    """
    if _BARE_REPLY.match(line):
        code, _, text = line.partition(" ")
        line = f"{code} {_ENHANCED.get(code, f'{code[0]}.0.0')} {text}"
    if shape is Shape.MULTILINE and line[:1] in set("245"):
        more = f"{line[:3]}-{line[4:].partition(' ')[0]}"
        line = f"{more} one thing first\r\n{more} then another\r\n{line}"
    return line
