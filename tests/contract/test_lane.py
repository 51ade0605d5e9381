"""The hand-over belt: fake and adapter keep the same promises."""

import pytest

from mailroom.adapters.gathered_ledger import GatheredLane
from mailroom.adapters.sqs_lane import SqsLane, load_wake_up
from mailroom.domain.message import DeliveryKey, ServerId, WakeUp
from mailroom.errors import HandOverError
from mailroom.fakes.memory import MemoryLane

SERVER = ServerId("abcdefghij")
WAKE_UPS = [WakeUp(DeliveryKey(SERVER, 5, n), n, f"grüße+{n}@x.test") for n in range(23)]


class Fake:
    def __init__(self):
        self.port = MemoryLane()

    def taken(self, count):
        return [wake_up for wake_up, delay in self.port.sent if delay == 0.0]

    def cut(self):
        self.port.broken = True


class Sqs:
    def __init__(self, cloud, adapter):
        self._sqs = cloud.client("sqs")
        self._url = cloud.settings.resource("queue", "lane")
        self.port = adapter(self._sqs, self._url)

    def taken(self, count):
        found = []
        while batch := self._receive(0 if len(found) >= count else 5):
            found += [load_wake_up(message["Body"]) for message in batch]
        return found

    def _receive(self, wait):
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=wait
        )
        return answer.get("Messages", [])

    def cut(self):
        self._sqs.delete_queue(QueueUrl=self._url)


@pytest.fixture(
    params=[
        None,
        pytest.param(SqsLane, marks=pytest.mark.emulator),
        pytest.param(GatheredLane, marks=pytest.mark.emulator),
    ],
    ids=["memory", "sqs", "gathered"],
)
def lane(request):
    if request.param is None:
        return Fake()
    return Sqs(request.getfixturevalue("cloud"), request.param)


def by_index(wake_ups):
    return sorted(wake_ups, key=lambda wake_up: wake_up.key)


def test_every_wake_up_arrives_once(lane):
    lane.port.send(iter(WAKE_UPS))
    assert by_index(lane.taken(len(WAKE_UPS))) == WAKE_UPS


def test_a_delayed_wake_up_is_not_there_yet(lane):
    lane.port.send(WAKE_UPS[:1], delay=5000.0)  # more than the queue can: it is cut to that
    lane.port.send(WAKE_UPS[1:2])
    assert lane.taken(1) == WAKE_UPS[1:2]


def test_no_wake_up_is_no_call(lane):
    lane.cut()
    lane.port.send([])


def test_a_belt_that_cannot_be_reached_says_so(lane):
    lane.cut()
    with pytest.raises(HandOverError):
        lane.port.send(WAKE_UPS[:1])
