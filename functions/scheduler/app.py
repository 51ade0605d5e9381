"""Lambda entry point of the scheduler."""

from typing import Any

from chalice.app import Chalice
from mail_scheduler import wiring
from mail_scheduler.ticking import tick as do_tick
from mail_scheduler.working import work as do_work

app = Chalice(app_name="mail-scheduler")


@app.lambda_function(name="tick")
def tick(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Do what is due."""
    with wiring.tracing().invocation("mailroom-scheduler"):
        return do_tick(event, wiring.ports(), others=wiring.tasks())


@app.lambda_function(name="work")
def work(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Job queue to the steps of jobs."""
    with wiring.tracing().invocation("mailroom-worker"):
        return do_work(event, wiring.kinds(), wiring.job_ports())
