"""The paths of this process: each source address towards each site it sends to."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from egress.core.engine.desk import InFlight
from egress.core.engine.gcra import Gcra
from egress.core.engine.path_control import PathControl
from egress.core.engine.work import Connection
from egress.core.engine.world import World
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings, TlsUse
from mailroom.domain.sending.source import AddressState, SourceAddress


class Path:
    """One path: its settings, its controller, what is under way on it."""

    __slots__ = (
        "control", "flight", "key", "limiter", "needs_tls", "settings", "site", "source"
    )  # fmt: skip

    def __init__(
        self,
        source: SourceAddress,
        site: Site,
        settings: PathSettings,
        control: PathControl,
        limiter: Gcra,
    ) -> None:
        self.key = PathKey(source.id, site.key)
        self.source = source
        self.site = site
        self.settings = settings
        self.control = control
        self.limiter = limiter
        self.flight = InFlight()
        self.needs_tls = False

    def configure(self, settings: PathSettings) -> None:
        """Take other settings. What a receiver refused in the clear stays out of it."""
        is_plain = settings.tls in (TlsUse.OPPORTUNISTIC, TlsUse.NONE)
        self.settings = (
            replace(settings, tls=TlsUse.REQUIRED) if self.needs_tls and is_plain else settings
        )

    def require_tls(self) -> None:
        """Have no more connections without TLS: the receiver wants it."""
        self.needs_tls = True
        self.configure(self.settings)

    def earliest(self, now: float, usable: float) -> float:
        """Return when the next message may go, `usable` being when the path is open."""
        return max(usable, self.control.earliest_message(now, 0), self.limiter.earliest(now))

    def take(self, now: float, size: int) -> None:
        """Count a message of `size` octets."""
        self.control.take_message(now, size)
        self.limiter.take(now)

    @property
    def load(self) -> tuple[float, float]:
        """How loaded it is for its weight: where the next connection goes, the lesser first."""
        weight = max(1, self.source.weight)
        return (len(self.flight.open) + 1) / weight, self.flight.begun / weight


class Paths:
    """All paths that were used, and what addresses do over all their sites."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._paths: dict[PathKey, Path] = {}
        self._limiters: dict[str, Gcra] = {}
        self._limits: dict[str, AddressLimits] = {}
        self._open: dict[str, int] = defaultdict(int)

    def of(self, source: SourceAddress, site: Site, now: float) -> Path:
        """Return the path from `source` to `site`, with what is remembered of it."""
        key = PathKey(source.id, site.key)
        path = self._paths.get(key)
        if path is None:
            settings = self._world.settings(site, source)
            warm = source.state is not AddressState.COLD
            record = self._world.record(key)
            control = PathControl(key, settings, now, record, warm)
            path = Path(source, site, settings, control, self._limiter(source, now))
            self._paths[key] = path
        return path

    def known(self, key: PathKey) -> Path:
        """Return a path that was used before. Raises KeyError."""
        return self._paths[key]

    def find(self, key: PathKey) -> Path | None:
        """Return a path if it was used before."""
        return self._paths.get(key)

    def may_connect(self, source: SourceAddress) -> bool:
        """Say whether an address may have one more connection, over all sites."""
        most = self._limits[source.id].connections
        return most is None or self._open[source.id] < most

    def opened(self, path: Path, connection: Connection) -> None:
        """Count a connection in."""
        path.flight.open[connection.number] = connection
        self._open[path.source.id] += 1

    def closed(self, path: Path, connection: Connection) -> None:
        """Count a connection out."""
        if path.flight.open.pop(connection.number, None) is not None:
            self._open[path.source.id] -= 1

    def reconfigure(self, now: float) -> None:
        """Take the settings and sources as they are now."""
        self._limits.clear()
        for path in self._paths.values():
            path.configure(self._world.settings(path.site, path.source))
            path.control.reconfigure(path.settings, now)
            self._limiter(path.source, now)

    def renew(self, source: SourceAddress) -> None:
        """Take what is known of an address as it is now."""
        for path in self._paths.values():
            if path.source.id == source.id:
                path.source = source

    def _limiter(self, source: SourceAddress, now: float) -> Gcra:
        limits = self._limits[source.id] = self._world.address_limits(source)
        limiter = self._limiters.get(source.id)
        if limiter is None:
            limiter = self._limiters[source.id] = Gcra(limits.message_rate)
        else:
            limiter.change(limits.message_rate, now)
        return limiter

    def all(self) -> tuple[Path, ...]:
        """Return all paths that were used."""
        return tuple(self._paths.values())

    def tidy(self, now: float, spare: Callable[[Path], bool]) -> list[PathKey]:
        """Forget the paths that are as good as never used, except those to `spare`; return them."""
        gone = [
            key
            for key, path in self._paths.items()
            if not path.flight.open and path.control.forgettable(now) and not spare(path)
        ]
        for key in gone:
            del self._paths[key]
        return gone

    def forget(self, address: str) -> None:
        """Forget the paths of an address that somebody else has now."""
        for key in [key for key in self._paths if key.address == address]:
            if not self._paths[key].flight.open:
                del self._paths[key]
