"""What the checks of sending domains need from the world: the DNS, SPF and keys."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mailroom.domain.dns.answers import DnsAnswer, Question
from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.dns.spf import SpfAnswer


class AuthoritativeDns(Protocol):
    """The DNS as its owners publish it at this moment, not as a cache remembers it."""

    def ask(self, question: Question) -> DnsAnswer:
        """Return what the servers of the name's zone answer. A failure is an answer too.

        Aliases are followed, except for a question about the CNAME itself.
        """


class SpfChecker(Protocol):
    """Evaluates SPF records (RFC 7208)."""

    def evaluate(self, domain: str, include: str, addresses: Sequence[str]) -> SpfAnswer:
        """Return the worst result for mail from `domain` sent from `addresses`.

        Also says whether the evaluation comes to the record of `include`; without addresses it is
        made for one that is nobody's.
        """


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """A DKIM key: `private` is PKCS#8 DER, `public` the p= value of its record in base64."""

    kind: KeyKind
    bits: int
    public: str
    private: bytes = field(repr=False)


class DkimKeys(Protocol):
    """Makes and reads DKIM keys."""

    def generate(self, kind: KeyKind, bits: int = 2048) -> KeyMaterial:
        """Make a key; `bits` is for RSA. Raises ValueError for a size that is not offered."""

    def inspect(self, private: bytes) -> KeyMaterial:
        """Read a private key in PEM or DER, whole and sound.

        Raises ValueError, worded for the tenant, for anything that is no RSA key of 1,024 to 4,096
        bits nor an Ed25519 key, is encrypted, or has a weak exponent.
        """
