"""What a search costs does not depend on how much is stored."""

from collections import Counter
from collections.abc import Callable

import pytest

from mailroom.adapters.dynamo_search import DynamoSearch
from mailroom.adapters.dynamo_statistics import DynamoStatistics
from mailroom.adapters.tables import CounterNamesRow, CounterRow, bound, mail_tables
from mailroom.domain.search_keys import DAY_SECONDS
from mailroom.domain.statistic import Slot, Tally
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.search import MemorySearch
from mailroom.ports.search import By, Search, Span, Where
from mailroom.ports.statistics import Grain, Statistics
from tests.support.many_messages import (
    EACH,
    NOW,
    REGULAR,
    SERVER,
    campaign,
    fill_memory,
    fill_table,
)

MONTH, HOUR = 30.0 * DAY_SECONDS, 3600.0
ALWAYS = Span(NOW - 60 * DAY_SECONDS, NOW + 1)
LIMIT = 10

Fill = Callable[[int, int, float], None]


class Counting:
    """A DynamoDB client that counts calls, and what they returned."""

    def __init__(self, client):
        self._client = client
        self.calls, self.items = [], 0

    def query(self, **asked):
        answer = self._client.query(**asked)
        self.calls.append("query")
        self.items += len(answer["Items"])
        return answer

    def batch_get_item(self, **asked):
        answer = self._client.batch_get_item(**asked)
        self.calls.append("batch_get_item")
        self.items += sum(map(len, answer["Responses"].values()))
        return answer


SEARCHES = {
    "a recipient": Where(SERVER, By.RECIPIENT, REGULAR),
    "the newest": Where(SERVER),
    "a tag": Where(SERVER, By.TAG, "news"),
    "a message id": Where(SERVER, By.MESSAGE_ID, "1010@demo.test"),
}


def costs(search: Search) -> dict[str, float]:
    found = {name: search.newest(where, ALWAYS, limit=LIMIT) for name, where in SEARCHES.items()}
    assert {name: len(page.messages) for name, page in found.items()} == dict.fromkeys(found, LIMIT)
    assert all(page.place is not None for page in found.values())
    return {name: page.units for name, page in found.items()}


def same_costs(fill: Fill, search: Search, few: int, many: int) -> dict[str, float]:
    """Return the units with `few` deliveries stored, after asserting those with `many`."""
    fill(1_000, few // EACH, HOUR)
    cheap = costs(search)
    fill(1_000 + few // EACH, (many - few) // EACH, MONTH)
    assert costs(search) == cheap
    return cheap


def month_of(statistics: Statistics) -> float:
    """Return the units of reading a month of a server's statistics, day by day."""
    today = int(NOW // DAY_SECONDS)
    return statistics.read(Slot(SERVER), Grain.DAY, today - 30, today).units


def tallies(first: int, submissions: int, seconds: float) -> list[Tally]:
    """What the recorder counts of a campaign, a day at a time."""
    days = Counter(
        int(made.accepted_at // DAY_SECONDS) for made, _ in campaign(first, submissions, seconds)
    )
    return [Tally(Slot(SERVER), day * 24, {"sent": n * EACH}) for day, n in days.items()]


@pytest.mark.emulator
def test_a_search_among_50_000_deliveries_costs_what_it_costs_among_1_000(cloud):
    tables = mail_tables(cloud.settings)
    dynamodb = Counting(cloud.client("dynamodb"))

    counters = cloud.settings.resource("table", "counters")
    statistics = DynamoStatistics(bound(CounterRow, counters), bound(CounterNamesRow, counters))
    months = []

    def fill(first: int, submissions: int, seconds: float) -> None:
        fill_table(tables, cloud.client("dynamodb"), first, submissions, seconds)
        statistics.add(tallies(first, submissions, seconds), f"fill {first}")
        months.append(month_of(statistics))

    cheap = same_costs(fill, DynamoSearch(tables, dynamodb), 1_000, 50_000)
    # Half a unit for ten entries of an index, half a unit for each row: ten deliveries, and the
    # submissions that the entries named.
    assert cheap == {
        "a recipient": 0.5 * (1 + 10 + 10),
        "the newest": 0.5 * (1 + 10 + 10),
        "a tag": 0.5 * (1 + 10 + 10),
        "a message id": 0.5 * (1 + 10 + 1),
    }
    assert Counter(dynamodb.calls) == {"query": 8, "batch_get_item": 16}
    assert dynamodb.items == 2 * (30 + 30 + 30 + 12)
    assert months[0] == months[1] > 0


def test_a_search_among_a_million_deliveries_costs_what_it_costs_among_1_000():
    ledger = MemoryLedger()

    def fill(first: int, submissions: int, seconds: float) -> None:
        fill_memory(ledger, first, submissions, seconds)

    cheap = same_costs(fill, MemorySearch(ledger), 1_000, 1_000_000)
    assert cheap["a recipient"] == 0.5 + 20 * 0.5
    assert cheap["the newest"] == 0.5 + 11 * 0.5
