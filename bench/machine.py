"""What the figures were measured on: printed beside every one of them."""

import os
import platform
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Return CPU, cores, Python and whether the CPU speeds RSA up (AVX512-IFMA)."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((li.partition(":")[2].strip() for li in lines if li.startswith("model name")), "?")
    flags = next((li for li in lines if li.startswith("flags")), "")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "avx512_ifma": "avx512ifma" in flags,
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    """Return the CPU's model and the number of cores, short enough to stand in every line."""
    found = describe()
    return f"{found['cores']} x {found['cpu']}"
