"""A host gives its addresses away while an order says so, and when it stops."""

import asyncio

from egress.draining import follow_drains


class Keeper:
    def __init__(self):
        self.draining = False
        self.changed = asyncio.Event()

    def drain(self):
        self.draining = True
        self.changed.set()

    def resume(self):
        self.draining = False
        self.changed.set()

    async def next(self):
        await asyncio.wait_for(self.changed.wait(), 10)
        self.changed.clear()
        return self.draining


async def test_it_drains_while_it_is_ordered_and_for_good_when_it_stops():
    keeper, stop, orders = Keeper(), asyncio.Event(), {"drain"}
    following = asyncio.create_task(follow_drains(keeper, lambda: bool(orders), stop))
    assert await keeper.next() is True
    orders.clear()
    assert await keeper.next() is False
    stop.set()
    assert await keeper.next() is True
    await asyncio.wait_for(following, 10)
