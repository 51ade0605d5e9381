"""Lambda entry points of the event functions; wiring waits for the first invocation."""

from typing import Any

from chalice.app import Chalice
from mail_webhooks import consumers, wiring

app = Chalice(app_name="mail-webhooks")


@app.lambda_function(name="publish")
def publish(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Table stream to topic."""
    with wiring.tracing().invocation("mailroom-publisher"):
        return consumers.publish(event, wiring.facts())


@app.lambda_function(name="record")
def record(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Topic to history and counters."""
    with wiring.tracing().invocation("mailroom-recorder"):
        return consumers.record(event, wiring.record_ports())


@app.lambda_function(name="fan_out")
def fan_out(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Topic to webhook queue."""
    with wiring.tracing().invocation("mailroom-fan-out"):
        return consumers.fan_out(
            event, wiring.fan_out_ports(), wiring.notifications(), wiring.report_ports()
        )


@app.lambda_function(name="deliver")
def deliver(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Webhook queue to the tenants' endpoints."""
    with wiring.tracing().invocation("mailroom-deliverer"):
        return consumers.deliver(event, wiring.notify_ports())
