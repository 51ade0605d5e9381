"""Two hundred messages over the simulator's behaviours: each ends as its behaviour implies."""

import uuid
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.support.customer import FINAL, Customer, wait_for

pytestmark = pytest.mark.stack


@dataclass(frozen=True)
class Expected:
    """How a recipient's delivery ends: its state, copies in the mailbox, Postal's last word."""

    address: str
    state: str
    copies: int
    word: str
    uncertain: int = 0


BEHAVIOURS = (
    Expected("accept+{n}@sim.test", "sent", 1, "MessageSent"),
    Expected("hard-bounce+{n}@sim.test", "bounced", 0, "MessageDeliveryFailed"),
    Expected("soft-bounce+{n}@sim.test", "bounced", 0, "MessageDeliveryFailed"),
    Expected("greylist+{n}@sim.test", "sent", 1, "MessageSent"),
    Expected("drop-after-dot+{n}@sim.test", "sent", 2, "MessageSent", uncertain=1),
    Expected("slow+1s{n}@sim.test", "sent", 1, "MessageSent"),
    Expected("reject-data+{n}@sim.test", "bounced", 0, "MessageDeliveryFailed"),
    Expected("a+{n}@failover.sim.test", "sent", 1, "MessageSent"),
    Expected("a+{n}@nomx.sim.test", "sent", 1, "MessageSent"),
    Expected("a+{n}@cname.sim.test", "sent", 1, "MessageSent"),
    Expected("a+{n}@nullmx.sim.test", "bounced", 0, "MessageDeliveryFailed"),
    Expected("a+{n}@no-such-domain.sim.test", "bounced", 0, "MessageDeliveryFailed"),
    Expected("a+{n}@private.sim.test", "bounced", 0, "MessageDeliveryFailed"),
    Expected("defer+{n}@sim.test", "deferred", 0, "MessageDelayed"),
    Expected("a+{n}@busy.sim.test", "deferred", 0, "MessageDelayed"),
    Expected("a+{n}@servfail.sim.test", "deferred", 0, "MessageDelayed"),
)
MESSAGES = 200
HEARD = {"DNS", "MAIL", "RCPT", "DATA", "."}  # phases of tries that count


def test_two_hundred_messages_end_as_their_behaviour_implies(customer: Customer) -> None:
    run = uuid.uuid4().hex[:8]
    expected = {}
    for n in range(MESSAGES):
        behaviour = BEHAVIOURS[n % len(BEHAVIOURS)]
        expected[behaviour.address.format(n=f"{run}x{n}")] = behaviour
    ids: dict[str, int] = {}
    addresses = list(expected)
    for start in range(0, MESSAGES, 20):
        ids |= customer.send(addresses[start : start + 20], subject=f"run {run}")
    assert len(ids) == MESSAGES

    records = {}
    for address, id_ in ids.items():
        behaviour = expected[address]
        records[address] = wait_for(
            lambda id_=id_, behaviour=behaviour: _as_implied(customer, id_, behaviour),
            within=120,
            what=f"{address} to become {behaviour.state}: {customer.record(id_)}",
        )
    _mailboxes_agree(customer, run, expected)
    for address, record in records.items():
        _history_is_complete_and_ordered(record, expected[address])
    _webhooks_arrived(customer, ids, expected)


def _as_implied(customer: Customer, id_: int, behaviour: Expected) -> dict[str, object] | None:
    record = customer.record(id_)
    told = [event["type"] for event in record["events"]]
    if record["state"] in FINAL:
        assert record["state"] == behaviour.state, record
    elif behaviour.state not in FINAL and "deferred" in told:
        return record
    return record if record["state"] == behaviour.state and behaviour.state in told else None


def _mailboxes_agree(customer: Customer, run: str, expected: dict[str, Expected]) -> None:
    copies = Counter(message["to"] for message in customer.mailbox("") if run in message["to"])
    assert {a: copies[a] for a in expected} == {a: b.copies for a, b in expected.items()}


def _history_is_complete_and_ordered(record: dict[str, object], behaviour: Expected) -> None:
    events = record["events"]
    assert isinstance(events, list)
    assert events[0]["type"] == "accepted"
    assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    # What waits for a path that is closed has been offered to nobody.
    tries = [e for e in events if e["type"] != "accepted" and e["attempt"] is not None]
    assert [e["attempt"] for e in tries] == sorted(e["attempt"] for e in tries)
    # Nor has what was tried and not let in; what is not an answer to MAIL or later does not count.
    attempts = [e for e in tries if e["phase"] in HEARD]
    assert [e["attempt"] for e in attempts] == list(range(1, len(attempts) + 1))
    assert record["uncertain"] == behaviour.uncertain
    if behaviour.state in FINAL:
        assert record["attempts"] == len(attempts)


def _webhooks_arrived(
    customer: Customer, ids: dict[str, int], expected: dict[str, Expected]
) -> None:
    by_id = {id_: expected[address] for address, id_ in ids.items()}

    def all_told() -> bool:
        hooks = customer.webhooks()
        assert all(hook["verified"] for hook in hooks)
        told = {
            (hook["payload"]["message"]["id"], hook["event"])
            for hook in hooks
            if "message" in hook["payload"]
        }
        return all((id_, behaviour.word) in told for id_, behaviour in by_id.items())

    wait_for(all_told, within=60, what="every webhook")
