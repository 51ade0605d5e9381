"""The ports Sources and PoolRules on the rows of the directory table."""

import json
from collections.abc import Iterator
from typing import Any

from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.message import ServerId
from mailroom.domain.sending.pool_choice import PoolRule, PoolRuleSet, load_rule, newest_first
from mailroom.domain.sending.source import Fleet
from mailroom.domain.sending.sources import PARTITION, load_fleet
from mailroom.domain.tenancy.record import Place, Record

_RULE, _STREAM = "pool-rule#", "stream#"


class DynamoSources:
    """Reads one partition, a page for each megabyte of it."""

    def __init__(self, rows: type[DirectoryRow]) -> None:
        self._rows = rows

    def read(self) -> Fleet:
        """See Sources.read."""
        found = self._rows.query(PARTITION)
        return load_fleet(Record(Place(row.pk, row.sk), json.loads(row.json)) for row in found)


class DynamoPoolRules:
    """Reads the rows of a server and those of its organisation."""

    def __init__(self, rows: type[DirectoryRow]) -> None:
        self._rows = rows

    def of(self, server: ServerId, organisation: str) -> PoolRuleSet:
        """See PoolRules.of."""
        own, above = f"server#{server}", f"organisation#{organisation}"
        streams = {name: body.get("pool") or "" for name, body in self._found(own, _STREAM)}
        return PoolRuleSet(
            server=self._rules(own),
            organisation=self._rules(above),
            streams={name: pool for name, pool in streams.items() if pool},
            server_pool=self._body(own).get("pool") or "",
            organisation_pool=self._body(above).get("default_pool") or "",
        )

    def _rules(self, owner: str) -> tuple[PoolRule, ...]:
        return newest_first(load_rule(id_, body) for id_, body in self._found(owner, _RULE))

    def _found(self, owner: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in self._rows.query(owner, self._rows.sk.startswith(prefix)):
            yield row.sk.removeprefix(prefix), json.loads(row.json)

    def _body(self, owner: str) -> dict[str, Any]:
        try:
            stored: dict[str, Any] = json.loads(self._rows.get(owner, "-").json)
        except self._rows.DoesNotExist:
            return {}
        return stored
