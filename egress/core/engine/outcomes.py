"""What came of connections and jobs: the engine learns."""

from dataclasses import replace

from egress.core.engine.desk import whose
from egress.core.engine.ground import Ground
from egress.core.engine.path_states import SILENT
from egress.core.engine.paths import Path
from egress.core.engine.ready import Fit
from egress.core.engine.work import Connection, Move, MoveKind, Stage
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.judgement import Category, Judgement, Scope, Verb

_HOST_TROUBLE = frozenset(
    {Category.BAD_CONNECTION, Category.NO_ANSWER, Category.ROUTING_ERRORS, Category.OTHER}
)
SHARED_REFUSALS = 25  # waiting jobs that hear of a failed connection; the others wait unheard
CROWDED_SECONDS = 1.0  # until it is looked again whether one of the hosts has room


class Outcomes(Ground):
    """The part of the engine that hears what happened."""

    def opened(self, connection: Connection, now: float) -> None:
        """Note that a connection has been greeted."""
        path = self.paths.known(connection.path)
        path.control.opened(now)
        connection.stage, connection.since, connection.opened_at = Stage.IDLE, now, now
        if (line := self._line(connection)) is not None:
            line.alive()
        self._dirty[connection.desk] = None

    def reopened(self, connection: Connection, now: float) -> None:
        """Note that a granted connection was of no use, and another one has taken its place."""
        control = self.paths.known(connection.path).control
        control.take_connection(now)
        control.opened(now)
        connection.carried, connection.opened_at = 0, now

    def crowded(self, connection: Connection, now: float) -> None:
        """Note that no host was asked, and let the mail wait a moment.

        They have as many connections from us as they may have, or the trouble is ours.
        """
        line = self._line(connection)
        self.closed(connection)
        if line is not None:
            line.dead_until = max(line.dead_until, now + CROWDED_SECONDS)

    def not_opened(
        self,
        connection: Connection,
        judgement: Judgement,
        reply: SmtpReply,
        now: float,
        *,
        host: str = "",
    ) -> None:
        """Note that none of its hosts let us in, `host` being the last that was asked.

        Mail that waits for the same hosts hears of it.
        """
        path = self.paths.known(connection.path)
        line = self._line(connection)
        blamed = judgement if path.settings.adaptive else _unblamed(judgement)
        # Connections that are being opened beside this one say nothing for the hosts yet.
        speaks = line is None or any(
            each.stage is not Stage.OPENING for each in line.connections.values()
        )
        if path.settings.adaptive and (speaks or not _is_host_trouble(judgement, reply)):
            path.control.not_opened(now, judgement, reply)
        self._blame(path, blamed, reply, None, now)
        if judgement.action(Verb.FORCE_TLS):
            path.require_tls()
        self.closed(connection)
        if line is None or line.connections:
            return
        line.dead(now, self._settings.dead_seconds, self._settings.dead_most)
        told = 0
        key = connection.line
        while told < SHARED_REFUSALS and (job := line.queue.pick(_anything)) is not None:
            reason = f"{reply}"[:300]
            self._leave(
                Move(
                    job, MoveKind.REFUSE, connection.site, key.pool, reason, reply=reply,
                    host=host, address=path.source.id,
                )
            )  # fmt: skip
            told += 1

    def concluded(
        self,
        connection: Connection,
        now: float,
        *,
        judgement: Judgement | None,
        reply: SmtpReply,
        usable: bool,
    ) -> None:
        """Note the reply to a job; `judgement` is None for one that was accepted.

        `usable` says whether the connection can carry another message.
        """
        path = self.paths.known(connection.path)
        if judgement is not None and not path.settings.adaptive:
            judgement = _unblamed(judgement)
        job, slow = self._ended(connection, path, now)
        in_use = len(path.flight.open)
        if judgement is None:
            if not slow:
                path.control.succeeded(now, in_use)
            if (line := self._line(connection)) is not None:
                line.alive()
        else:
            path.control.refused(now, judgement, reply, in_use)
            self._blame(path, judgement, reply, job, now)
            if judgement.action(Verb.MESSAGES_PER_CONNECTION):
                path.control.carried(connection.carried - 1, now)
            usable = usable and not judgement.action(Verb.CLOSE_CONNECTION)
            if judgement.action(Verb.FORCE_TLS) and not path.needs_tls:
                path.require_tls()
                usable = False
        if job is not None:
            silenced = path.control.state in SILENT
            self._world.ended(
                path.source, path.site.provider, judgement, reply, now, silenced=silenced
            )
        self._go_on(connection, now, usable=usable)

    def returned(self, connection: Connection, now: float, *, usable: bool = True) -> None:
        """Note that a granted job was not offered to anybody: held, claimed elsewhere, given up."""
        path = self.paths.known(connection.path)
        job, _ = self._ended(connection, path, now)
        connection.carried -= 1
        if job is not None:
            path.control.refund_message(job.size)
            self._world.unsent(path.source, path.site.provider, now)
        self._go_on(connection, now, usable=usable)

    def _go_on(self, connection: Connection, now: float, *, usable: bool) -> None:
        if usable:
            connection.stage, connection.since = Stage.IDLE, now
            self._dirty[connection.desk] = None
        else:
            self.closed(connection)

    def slow(self, connection: Connection, now: float) -> None:
        """Note that a final dot waits so long that the connection is hot no more.

        It still counts against the limits on connections, because the receiver sees it open.
        """
        if connection.stage is Stage.BUSY and connection.job is not None:
            connection.stage = Stage.SLOW
            self.paths.known(connection.path).control.too_slow(now)
            self._bulk_busy -= connection.job.lane is LaneClass.BULK

    def _ended(
        self, connection: Connection, path: Path, now: float
    ) -> tuple[JobFacts | None, bool]:
        job, slow = connection.job, connection.stage is Stage.SLOW
        connection.job = None
        connection.carried += 1
        if job is not None:
            path.flight.ended(job)
            self._keys.discard(job.key)
            if not slow:
                self._bulk_busy -= job.lane is LaneClass.BULK
                self._feed_starved()
        return job, slow

    def _blame(
        self,
        path: Path,
        judgement: Judgement,
        reply: SmtpReply,
        job: JobFacts | None,
        now: float,
    ) -> None:
        self.bars.apply(
            judgement,
            reply,
            address=path.source.id,
            provider=whose(path.site),
            domain=job.sign_domain if job else "",
            tenant=job.tenant if job else "",
            campaign=job.campaign if job else "",
            now=now,
        )


def _unblamed(judgement: Judgement) -> Judgement:
    """Return a judgement that blames neither the path nor its address for anything."""
    if judgement.scope not in (Scope.PATH, Scope.ADDRESS):
        return judgement
    return replace(judgement, scope=Scope.MESSAGE, actions=())


def _is_host_trouble(judgement: Judgement, reply: SmtpReply) -> bool:
    """Say whether a connection failed because its hosts are down, whoever asks them.

    Other hosts of the site, and other domains that begin with the same one, may be well: the line
    alone is left in peace, not the path.
    """
    return reply.code == 0 or judgement.category in _HOST_TROUBLE


def _anything(_: JobFacts) -> Fit:
    return Fit.NOW
