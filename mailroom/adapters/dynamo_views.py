"""The FirstViews port on DynamoDB."""

from mailroom.adapters.names import first_view_sk, mail_pk
from mailroom.adapters.tables import FirstViewRow
from mailroom.domain.event import Event
from mailroom.domain.statistic import FirstView
from mailroom.domain.visit import is_person

_DAY = 86_400
_KEEP_DAYS = 60  # past the last hit, as long as the history


class DynamoFirstViews:
    """One row a delivery in the mail table; each hit is one update that sets what is not set.

    The row keeps the ids of the events that were first, so a repeated event finds its own id.
    """

    def __init__(self, rows: type[FirstViewRow]) -> None:
        self._rows = rows

    def first_view(self, event: Event) -> FirstView:
        """See FirstViews.first_view."""
        if event.view is None:
            return FirstView()
        name = str(event.type)
        wanted = [name, f"{name}_human"] if is_person(event.view) else [name]
        key = event.key
        row = self._rows(mail_pk(key.server, key.number), first_view_sk(key.index))
        columns = [getattr(self._rows, each) for each in wanted]
        row.update(
            actions=[
                *(column.set(column | event.id) for column in columns),
                self._rows.v.set(1),
                # Whole days, so that the hits of a day leave the row and its stream alone.
                self._rows.ttl.set((int(event.at) // _DAY + 1 + _KEEP_DAYS) * _DAY),
            ]
        )
        return FirstView(*(getattr(row, each) == event.id for each in wanted))
