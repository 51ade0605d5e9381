"""The order in which waiting mail goes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from egress.core.engine.ready import BULK_TURN, Fit, ReadyQueue
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.sending.job import JobFacts, LaneClass


def job(
    tenant: str = "a", campaign: str = "", lane: LaneClass = LaneClass.BULK, number: int = 1
) -> JobFacts:
    return JobFacts(
        key=DeliveryKey(ServerId(tenant), number, 0),
        generation=0,
        recipient="x@example.com",
        tenant=tenant,
        organisation="org",
        lane=lane,
        sign_domain="example.org",
        from_address="x@example.org",
        size=1_000,
        pools=("host",),
        accepted_at=0.0,
        expires_at=1e9,
        campaign=campaign,
    )


def anything(_: JobFacts) -> Fit:
    return Fit.NOW


def drained(queue: ReadyQueue, judge: Callable[[JobFacts], Fit] = anything) -> list[JobFacts]:
    found = []
    while (each := queue.pick(judge)) is not None:
        found.append(each)
    return found


def test_tenants_take_turns_however_much_each_has() -> None:
    queue = ReadyQueue()
    for number in range(100):
        queue.push(job("big", number=number))
    for number in range(5):
        queue.push(job("small", number=number))
    first = Counter(each.tenant for each in drained(queue)[:10])
    assert first == {"big": 5, "small": 5}


def test_a_tenant_with_a_greater_weight_goes_more_often() -> None:
    queue = ReadyQueue(lambda tenant: 3.0 if tenant == "big" else 1.0)
    for number in range(100):
        queue.push(job("big", number=number))
        queue.push(job("small", number=number))
    first = Counter(each.tenant for each in drained(queue)[:40])
    assert first == {"big": 30, "small": 10}


def test_a_small_campaign_overtakes_a_big_one_of_its_tenant() -> None:
    queue = ReadyQueue()
    for number in range(1_000):
        queue.push(job(campaign="newsletter", number=number))
    for number in range(3):
        queue.push(job(campaign="digest", number=number))
    assert Counter(each.campaign for each in drained(queue)[:6])["digest"] == 3


def test_urgent_mail_goes_first_and_bulk_still_moves() -> None:
    queue = ReadyQueue()
    for number in range(50):
        queue.push(job("bulk", number=number))
        queue.push(job("code", lane=LaneClass.TRANSACTIONAL, number=number))
    order = [each.lane for each in drained(queue)]
    assert order[: BULK_TURN - 1] == [LaneClass.TRANSACTIONAL] * (BULK_TURN - 1)
    assert Counter(order[: 2 * BULK_TURN])[LaneClass.BULK] == 2


def test_a_higher_priority_goes_first_within_its_lane() -> None:
    queue = ReadyQueue()
    queue.push(job(number=1))
    queue.push(replace(job(number=2), priority=5))
    queue.push(replace(job(number=3), priority=-5))
    assert [each.key.number for each in drained(queue)] == [2, 1, 3]


def test_who_has_to_wait_is_passed_over_and_keeps_its_place() -> None:
    queue = ReadyQueue()
    queue.push(job("slow", number=1))
    queue.push(job("quick", number=2))
    judge = {"slow": Fit.TENANT_LATER, "quick": Fit.NOW}
    assert [each.tenant for each in drained(queue, lambda each: judge[each.tenant])] == ["quick"]
    assert [each.tenant for each in drained(queue)] == ["slow"]


def test_what_is_out_leaves_the_queue() -> None:
    queue = ReadyQueue()
    for number in range(3):
        queue.push(job(number=number))
    assert drained(queue, lambda each: Fit.OUT if each.key.number < 2 else Fit.NOW) == [
        job(number=2)
    ]
    assert len(queue) == 0


def test_without_bulk_only_urgent_mail_is_taken() -> None:
    queue = ReadyQueue()
    queue.push(job("bulk"))
    assert queue.pick(anything, bulk=False) is None
    queue.push(job("code", lane=LaneClass.TRANSACTIONAL))
    found = queue.pick(anything, bulk=False)
    assert found is not None
    assert found.tenant == "code"


jobs = st.builds(
    job,
    st.sampled_from("abc"),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from(LaneClass),
    st.integers(0, 1_000),
)


@given(st.lists(jobs, max_size=60), st.sets(st.sampled_from("abc")))
def test_nothing_is_lost_and_nothing_goes_twice(each: list[JobFacts], out: set[str]) -> None:
    queue = ReadyQueue()
    for one in each:
        queue.push(one)
    taken = queue.remove(lambda job: job.tenant in out)
    assert sorted(map(repr, taken + drained(queue))) == sorted(map(repr, each))
    assert len(queue) == 0
    assert queue.tenants == 0
