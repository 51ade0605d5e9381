"""kill -9 of the sender at seeded instants, mail flowing: nothing lost, duplicates only counted.

Three independent counts are compared: what the client was promised, what lies in the mailboxes,
and the final states.
"""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from egress.sender.faults import Moment
from tests.support.customer import Customer, wait_for
from tests.support.killing import Victim

pytestmark = pytest.mark.stack

SEEDS_A_MOMENT = 4


@dataclass
class Flow:
    """Mail sent one after the other from a thread; `promised` maps recipients to ids."""

    customer: Customer
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    promised: dict[str, int] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self) -> None:
        with self.customer.smtp() as session:
            while not self.stop.wait(0.15):
                box = f"accept+{self.run}x{len(self.promised)}@{self.customer.domain}"
                if len(self.promised) % 3:
                    self.promised |= self.customer.send([box], subject=self.run)
                    continue
                session.mail(self.customer.sender)
                session.rcpt(box)
                code, text = session.data(self.customer.message(box))
                assert code == 250, text
                self.promised[box] = int(text.rsplit(b" ", 1)[-1])


@contextmanager
def flowing(customer: Customer) -> Iterator[Flow]:
    """Mail flows as long as the block runs; its sending must not have failed."""
    flow = Flow(customer)
    with ThreadPoolExecutor(max_workers=1) as pool:
        sending = pool.submit(flow.send)
        try:
            yield flow
        finally:
            flow.stop.set()
        sending.result(timeout=60)


@pytest.fixture
def sender(customer: Customer) -> Iterator[Victim]:
    victim = Victim(customer.stack, "sender")
    yield victim
    victim.disarm()


def test_kill_nine_at_every_moment_loses_nothing(customer: Customer, sender: Victim) -> None:
    plan = [(moment, seed) for moment in Moment for seed in range(SEEDS_A_MOMENT)]
    random.Random(4711).shuffle(plan)
    with flowing(customer) as flow:
        for moment, seed in plan:
            visits = random.Random(f"{moment}{seed}").randint(1, 6)
            sender.kill_at(moment, visits)
    uncertain = _the_three_counts_agree(customer, flow)
    deaths_with_the_dot_out = SEEDS_A_MOMENT  # the moment after-dot leaves nothing else to know
    assert uncertain >= deaths_with_the_dot_out


def test_kill_nine_from_outside_at_any_instant_loses_nothing(
    customer: Customer, sender: Victim
) -> None:
    rng = random.Random(20)
    with flowing(customer) as flow:
        for _ in range(4):
            time.sleep(rng.uniform(0.05, 1.0))  # the seeded instant itself, no wait for anything
            sender.kill()
    _the_three_counts_agree(customer, flow)


def _the_three_counts_agree(customer: Customer, flow: Flow) -> int:
    """Compare them; return how often a final reply was lost."""

    def settled(box: str) -> tuple[str, dict[str, Any]]:
        id_ = flow.promised[box]
        return box, wait_for(lambda: customer.settled(id_), within=120, what=f"{box} ({id_})")

    with ThreadPoolExecutor(max_workers=4) as pool:
        records = dict(pool.map(settled, flow.promised))
    copies = Counter(m["to"] for m in customer.mailbox(f"accept+{flow.run}") if flow.run in m["to"])
    assert set(copies) == set(flow.promised)
    for box, record in records.items():
        assert record["state"] == "sent", record
        assert 1 <= copies[box] <= 1 + record["uncertain"], record
    duplicates = sum(copies.values()) - len(flow.promised)
    uncertain: int = sum(r["uncertain"] for r in records.values())
    assert duplicates <= uncertain
    return uncertain


def test_kill_nine_of_the_webhook_receiver_loses_no_webhook(customer: Customer) -> None:
    with flowing(customer) as flow:
        wait_for(lambda: len(flow.promised) > 10, what="mail to flow")
        Victim(customer.stack, "simulator").kill()
        wait_for(lambda: len(flow.promised) > 30, what="more mail")

    def told() -> bool:
        try:
            hooks = customer.webhooks()
        except OSError:
            return False  # it is just being restarted
        return set(flow.promised.values()) <= {
            hook["payload"]["message"]["id"]
            for hook in hooks
            if hook["event"] == "MessageSent" and hook["verified"]
        }

    wait_for(told, within=120, what="a MessageSent for every message")
