"""What a Lambda function takes and gives at most, enforced by us, since no emulator does.

AWS refuses a larger event before our code sees it, and takes a larger answer for a failure of the
function. Source: AWS, "Lambda quotas", invocation payload, synchronous: 6 MB each way.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_EVENT = 6 * 1024 * 1024  # octets
ENVELOPE = 16 * 1024  # octets of an event or an answer that are not its body
_LONGEST = 6  # octets that one character may take in JSON: \\u0000, or four in UTF-8


@dataclass(frozen=True, slots=True)
class Passage:
    """The way to the app and back. `elsewhere` gives the base URL of another one that takes larger
    bodies, "" if there is none; it is asked when a body is refused and not before.
    """

    elsewhere: Callable[[], str] = str
    octets: int = MAX_EVENT

    def lets_through(self, body: Any) -> bool:
        """Say whether `body` (text, as it stands in the event or answer, or None) fits."""
        limit = self.octets - ENVELOPE
        if not isinstance(body, str) or len(body) * _LONGEST <= limit:
            return True
        return len(body) <= limit and json_octets(body) <= limit

    def request_refused(self) -> str:
        """Return the sentence for a request that is too large."""
        url = self.elsewhere()
        where = f"Send it to {url}, same path and key" if url else "Send large mail over SMTP"
        return f"The request is larger than the {_shown(self.octets)} that pass here. {where}."

    def answer_refused(self) -> str:
        """Return the sentence for an answer that is too large."""
        url = self.elsewhere()
        where = f"Ask {url}, same path and key" if url else "Ask for less at a time"
        return f"The answer is larger than the {_shown(self.octets)} that pass here. {where}."


def json_octets(text: str) -> int:
    """Return the length of `text` as a JSON string in UTF-8."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _shown(octets: int) -> str:
    return f"{octets / (1024 * 1024):g} MB"
