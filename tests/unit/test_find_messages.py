"""Finding messages: what is found, how far it was looked, and how it goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.lifecycle import State
from mailroom.domain.message import ServerId
from mailroom.domain.message_filter import MessageFilter
from mailroom.domain.search_keys import DAY_SECONDS
from mailroom.domain.stored_message import Place, dump_cursor
from mailroom.errors import InvalidRequestError
from mailroom.fakes.memory import FixedClock, MemoryLedger
from mailroom.fakes.search import MemorySearch
from mailroom.ports.search import By, Span, Where
from mailroom.usecases.find_messages import (
    LOOK_BACK_SECONDS,
    MAX_LOOKED,
    MAX_LOOKED_AT_ONCE,
    BadCursorError,
    FindPorts,
    Wanted,
    find_messages,
    in_states,
    span_of,
    where_of,
)
from tests.support.many_messages import NOW, SERVER, made_delivery, made_submission

DEFERRED = frozenset({State.DEFERRED})


class Shelf:
    """A ledger with messages, and what finds them."""

    def __init__(self):
        self.ledger = MemoryLedger()
        self.ports = FindPorts(MemorySearch(self.ledger), FixedClock(NOW))

    def add(self, number, at, state=State.SENT, recipient="ann@x.test", **changes):
        made = made_submission(number, at, **changes)
        self.ledger.reserve([made_delivery(made, 0, recipient, state=state)])
        self.ledger.commit(made)

    def fill(self, count, deferred=()):
        """Store messages 1 to `count`, a second apart; the last is the newest."""
        for number in range(1, count + 1):
            state = State.DEFERRED if number in deferred else State.SENT
            self.add(number, NOW - count + number, state)

    def find(self, **wanted):
        return find_messages(Wanted(SERVER, **wanted), self.ports)

    def all(self, **wanted):
        """Return (numbers, the last page) by as many pages as there are."""
        page = self.find(**wanted)
        found = list(numbers(page))
        while page.cursor:
            page = self.find(**wanted, cursor=page.cursor)
            found += numbers(page)
        return found, page


def numbers(page):
    return [message.delivery.key.number for message in page.messages]


@pytest.fixture
def shelf():
    return Shelf()


def test_a_list_is_pages_of_the_newest(shelf):
    shelf.fill(7)
    page = shelf.find(limit=3)
    assert numbers(page) == [7, 6, 5]
    assert not page.is_complete
    assert page.looked_back_to == NOW - 2 + 0.001
    assert numbers(shelf.find(limit=3, cursor=page.cursor)) == [4, 3, 2]
    found, last = shelf.all(limit=3)
    assert found == [7, 6, 5, 4, 3, 2, 1]
    assert last.is_complete
    assert last.looked_back_to == NOW + 60 - LOOK_BACK_SECONDS
    assert last.cursor == ""


def test_nothing_is_a_complete_answer(shelf):
    page = shelf.find()
    assert (page.messages, page.cursor, page.looked_at, page.is_complete) == ((), "", 0, True)


def test_a_filter_looks_at_messages_one_by_one_and_says_how_many(shelf):
    shelf.fill(300, deferred={5, 250, 251})
    page = shelf.find(filter=MessageFilter(states=DEFERRED), limit=2)
    assert numbers(page) == [251, 250]
    assert page.looked_at == 51
    assert page.looked_back_to == NOW - 50 + 0.001
    rest = shelf.find(filter=MessageFilter(states=DEFERRED), limit=2, cursor=page.cursor)
    assert numbers(rest) == [5]
    assert (rest.looked_at, rest.is_complete, rest.cursor) == (300, True, "")


def test_a_page_looks_at_a_bounded_number_and_a_search_at_a_bounded_number_in_all(shelf):
    shelf.fill(MAX_LOOKED + 500, deferred={200, 9_000})
    wanted = {"filter": MessageFilter(states=DEFERRED)}
    first = shelf.find(**wanted)
    assert numbers(first) == [9_000]
    assert first.looked_at == MAX_LOOKED_AT_ONCE
    found, last = shelf.all(**wanted)
    assert found == [9_000]
    assert (last.looked_at, last.cursor, last.is_complete) == (MAX_LOOKED, "", False)
    # Who wants to know what was before that asks for it.
    before, last = shelf.all(**wanted, until=last.looked_back_to)
    assert before == [200]
    assert last.is_complete


def test_a_cursor_that_has_used_up_its_looks_gives_nothing_more(shelf):
    shelf.fill(5)
    cursor = dump_cursor(Place(round(NOW * 1000), 9, 0), MAX_LOOKED)
    page = shelf.find(filter=MessageFilter(states=frozenset({State.SENT})), cursor=cursor)
    assert (page.messages, page.cursor, page.is_complete) == ((), "", False)
    assert numbers(shelf.find(cursor=cursor)) == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("cursor", ["x", "MS4xLjEuMS4", "\u00e4", "a" * 500])
def test_a_cursor_that_no_page_gave_is_refused(shelf, cursor):
    with pytest.raises(BadCursorError):
        shelf.find(cursor=cursor)


def test_an_index_is_asked_for_the_fewest_and_the_rest_is_looked_at(shelf):
    shelf.add(1, NOW - 3, tag="may", subject="one")
    shelf.add(2, NOW - 2, tag="may", recipient="bob@x.test", subject="two")
    shelf.add(3, NOW - 1, tag="june", subject="three")
    shelf.add(4, NOW, tag="may", server=ServerId("bbbbbbbbbb"))
    both = MessageFilter(recipient="ANN@x.test", tag="may")
    assert where_of(Wanted(SERVER, both)) == Where(SERVER, By.RECIPIENT, "ANN@x.test")
    assert shelf.all(filter=both)[0] == [1]
    assert shelf.all(filter=MessageFilter(tag="may"))[0] == [2, 1]
    assert shelf.all(filter=MessageFilter(tag="may", subject="TWO"))[0] == [2]
    assert shelf.all(filter=MessageFilter(message_id="<3@demo.test>"))[0] == [3]
    assert shelf.all(filter=MessageFilter(message_id="3@demo.test", tag="may"))[0] == []


def test_ranges(shelf):
    shelf.fill(9)
    assert shelf.all(since=NOW - 4, until=NOW - 2)[0] == [6, 5]
    with pytest.raises(InvalidRequestError, match="ends before"):
        shelf.find(since=NOW, until=NOW - 1)
    with pytest.raises(InvalidRequestError, match="400 days"):
        shelf.find(since=NOW - 401 * DAY_SECONDS)
    with pytest.raises(InvalidRequestError, match="400 days"):
        shelf.find(since=1.0, filter=MessageFilter(tag="a"))
    # A recipient's index has no days: there is nothing to spare.
    assert shelf.all(since=1.0, filter=MessageFilter(recipient="ann@x.test"))[0][:1] == [9]
    assert span_of(Wanted(SERVER, MessageFilter(recipient="a@x.test")), NOW) == Span(0, NOW + 60)
    assert span_of(Wanted(SERVER, until=NOW * 2), NOW).until == NOW + 60


def test_states_are_narrowed():
    sent = Wanted(SERVER, MessageFilter(states=frozenset({State.SENT, State.HELD})))
    assert in_states(sent, frozenset({State.HELD})).filter.states == {State.HELD}
    assert in_states(Wanted(SERVER), DEFERRED).filter.states == DEFERRED


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9), st.integers(1, 100))
def test_pages_of_any_size_find_the_same(deferred, limit, other):
    shelf = Shelf()
    shelf.fill(len(deferred), {number for number, is_so in enumerate(deferred, 1) if is_so})
    expected = [number for number in range(len(deferred), 0, -1) if deferred[number - 1]]
    for size in (limit, other):
        found, last = shelf.all(filter=MessageFilter(states=DEFERRED), limit=size)
        assert found == expected
        assert (last.looked_at, last.is_complete) == (len(deferred), True)
