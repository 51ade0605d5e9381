"""The octets behind DATA: gathered in chunks, ended by CRLF.CRLF and by nothing else.

A bare CR or LF anywhere refuses the message: what one server reads as the end of a message and
another as part of it lets a sender smuggle a second message past the first one's checks.
"""

from collections.abc import Callable

from egress.core.smtp_answer import BARE_NEWLINE, NO_MEMORY, NUL_OCTET, TOO_LARGE, Answer

_END = b"\r\n.\r\n"
_KEPT = len(_END) - 1  # octets of a cut end that may already be there
_LEAD = b"\r\n"  # stands for the CRLF of the DATA line: a lone dot may come first


class Content:
    """Gathers one message of at most `limit` octets, as RFC 1870 counts them.

    `reserve` is asked before memory grows by that many octets and may say no. After a limit is
    hit everything up to the end is read and dropped, so that the reply is in step.
    """

    def __init__(self, limit: int, reserve: Callable[[int], bool]) -> None:
        self._limit = limit
        self._reserve = reserve
        self._octets = bytearray(_LEAD)
        self._refusal: Answer | None = None
        self.held = 0  # octets reserved; whoever made this gives them back

    def feed(self, chunk: bytes) -> bytes | None:
        """Take what came; return what lies behind the end of the message, None before it."""
        self._make_room(len(chunk))
        start = max(0, len(self._octets) - _KEPT)
        self._octets += chunk
        end = self._octets.find(_END, start)
        if end < 0:
            if self._refusal is not None:
                del self._octets[:-_KEPT]
            return None
        rest = bytes(self._octets[end + len(_END) :])
        del self._octets[end + len(_LEAD) :]
        return rest

    def message(self) -> bytes | Answer:
        """Return the message without dot-stuffing (RFC 5321 section 4.5.2), or its refusal.

        Call it after `feed` has seen the end.
        """
        if self._refusal is not None:
            return self._refusal
        octets = self._octets
        if not octets.count(b"\r\n") == octets.count(b"\r") == octets.count(b"\n"):
            return BARE_NEWLINE
        if b"\0" in octets:
            return NUL_OCTET
        message = bytes(octets.replace(b"\r\n.", b"\r\n"))[len(_LEAD) :]
        return message if len(message) <= self._limit else TOO_LARGE

    def _make_room(self, count: int) -> None:
        if self._refusal is not None:
            return
        # Stuffed dots do not count, and the worst message is one of dot lines: 4 octets for 3.
        if len(self._octets) + count > self._limit * 4 // 3 + 65_536:
            self._refusal = TOO_LARGE
        elif self._reserve(count):
            self.held += count
            return
        else:
            self._refusal = NO_MEMORY
        del self._octets[:-_KEPT]
