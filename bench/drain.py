"""Only the sender, with the real AWS adapters: accepted mail waits, then the sender starts."""

from dataclasses import dataclass
from time import monotonic

from bench.cloud import Cloud, fill, running_cloud
from bench.processes import usage
from bench.stand import StandError, wait_until
from localstack.config import RECIPIENT_DOMAIN
from localstack.supervisor import tail

CONNECTIONS = 20  # of a sender to one site, by the local stack's shaping (shaping_local.json)
_WITHIN = 900.0


@dataclass(frozen=True, slots=True)
class Drained:
    """What it took to deliver the waiting mail. CPU in seconds."""

    messages: int
    seconds: float
    cpu: float
    emulator_cpu: float


def drain(count: int, octets: int, port: int, *, links: bool) -> Drained:
    """Let one sender process deliver `count` waiting messages of `octets` to the sink on `port`.

    Measured from the moment it is ready until the last verdict is in the ledger; look-ups of keys
    and directory that a sender does when it has just started are in it. Raises StandError.
    """
    with running_cloud() as cloud:
        fill(cloud, count, octets, links=links)
        route = f"{RECIPIENT_DOMAIN}=127.0.0.1:{port}"
        with cloud.host_process("sender", MAILROOM_STATIC_ROUTES=route) as sender:
            return _drained(cloud, sender, count)


def _drained(cloud: Cloud, sender: int, count: int) -> Drained:
    log = cloud.config.path("logs", "sender.log")
    started, before, beside = monotonic(), usage((sender,)).cpu, cloud.usage().cpu
    wait_until(
        lambda: log.read_text().count('"event": "attempt"') >= count,
        within=_WITHIN,
        what=f"{count} verdicts\n{tail(log)}",
    )
    seconds = monotonic() - started
    found = Drained(count, seconds, usage((sender,)).cpu - before, cloud.usage().cpu - beside)
    refused = count - log.read_text().count('"reply": "2')
    if refused:
        raise StandError(f"{refused} of {count} messages were not taken by the sink")
    return found
