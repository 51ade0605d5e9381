"""Trace headers as X-Ray writes them, and which requests are followed at all.

Source: AWS X-Ray developer guide, "Tracing header" and "Sending trace IDs".
"""

import re
from dataclasses import dataclass, replace

_ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}\Z")
_PARENT = re.compile(r"[0-9a-f]{16}\Z")
_MAX_HEADER = 500


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Which trace something belongs to: `root`, the `parent` segment in it ("" for none), and
    whether it is followed; None leaves that to the first who asks."""

    root: str = ""
    parent: str = ""
    sampled: bool | None = None

    @property
    def header(self) -> str:
        """The header that hands this on, "" for no trace."""
        if not self.root:
            return ""
        parts = [f"Root={self.root}"]
        if self.parent:
            parts.append(f"Parent={self.parent}")
        if self.sampled is not None:
            parts.append(f"Sampled={int(self.sampled)}")
        return ";".join(parts)


def read_trace(header: str) -> TraceContext:
    """Read a trace header. Total: a malformed one is no trace, because strangers write it too."""
    if len(header) > _MAX_HEADER:
        return TraceContext()
    parts = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    root, parent = parts.get("Root", ""), parts.get("Parent", "")
    if not _ROOT.match(root):
        return TraceContext()
    sampled = {"1": True, "0": False}.get(parts.get("Sampled", ""))
    return TraceContext(root, parent if _PARENT.match(parent) else "", sampled)


def new_root(now: float, chance: int) -> str:
    """Return a new trace id for `now` (Unix seconds) and 96 random bits."""
    return f"1-{int(now) & 0xFFFFFFFF:08x}-{chance & ((1 << 96) - 1):024x}"


def decided(context: TraceContext, *, now: float, chance: int, rate: float) -> TraceContext:
    """Return `context` with a root and a decision; `rate` is the share of new traces followed.

    A decision somebody upstream made stands: half a trace explains nothing. `chance` gives 128
    random bits: 96 name a new trace, the rest decide.
    """
    root = context.root or new_root(now, chance)
    if context.sampled is not None:
        return replace(context, root=root)
    return replace(context, root=root, sampled=(chance >> 96) < rate * (1 << 32))
