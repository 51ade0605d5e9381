"""What a submitter asks of delivery reports (RFC 3461): read from parameters, kept as one text."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_ENVELOPE_ID = 100  # characters as written, RFC 3461 section 4.4
MAX_ORIGINAL = 500  # characters as written, RFC 3461 section 4.2
OCCASIONS = ("SUCCESS", "FAILURE", "DELAY")
NEVER = ("NEVER",)

_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})"  # RFC 3461 section 4
_XTEXT_ONLY = re.compile(rf"{_XTEXT}+\Z")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ORIGINAL = re.compile(rf"({_ATOM});({_XTEXT}+)\Z")
# The address type utf-8 may hold characters beyond ASCII as they are (RFC 6533 section 3).
_UNITEXT = re.compile(rf"(?i:utf-8);(?:{_XTEXT}|[\u00a0-\U0010ffff])+\Z")


class MalformedDsnError(ValueError):
    """A parameter is not written as RFC 3461 says."""


@dataclass(frozen=True, slots=True)
class RecipientRequest:
    """What is asked for one recipient. `notify` is () for nothing said, NEVER, or occasions in
    the order of OCCASIONS; `original` is the ORCPT parameter as written ("rfc822;a+2Bb@c.test").
    """

    notify: tuple[str, ...] = ()
    original: str = ""


@dataclass(frozen=True, slots=True)
class DsnRequest:
    """What is asked for a message. `returned` is "", "FULL" or "HDRS"; `envelope_id` is the
    ENVID as written (xtext); `recipients` are by delivery index, fewer mean nothing was asked.
    """

    returned: str = ""
    envelope_id: str = ""
    recipients: tuple[RecipientRequest, ...] = ()

    def of(self, index: int) -> RecipientRequest:
        """Return what is asked for the delivery number `index`."""
        return self.recipients[index] if index < len(self.recipients) else RecipientRequest()


def read_returned(text: str) -> str:
    """Read the value of RET. Raises MalformedDsnError."""
    if text.upper() not in {"FULL", "HDRS"}:
        raise MalformedDsnError("RET is FULL or HDRS")
    return text.upper()


def read_envelope_id(text: str) -> str:
    """Read the value of ENVID; it stays xtext. Raises MalformedDsnError."""
    if len(text) > MAX_ENVELOPE_ID or not _XTEXT_ONLY.match(text):
        raise MalformedDsnError("ENVID is xtext of at most 100 characters")
    return text


def read_notify(text: str) -> tuple[str, ...]:
    """Read the value of NOTIFY. Raises MalformedDsnError."""
    asked = text.upper().split(",")
    if asked == list(NEVER):
        return NEVER
    if len(set(asked)) != len(asked) or not set(asked) <= set(OCCASIONS):
        raise MalformedDsnError("NOTIFY is NEVER or a list of SUCCESS, FAILURE and DELAY")
    return tuple(occasion for occasion in OCCASIONS if occasion in asked)


def read_original(text: str, *, utf8: bool = False) -> str:
    """Read the value of ORCPT; it stays as it is. `utf8` says that SMTPUTF8 was given.

    Raises MalformedDsnError.
    """
    fits = _ORIGINAL.match(text) or (utf8 and _UNITEXT.match(text))
    if len(text) > MAX_ORIGINAL or not fits:
        raise MalformedDsnError("ORCPT is an address type, a semicolon and xtext")
    return text


def dump(request: DsnRequest) -> str:
    """Write compact JSON for `Submission.dsn`; "" when nothing was asked."""
    asked = {
        str(index): _dump_recipient(each)
        for index, each in enumerate(request.recipients)
        if each != RecipientRequest()
    }
    stored = {"ret": request.returned, "envid": request.envelope_id, "rcpt": asked}
    if not any(stored.values()):
        return ""
    kept = {name: value for name, value in stored.items() if value}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def load(text: str) -> DsnRequest:
    """Read what `dump` wrote. Raises ValueError for anything else."""
    if not text:
        return DsnRequest()
    stored = json.loads(text)
    asked = {int(index): each for index, each in stored.get("rcpt", {}).items()}
    recipients: Sequence[RecipientRequest] = [
        RecipientRequest(tuple(asked[i].get("notify", ())), asked[i].get("orcpt", ""))
        if i in asked
        else RecipientRequest()
        for i in range(max(asked, default=-1) + 1)
    ]
    return DsnRequest(stored.get("ret", ""), stored.get("envid", ""), tuple(recipients))


def _dump_recipient(request: RecipientRequest) -> dict[str, object]:
    stored = {"notify": request.notify, "orcpt": request.original}
    return {name: value for name, value in stored.items() if value}
