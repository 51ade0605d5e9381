"""The kinds of resources there are: their limits, what must be unique, and their runtime rows."""

from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.server import SERVER

__all__ = ["ORGANISATION", "SERVER"]
