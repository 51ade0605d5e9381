"""kill -9 of the sender at seeded instants, mail flowing: nothing lost, duplicates only counted.

Three independent counts are compared: what the client was promised, what lies in the mailboxes,
and the final states.
"""

import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack

MOMENTS = (
    "before-claim",
    "after-claim",
    "before-dot",
    "after-dot",
    "after-reply",
    "after-verdict",
)
SEEDS_A_MOMENT = 4
MESSAGES = 30


@dataclass
class Flow:
    """Mail sent one after the other from a thread; `promised` maps recipients to ids."""

    customer: Customer
    run: str
    promised: dict[str, int] = field(default_factory=dict)

    def send(self, count: int) -> None:
        with self.customer.smtp() as session:
            for n in range(count):
                box = f"accept+{self.run}x{n}@{self.customer.domain}"
                if n % 3 == 0:
                    answer = session.docmd("RSET")
                    session.mail(self.customer.sender)
                    session.rcpt(box)
                    code, text = session.data(self.customer.message(box))
                    assert code == 250, (answer, text)
                    self.promised[box] = int(text.rsplit(b" ", 1)[-1])
                else:
                    self.promised |= self.customer.send([box], subject=self.run)


@pytest.fixture
def fault_file(customer: Customer) -> Iterator[Path]:
    path = Path(customer.status["state_dir"]) / "fault"
    yield path
    path.unlink(missing_ok=True)


def _restarts(customer: Customer) -> int:
    found: int = customer.stack.status["processes"]["sender"]["restarts"]
    return found


def _wait_until_well(customer: Customer) -> None:
    wait_for(
        lambda: customer.stack.status["processes"]["sender"]["healthy"],
        within=30,
        what="a healthy sender",
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_nine_at_every_moment_loses_nothing(
    customer: Customer, fault_file: Path, moment: str
) -> None:
    for seed in range(SEEDS_A_MOMENT):
        rng = random.Random(f"{moment}{seed}")
        before = _restarts(customer)
        flow = Flow(customer, uuid.uuid4().hex[:10])
        fault_file.write_text(f"{moment}:{rng.randint(1, MESSAGES // 2)}")
        flow.send(MESSAGES)
        wait_for(lambda before=before: _restarts(customer) > before, what=f"death at {moment}")
        _wait_until_well(customer)
        _the_three_counts_agree(customer, flow)


def test_kill_nine_from_outside_at_any_instant_loses_nothing(customer: Customer) -> None:
    rng = random.Random(20)
    flow = Flow(customer, uuid.uuid4().hex[:10])
    sending = threading.Thread(target=flow.send, args=(60,))
    sending.start()
    for _ in range(3):
        _wait_until_well(customer)
        time.sleep(rng.uniform(0.05, 1.0))  # the seeded instant itself, not a wait for anything
        os.kill(customer.stack.status["processes"]["sender"]["pid"], signal.SIGKILL)
    sending.join(timeout=120)
    _wait_until_well(customer)
    _the_three_counts_agree(customer, flow)


def _the_three_counts_agree(customer: Customer, flow: Flow) -> None:
    records = {
        box: wait_for(
            lambda id_=id_: customer.settled(id_),
            within=90,
            what=f"{box} to be settled: {customer.record(id_)}",
        )
        for box, id_ in flow.promised.items()
    }
    copies = Counter(m["to"] for m in customer.mailbox(f"accept+{flow.run}") if flow.run in m["to"])
    assert set(copies) == set(flow.promised)
    assert {r["state"] for r in records.values()} == {"sent"}
    for box, record in records.items():
        assert 1 <= copies[box] <= 1 + record["uncertain"], record
    duplicates = sum(copies.values()) - len(flow.promised)
    assert duplicates <= sum(r["uncertain"] for r in records.values())


def test_kill_nine_of_the_webhook_receiver_loses_no_webhook(customer: Customer) -> None:
    flow = Flow(customer, uuid.uuid4().hex[:10])
    sending = threading.Thread(target=flow.send, args=(40,))
    sending.start()
    wait_for(lambda: len(flow.promised) > 10, what="mail to flow")
    os.kill(customer.stack.status["processes"]["simulator"]["pid"], signal.SIGKILL)
    sending.join(timeout=120)
    wanted = set(flow.promised.values())

    def told() -> bool:
        try:
            hooks = customer.webhooks()
        except OSError:
            return False  # it is just being restarted
        return wanted <= {
            hook["payload"]["payload"]["message"]["id"]
            for hook in hooks
            if hook["event"] == "MessageSent" and hook["verified"]
        }

    wait_for(told, within=120, what="a MessageSent for every message")
