"""What outlives a process: the states of its paths, and bars, in the control table.

States are written when they have changed, a few seconds later together; bars are shared by all
hosts, so they are read as well. An address is used only when the states of its paths are known.
"""

import asyncio
import logging
from collections.abc import Callable
from math import inf

from egress.core.engine import bars as bar_rows
from egress.core.engine.bars import Bar, BarKey, BarScope
from egress.core.engine.desk import whose
from egress.core.engine.engine import Engine
from egress.core.engine.path_record import PathRecord, PathState
from egress.core.engine.path_record import dump as dump_path
from egress.core.engine.path_record import load as load_path
from egress.core.engine.paths import Path
from egress.sender.persist import until_done
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.tenancy.record import Place, Record
from mailroom.ports.control import Control

BARS = "bar"
PATH_TTL = 30 * 86_400.0
TIDY_SECONDS = 60.0
_MOST = 10_000

log = logging.getLogger(__name__)


class PathMemory:
    """Loads and keeps the states of one process's paths."""

    def __init__(self, control: Control, *, now: Callable[[], float]) -> None:
        """Take the clock in Unix seconds."""
        self._control = control
        self._now = now
        self._written: dict[PathKey, int] = {}
        self._bars: dict[BarKey, Bar] = {}
        self._lifted: set[BarKey] = set()
        self._tidied_at = now()
        self.records: dict[PathKey, PathRecord] = {}
        self.known: set[str] = set()  # addresses whose states have been read

    async def begin(self, engine: Engine, own: str) -> None:
        """Read what must be known before the first mail: the paths of our `own` address, and bars.

        Tries until the paths are read: a restart must not end the silence that was imposed on us.
        """
        if own:
            await until_done(lambda: self.load(own))
        await self.keep(engine)

    async def load(self, address: str) -> None:
        """Read the states of an address's paths. Raises what the table raises."""
        for key, record in await asyncio.to_thread(self._read, address):
            self.records[key] = record
        self.known.add(address)

    def forget(self, address: str) -> None:
        """Drop what belongs to somebody else now."""
        self.known.discard(address)
        for key in [key for key in self.records if key.address == address]:
            del self.records[key]
        for key in [key for key in self._written if key.address == address]:
            del self._written[key]

    def lift(self, engine: Engine, address: str, site: Site) -> None:
        """End what bars an address at the provider of a site; the rows go with the next `keep`."""
        at = BarKey(BarScope.ADDRESS, address, whose(site))
        engine.bars.lift(at)
        self._bars.pop(at, None)
        self._lifted.add(at)

    async def run(self, engine: Engine, every: float) -> None:
        """Write and read until cancelled."""
        while True:
            await asyncio.sleep(every)
            await self.keep(engine)

    async def keep(self, engine: Engine) -> None:
        """Write what has changed, read the bars of all. Trouble is logged; it is tried again."""
        changed = [path for path in engine.paths.all() if self._is_new(path)]
        versions = {path.key: path.control.version for path in changed}
        records = [_path_row(path, self._now()) for path in changed]
        bars = {bar.at: bar for bar in engine.bars.all(self._now())}
        new = [bar for at, bar in bars.items() if self._bars.get(at) != bar]
        try:
            lifted = frozenset(self._lifted)
            await asyncio.to_thread(self._write, records, new, lifted)
            self._written.update(versions)
            found = await asyncio.to_thread(self._read_bars)
        except Exception:
            log.exception("states of paths are not written")
            return
        # What was barred while the table was asked is not in its answer.
        late = {b.at: b for b in engine.bars.all(self._now()) if bars.get(b.at) != b}
        self._lifted -= lifted
        self._bars = {bar.at: bar for bar in found if bar.at not in self._lifted}
        engine.bars.replace({**self._bars, **late}.values())
        self._tidy(engine)

    def _tidy(self, engine: Engine) -> None:
        """Forget what is as good as new: most sites see a message now and then only."""
        now = self._now()
        if now - self._tidied_at < TIDY_SECONDS:
            return
        self._tidied_at = now
        for key in engine.paths.tidy(now, self._is_new):
            self.records.pop(key, None)  # what the table has is newer than what was read
            self._written.pop(key, None)

    def _is_new(self, path: Path) -> bool:
        # What belongs to somebody else now is theirs to write.
        ours = path.key.address in self.known
        return ours and self._written.get(path.key, 0) != path.control.version

    def _write(self, records: list[Record], bars: list[Bar], lifted: frozenset[BarKey]) -> None:
        for at in lifted:
            self._control.delete(Place(BARS, str(at)))
        for record in records:
            self._control.put(record)
        for bar in bars:
            place = Place(BARS, str(bar.at))
            kept = _kept_until(bar.until, self._now())
            self._control.put(Record(place, bar_rows.dump(bar), expires_at=kept))

    def _read(self, address: str) -> list[tuple[PathKey, PathRecord]]:
        page = self._control.page(f"path#{address}", limit=_MOST)
        return [
            (PathKey(address, record.place.sort), load_path(record.body)) for record in page.records
        ]

    def _read_bars(self) -> list[Bar]:
        found = []
        for record in self._control.page(BARS, limit=_MOST).records:
            try:
                found.append(bar_rows.load(record.body))
            except (KeyError, ValueError):
                log.exception("unreadable bar", extra={"bar": record.place.sort})
        return found


def _path_row(path: Path, now: float) -> Record:
    record = path.control.record
    body = {**dump_path(record), "provider": path.site.provider}
    place = Place(f"path#{path.key.address}", path.key.site)
    until = inf if record.until is None and record.state is PathState.DISABLED else record.until
    return Record(place, body, expires_at=_kept_until(until or now, now))


def _kept_until(until: float, now: float) -> float | None:
    """Return when a row may vanish: never while what it says waits for a person."""
    return None if until == inf else max(until, now) + PATH_TTL
