"""One trace from the API call, and from the SMTP transaction, to the receiving server's reply.

Nothing listens on the stack's X-Ray port until a test does: that everything works without a daemon
is what all the other tests show.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.customer import Customer, wait_for
from tests.support.xray_daemon import XrayDaemon, running_daemon, steps

pytestmark = pytest.mark.stack


@pytest.fixture
def daemon(customer: Customer) -> Iterator[XrayDaemon]:
    host, _, port = customer.status["xray"].rpartition(":")
    with running_daemon(host, int(port)) as daemon:
        yield daemon


def sender_segment(daemon: XrayDaemon, id_: int) -> dict[str, Any]:
    """The first attempt's segment of a message; delivery names end in number and index."""
    name = f".{id_ >> 10}.{id_ & 1023}"

    def look() -> dict[str, Any] | None:
        return next(
            (
                document
                for document in daemon.documents
                if document["name"] == "mailroom-sender"
                and document["annotations"]["delivery"].endswith(name)
            ),
            None,
        )

    return wait_for(look, what="the attempt's segment")


def request_segment(daemon: XrayDaemon, name: str, trace: str) -> dict[str, Any]:
    """The segment of the accepting request in the same trace."""

    def look() -> dict[str, Any] | None:
        return next(
            (d for d in daemon.documents if (d["name"], d["trace_id"]) == (name, trace)), None
        )

    return wait_for(look, what=f"a {name} segment in trace {trace}")


def test_an_api_call_and_its_delivery_are_one_trace(customer: Customer, daemon: XrayDaemon) -> None:
    address = f"traced@{customer.domain}"
    id_ = customer.send([address])[address]
    sender = sender_segment(daemon, id_)
    request = request_segment(daemon, "mailroom-api", sender["trace_id"])
    assert {"ledger.reserve", "ledger.commit", "lane.send"} <= set(steps(request))
    assert {"book.claim", "copier.copy", "smtp"} <= set(steps(sender))
    smtp = next(step for step in sender["subsegments"] if step["name"] == "smtp")
    assert smtp["annotations"]["code"] == 250
    # Only ids are in a trace: no address, no secret.
    assert address not in str(daemon.documents)
    assert customer.status["api_key"] not in str(daemon.documents)


def test_an_smtp_transaction_and_its_delivery_are_one_trace(
    customer: Customer, daemon: XrayDaemon
) -> None:
    address = f"traced-smtp@{customer.domain}"
    with customer.smtp() as session:
        session.sendmail(customer.sender, [address], customer.message(address))

    def attempt() -> dict[str, Any] | None:
        requests = [d for d in daemon.documents if d["name"] == "mailroom-submission"]
        traces = {request["trace_id"] for request in requests}
        return next(
            (
                document
                for document in daemon.documents
                if document["name"] == "mailroom-sender" and document["trace_id"] in traces
            ),
            None,
        )

    sender = wait_for(attempt, what="the attempt in the transaction's trace")
    request = request_segment(daemon, "mailroom-submission", sender["trace_id"])
    assert sender["annotations"]["delivery"].startswith(request["annotations"]["message"][:10])
    assert "ledger.commit" in steps(request)
