"""Wakes the scheduler every two seconds.

EventBridge ticks once a minute, and the local stack divides the delays between attempts to seconds.
The call is the Lambda API's own, so the scheduler runs as deployed.
"""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localstack.ready import write_ready

EVERY = 2.0  # seconds from the end of one tick to the next
SOURCE = "local-ticker"

log = logging.getLogger(__name__)


class Ticker:
    """Invokes one function; complains once for each kind of trouble, not at every tick."""

    def __init__(self, client: Any, function: str) -> None:
        """`client` is a Lambda client."""
        self._client = client
        self._function = function
        self._trouble = ""

    def tick(self, now: datetime) -> bool:
        """Invoke the function for the moment `now` (UTC); say whether it succeeded."""
        event = {"time": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "source": SOURCE}
        try:
            answer = self._client.invoke(
                FunctionName=self._function, Payload=json.dumps(event).encode()
            )
            trouble = answer["Payload"].read().decode() if "FunctionError" in answer else ""
        except (BotoCoreError, ClientError) as problem:
            trouble = str(problem)
        if trouble != self._trouble:
            log.warning("%s", trouble or "the scheduler works again")
            self._trouble = trouble
        return not trouble


def main(arguments: Sequence[str]) -> int:
    """Tick until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m localstack.ticker", description=__doc__)
    parser.add_argument("--function", required=True)
    parser.add_argument("--every", type=float, default=EVERY, help="seconds")
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="ticker: %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    config = Config(read_timeout=70, connect_timeout=3, retries={"max_attempts": 0})
    ticker = Ticker(boto3.client("lambda", config=config), options.function)
    write_ready(options.ready_file, {"function": options.function})
    while not stopped.wait(options.every):
        ticker.tick(datetime.now(UTC))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
