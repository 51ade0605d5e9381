"""From where we send: the addresses to connect from and the name to greet with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One of our sending addresses (None lets the system choose) and its EHLO name.

    `address6` is where connections to IPv6 addresses come from, `ipv4` is False for a source that
    cannot reach IPv4. `public` and `public6` are how the world sees the two where that differs;
    TLS reports name them.
    """

    ehlo_name: str
    address: str | None = None
    address6: str | None = None
    ipv4: bool = True
    public: str = ""
    public6: str = ""

    @property
    def ipv6(self) -> bool:
        """Say whether IPv6 addresses can be connected to: not from one of IPv4 alone."""
        return self.address6 is not None or self.address is None

    def towards(self, address: str) -> str | None:
        """Return the address of ours from which to connect to `address`."""
        return self.address6 if ":" in address else self.address

    def seen_from(self, address: str) -> str:
        """Return the address that `address` sees us at, "" if we do not know."""
        seen = self.public6 if ":" in address else self.public
        return seen or self.towards(address) or ""
