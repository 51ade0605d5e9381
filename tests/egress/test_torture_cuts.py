"""Torture: a whole session cut at every octet, or anywhere, gets the same replies and stores the
same mail; and the tables of this suite are as long as they have to be."""

import asyncio
import itertools
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.egress import (
    test_torture_chunks,
    test_torture_encoding,
    test_torture_lengths,
    test_torture_login,
    test_torture_order,
    test_torture_parameters,
    test_torture_pipelining,
    test_torture_proxy,
    test_torture_slow,
    test_torture_tls,
)
from tests.egress.submission_stand import CALM, MESSAGE, Stand, until
from tests.support.submission_torture import MAIL, OPEN, WHOLE, Case, stand_for

DOTTED = MESSAGE + b"..\r\n.x\r\n\r\n"
SESSION = (
    b"EHLO app.test\r\n"
    + WHOLE
    + b"NOOP\nBOGUS\r\n"  # two errors: what follows must stay in step
    + MAIL
    + b"RCPT TO:<nobody>\r\nDATA\r\nRSET\r\n"
    + OPEN
    + b"BDAT 20\r\n"
    + DOTTED[:20]
    + b"BDAT %d LAST\r\n" % (len(DOTTED) - 20)
    + DOTTED[20:]
    + OPEN
    + b"DATA\r\nbare\nline\r\n.\r\n"
    + b"QUIT\r\n"
)


async def transcript(stand: Stand, pieces: Iterable[bytes]) -> list[str]:
    """Send a session in `pieces`, each read before the next is sent; return the replies' codes."""
    client = await stand.client()
    for piece in pieces:
        client.send(piece)
        for _ in range(4):  # turns of the event loop: the server shares it with us
            await asyncio.sleep(0)
    said = [await client.reply()]
    while said[-1]:
        said.append(await client.reply())
    client.hang_up()
    stand.clients.remove(client)
    return [each[:9] if each[:3] != "354" else "354" for each in said]


def cut(at: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(at), len(SESSION)]
    return [SESSION[start:end] for start, end in itertools.pairwise(edges)]


async def results(cuts: Iterable[Sequence[int]]) -> list[tuple[list[str], list[bytes]]]:
    """What the server says and stores for each way to cut the session."""
    found: list[tuple[list[str], list[bytes]]] = []
    async with stand_for(Case("cuts", b"", known=True)).listening() as stand:
        for at in cuts:
            stand.parcels.clear()
            said = await transcript(stand, cut(at))
            await until(lambda: not stand.office.sessions)
            assert stand.office.held.held == 0
            stored = [each.raw.partition(b"\r\nFrom: ")[2] for each in stand.parcels]
            found.append((said, stored))
    return found


async def test_where_a_session_is_cut_does_not_matter() -> None:
    whole, *others = await results([[], *([at] for at in range(1, len(SESSION)))])
    said, stored = whole
    assert said[-2:] == ["221 2.0.0", ""]
    assert said.count("250 2.0.0") == 4  # two messages, RSET and the first chunk
    assert stored == [MESSAGE[6:], DOTTED[6:]]
    wrong = [at for at, other in enumerate(others, 1) if other != whole]
    assert wrong == []


async def test_a_session_may_come_octet_by_octet() -> None:
    whole, dripped = await results([[], range(1, len(SESSION))])
    assert dripped == whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, len(SESSION) - 1), max_size=12, unique=True))
def test_a_session_may_come_in_any_pieces(at: list[int]) -> None:
    whole, other = asyncio.run(results([[], at]))
    assert other == whole


def test_the_suite_has_its_cases() -> None:
    tables = [
        test_torture_order.CASES,
        test_torture_lengths.CASES,
        test_torture_encoding.CASES,
        test_torture_pipelining.CASES,
        test_torture_chunks.CASES,
        test_torture_login.CASES,
        test_torture_parameters.CASES,
        test_torture_proxy.CASES,
        test_torture_tls.CASES,
    ]
    names = [case.name for table in tables for case in table]
    assert len(set(names)) == len(names) >= 120
    assert len(test_torture_slow.DRIPS) >= 15
    assert CALM.login_failures == 3  # which some tables count on
