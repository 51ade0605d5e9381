"""The connection pool: what is kept, what is shared, what is tried next."""

import asyncio
from dataclasses import replace

import pytest

from egress.connections import ConnectionPool, PoolSettings, Source
from egress.core.mx import MxAnswer, MxTarget, refused
from egress.session import Session, Timeouts, TlsPolicy
from mailroom.domain.relay import Relay
from mailroom.domain.reply import SmtpReply
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening

SOURCE = Source("out.example.com", "127.0.0.1")
MESSAGE = b"From: a@example.com\r\n\r\nx\r\n"
TLS_OFFER = b"250-mx\r\n250 STARTTLS\r\n"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_pool(clock: Clock | None = None, **settings: object) -> ConnectionPool:
    return ConnectionPool(replace(PoolSettings(), **settings), clock=clock or Clock())  # type: ignore[arg-type]


def answer(*mxs: ScriptedMx) -> MxAnswer:
    return MxAnswer(tuple(mx.target(f"mx{n}.test") for n, mx in enumerate(mxs)))


async def send(
    pool: ConnectionPool, to: MxAnswer, *, source: Source = SOURCE, fresh: bool = False
) -> SmtpReply:
    async with pool.session(to, source=source, fresh=fresh) as session:
        if isinstance(session, SmtpReply):
            return session
        return await session.transact(
            "b@example.com", "ann@example.org", MESSAGE, before_dot=nothing
        )


async def nothing() -> None:
    pass


async def until(condition: asyncio.Event) -> None:
    await asyncio.wait_for(condition.wait(), 5)


async def test_a_connection_is_kept_and_used_again() -> None:
    mx, pool = ScriptedMx(), a_pool()
    async with listening(mx):
        assert [(await send(pool, answer(mx))).code for _ in range(3)] == [250] * 3
        assert pool.idle == 1
        await pool.close()
    assert mx.connections == 1
    assert mx.verbs()[-1] == "QUIT"


async def test_domains_of_one_site_share_connections_and_sources_do_not() -> None:
    mx, pool = ScriptedMx(), a_pool()
    async with listening(mx):
        await send(pool, answer(mx))
        await send(pool, MxAnswer(answer(mx).targets, ttl=1))
        assert mx.connections == 1
        await send(pool, answer(mx), source=Source("other.example.com", "127.0.0.1"))
        assert mx.connections == 2
        await pool.close()


async def test_a_connection_serves_only_so_many_messages() -> None:
    mx, pool = ScriptedMx(), a_pool(messages=2)
    async with listening(mx):
        for _ in range(5):
            await send(pool, answer(mx))
        assert mx.connections == 3
        await pool.close()


async def test_an_old_connection_is_not_used_again() -> None:
    mx, clock = ScriptedMx(), Clock()
    pool = a_pool(clock, age=60)
    async with listening(mx):
        await send(pool, answer(mx))
        clock.now += 61
        await send(pool, answer(mx))
        await pool.close()
    assert mx.connections == 2


async def test_a_connection_grown_old_in_use_is_not_kept() -> None:
    mx, clock = ScriptedMx(), Clock()
    pool = a_pool(clock, age=60)
    async with listening(mx):
        async with pool.session(answer(mx), source=SOURCE):
            clock.now += 61
        assert pool.idle == 0
        await until(mx.ended)


async def test_an_idle_connection_is_closed_and_forgotten() -> None:
    mx, pool = ScriptedMx(), a_pool(idle=0.01)
    async with listening(mx):
        await send(pool, answer(mx))
        await until(mx.ended)
    assert mx.verbs()[-1] == "QUIT"
    assert pool.idle == 0
    assert pool._lanes == {}


async def test_a_broken_session_is_not_kept() -> None:
    mx, pool = ScriptedMx({"RCPT": b"421 bye\r\n"}), a_pool()
    async with listening(mx):
        assert (await send(pool, answer(mx))).code == 421
    assert pool.idle == 0


async def test_one_connection_at_a_time_means_waiting_in_line() -> None:
    mx, pool = ScriptedMx(), a_pool(connections=1)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with pool.session(answer(mx), source=SOURCE):
            entered.set()
            await leave.wait()

    async with listening(mx):
        holder = asyncio.create_task(hold())
        await until(entered)
        others = [asyncio.create_task(send(pool, answer(mx))) for _ in range(3)]
        done, _ = await asyncio.wait(others, timeout=0.05)
        assert not done
        leave.set()
        assert [reply.code for reply in await asyncio.gather(*others)] == [250] * 3
        await holder
        await pool.close()
    assert mx.connections == 1


async def test_a_waiter_who_gives_up_leaves_the_line_intact() -> None:
    mx, pool = ScriptedMx(), a_pool(connections=1)
    async with listening(mx):
        async with pool.session(answer(mx), source=SOURCE):
            waiter = asyncio.create_task(send(pool, answer(mx)))
            await asyncio.wait([waiter], timeout=0.01)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
        assert (await send(pool, answer(mx))).code == 250
        await pool.close()


