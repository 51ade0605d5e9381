"""The Facts port on SNS."""

import json
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.adapters.packing import packed
from mailroom.domain.server_fact import Fact, dump_fact
from mailroom.errors import HandOverError

_TRIES = 3  # of the entries of a batch that SNS took only in part
_SUBJECT = "mailroom event"  # always set: consumers of the envelope index it blindly


class SnsFacts:
    """Facts as raw JSON (`dump_fact`), ten a call, in order."""

    def __init__(self, sns: Any, topic_arn: str) -> None:
        self._sns = sns
        self._topic = topic_arn

    def publish(self, facts: Sequence[Fact]) -> None:
        """See Facts.publish. Raises HandOverError; some of `facts` may be out by then."""
        texts = (json.dumps(dump_fact(fact), separators=(",", ":")) for fact in facts)
        for batch in packed(texts):
            self._publish(batch)

    def _publish(self, texts: list[str]) -> None:
        for _ in range(_TRIES):
            entries = [
                {"Id": str(position), "Message": text, "Subject": _SUBJECT}
                for position, text in enumerate(texts)
            ]
            try:
                answer = self._sns.publish_batch(
                    TopicArn=self._topic, PublishBatchRequestEntries=entries
                )
            except (ClientError, BotoCoreError) as error:
                raise HandOverError(str(error)) from error
            texts = [texts[int(failed["Id"])] for failed in answer.get("Failed", [])]
            if not texts:
                return
        raise HandOverError(f"{len(texts)} events were refused by the topic")
