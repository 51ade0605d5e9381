"""The ServerFacts port: rows of the mail table, whose stream carries them to the topic."""

import json
from collections.abc import Sequence

from pynamodb.exceptions import PutError

from mailroom.adapters.names import SERVER_FACT, server_fact_sk, server_facts_pk
from mailroom.adapters.tables import ServerFactRow
from mailroom.domain.message import ServerId
from mailroom.domain.server_fact import ServerFact, dump_fact, load_fact

_KEEP_SECONDS = 60 * 86_400


class DynamoServerFacts:
    """One row a fact, put once."""

    def __init__(self, rows: type[ServerFactRow]) -> None:
        self._rows = rows

    def tell(self, fact: ServerFact) -> bool:
        """See ServerFacts.tell."""
        row = self._rows(server_facts_pk(fact.server), server_fact_sk(fact.at, fact.id))
        row.fact = json.dumps(dump_fact(fact), separators=(",", ":"))
        row.ttl = int(fact.at) + _KEEP_SECONDS
        try:
            row.save(condition=self._rows.pk.does_not_exist())
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def told(self, server: ServerId, *, limit: int) -> Sequence[ServerFact]:
        """See ServerFacts.told."""
        rows = self._rows.query(
            server_facts_pk(server),
            self._rows.sk.startswith(SERVER_FACT),
            scan_index_forward=False,
            limit=limit,
        )
        found = (load_fact(json.loads(row.fact)) for row in rows)
        return [fact for fact in found if isinstance(fact, ServerFact)]
