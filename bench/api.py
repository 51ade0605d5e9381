"""The API: what an operation costs in CPU and AWS calls, and what its functions cost to load.

One process, one call after the other, real adapters on the emulator. The emulator's own CPU is not
in the figures; the counting proxy stands between, in another process.
"""

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from bench.cloud import Cloud, running_cloud
from bench.machine import describe
from bench.stand import ROOT, StandError
from localstack import processes
from localstack.naming import variable

_IMPORTS = {
    "api (Postal's v1)": ("api", "import app"),
    "api (management)": (
        "api",
        "import app, mail_api.door as d; d.create_whole(lambda: None, lambda: None)",
    ),
    "tracking": ("tracking", "import app"),
    "webhooks": ("webhooks", "import app"),
    "scheduler": ("scheduler", "import app"),
}
_ADAPTERS = "import boto3, botocore.session, pynamodb.models"
_RUNS = 5


def measure(count: int = 0) -> dict[str, Any]:
    """Return CPU milliseconds (median) and AWS calls of each operation, and of cold imports."""
    with running_cloud(counting=True) as cloud:
        operations = _operations(cloud, count or 30)
    return {
        "ledger": "emulator",
        "processes": 1,
        "operations": operations,
        "cold_import_cpu_ms_median_of_5": {
            name: _import_ms(app, statement) for name, (app, statement) in _IMPORTS.items()
        }
        | {"the AWS libraries, at the first request": _import_ms("api", _ADAPTERS)},
        "machine": describe(),
    }


def _operations(cloud: Cloud, count: int) -> dict[str, str]:
    ids = {
        "organisation": "demo",
        "server": cloud.secrets["server"],
        "webhook": "demo",
        "stream": "transactional",
        "address": "bench@sim.test",
        "recipient": "bench@sim.test",
    }
    arguments = [str(count), cloud.proxy_url, cloud.secrets["platform_key"], json.dumps(ids)]
    found = json.loads(_run(["-m", "bench.api_calls_worker", *arguments], _variables(cloud)))
    return {
        name: f"{each['status']}  {each['cpu_ms_p50']:6.2f} ms  {_calls(each['aws_calls'])}"
        for name, each in found.items()
    }


def _calls(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(calls.items())) or "none"


def _variables(cloud: Cloud) -> dict[str, str]:
    places = {variable(place): address for place, address in cloud.addresses.items()}
    return {
        **os.environ,
        **processes.cloud_variables(cloud.config),
        "AWS_ENDPOINT_URL": cloud.proxy_url,
        **processes.common_variables(cloud.config),
        **places,
        "MAILROOM_TRACE_RATE": "0",
        "MAILROOM_API_RATE": "1000000",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'functions' / 'api'}",
    }


def _import_ms(app: str, statement: str) -> float:
    program = (
        f"import time; began = time.process_time(); {statement}; "
        "print((time.process_time() - began) * 1000)"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'functions' / app}"}
    taken = [float(_run(["-c", program], environment)) for _ in range(_RUNS)]
    return round(statistics.median(taken), 1)


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StandError(done.stderr[-2000:])
    return done.stdout