@pytest.mark.parametrize("trouble", [b"421 4.3.2 busy\r\n", b"554 5.7.1 no\r\n", HANG_UP])
async def test_the_next_host_is_tried_when_one_does_not_greet(trouble: bytes) -> None:
    bad, good, pool = ScriptedMx({"banner": trouble}), ScriptedMx(), a_pool()
    async with listening(bad), listening(good):
        async with pool.session(answer(bad, good), source=SOURCE) as session:
            assert isinstance(session, Session)
            assert session.target.host == "mx1.test"
        await pool.close()


async def test_when_all_refuse_the_one_who_spoke_is_quoted() -> None:
    first, second = (
        ScriptedMx({"banner": b"554 5.7.1 you again\r\n"}),
        ScriptedMx({"banner": HANG_UP}),
    )
    async with listening(first), listening(second):
        reply = await send(a_pool(), answer(first, second))
    assert (reply.code, reply.phase) == (554, "banner")


async def test_an_address_is_tried_once_however_many_hosts_have_it() -> None:
    mx, pool = ScriptedMx({"banner": b"421 no\r\n"}), a_pool()
    async with listening(mx):
        await send(pool, MxAnswer(tuple(mx.target(f"mx{n}.test") for n in range(40))))
    assert mx.connections == 1


async def test_no_more_than_five_addresses_are_tried() -> None:
    pool = a_pool()
    refusing = [ScriptedMx({"banner": b"421 no\r\n"}) for _ in range(7)]
    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()

        async def serve(one: ScriptedMx, ready: asyncio.Event) -> None:
            async with listening(one):
                ready.set()
                await done.wait()

        for one in refusing:
            ready = asyncio.Event()
            group.create_task(serve(one, ready))
            await until(ready)
        await send(pool, answer(*refusing))
        done.set()
    assert [one.connections for one in refusing] == [1] * 5 + [0] * 2


async def test_a_refusal_of_the_resolver_is_passed_on() -> None:
    reply = await send(a_pool(), refused(556, "5.1.10 null MX"))
    assert reply == SmtpReply(556, "5.1.10 null MX", "DNS")


async def test_a_broken_starttls_is_remembered_for_a_while() -> None:
    mx, clock = ScriptedMx({"EHLO": TLS_OFFER}), Clock()
    timeouts = replace(Timeouts(), starttls=0.5)
    pool = a_pool(clock, timeouts=timeouts, messages=1, broken_tls=100)
    async with listening(mx):
        await send(pool, answer(mx))
        assert (mx.connections, mx.verbs().count("STARTTLS")) == (2, 1)
        await send(pool, answer(mx))
        assert (mx.connections, mx.verbs().count("STARTTLS")) == (3, 1)
        clock.now += 101
        await send(pool, answer(mx))
        assert (mx.connections, mx.verbs().count("STARTTLS")) == (5, 2)
        await pool.close()


async def test_fresh_drops_the_idle_ones_and_opens_anew() -> None:
    mx, pool = ScriptedMx(), a_pool()
    async with listening(mx):
        await send(pool, answer(mx))
        await send(pool, answer(mx), fresh=True)
        assert (mx.connections, pool.idle) == (2, 1)
        await pool.close()


async def test_an_error_in_the_callers_block_keeps_a_sound_session() -> None:
    mx, pool = ScriptedMx(), a_pool()
    async with listening(mx):
        with pytest.raises(ZeroDivisionError):
            async with pool.session(answer(mx), source=SOURCE):
                raise ZeroDivisionError
        assert pool.idle == 1
        await pool.close()


async def test_a_session_given_back_after_close_is_not_kept() -> None:
    mx, pool = ScriptedMx(), a_pool()
    async with listening(mx):
        async with pool.session(answer(mx), source=SOURCE):
            await pool.close()
        assert pool.idle == 0
        await until(mx.ended)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_connection_comes_from_the_source_of_its_family(address: str) -> None:
    mx, pool = ScriptedMx(), a_pool()
    source = Source("out.example.com", "127.0.0.2", "::1")
    async with listening(mx, at=address):
        to = MxAnswer((MxTarget("mx.test", address, mx.port),))
        assert (await send(pool, to, source=source)).code == 250
        assert mx.writer is not None
        peer = mx.writer.get_extra_info("peername")[0]
        await pool.close()
    assert peer == ("::1" if address == "::1" else "127.0.0.2")


async def test_an_ipv6_only_host_is_tried_after_one_that_is_not_there() -> None:
    mx, gone, pool = ScriptedMx(), ScriptedMx(), a_pool()
    async with listening(gone):
        pass
    async with listening(mx, at="::1"):
        to = MxAnswer((gone.target(), MxTarget("mx6.test", "::1", mx.port)))
        source = Source("out.example.com", "127.0.0.1", "::1")
        assert (await send(pool, to, source=source)).code == 250
        await pool.close()


async def test_broken_tls_of_a_host_is_no_excuse_for_a_relay_that_requires_it() -> None:
    mx, pool = ScriptedMx({"EHLO": TLS_OFFER}), a_pool(timeouts=replace(Timeouts(), starttls=0.5))
    async with listening(mx):
        assert (await send(pool, answer(mx))).code == 250  # in plain text, and remembered
        required = replace(answer(mx), relay=Relay("mx0.test", mx.port, TlsPolicy.REQUIRED))
        reply = await send(pool, required)
        await pool.close()
        await mx.quiet()
    assert (reply.code, reply.phase) == (0, "STARTTLS")
    assert len(mx.messages) == 1
