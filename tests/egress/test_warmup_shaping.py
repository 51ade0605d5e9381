"""A host takes warm-up plans of an installation from the shaping in force."""

from egress.documents import Documents
from egress.sender.shaping import Shaping
from mailroom.domain.sending.source import SourceAddress
from mailroom.domain.warmup.plan import GENTLE
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.published import Kind, PublishPorts, publish

SOURCE = SourceAddress("ip_1", "pool_1", "mx.mail.test", plan="sendgrid")


async def test_plans_and_their_names_are_those_of_the_shaping_in_force() -> None:
    control = MemoryControl()
    documents = Documents(control, now=lambda: 1_000.0)
    shaping = Shaping(documents)
    assert shaping.plan_name(SOURCE, "gmail") == ""
    assert shaping.plan("mine") is GENTLE
    document = {
        "plans": {"mine": {"days": [7]}},
        "providers": {"gmail": {"warmup": "mine", "pools": {"pool_2": {"warmup": "gentle"}}}},
    }
    publish(Kind.SHAPING, document, "Ann", "why", 1.0, PublishPorts(control))
    await documents.refresh()
    assert shaping.plan("mine").steps == (7,)
    assert shaping.plan_name(SOURCE, "gmail") == "mine"
    assert shaping.plan_name(SOURCE, "other") == ""
    assert shaping.plan_name(SourceAddress("ip_2", "pool_2", "x.test"), "gmail") == "gentle"
