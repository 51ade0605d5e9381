"""The index keys that the rows of a submission carry, so that a search finds them.

They are written once with the row and never change, so that later updates cost the indexes nothing.
"""

from collections.abc import Sequence

from mailroom.adapters.names import mail_pk, tag_sk
from mailroom.adapters.tables import SubmissionRow, TagRow
from mailroom.domain.message import Submission
from mailroom.domain.search_keys import day_key, message_key, tag_key, tags_of


def index_submission(row: SubmissionRow, submission: Submission) -> None:
    """Enter a submission's row in the indexes of time, message id and its first tag."""
    server, at = submission.server, submission.accepted_at
    row.day_key = day_key(server, at)
    if submission.message_id:
        row.mid_key = message_key(server, submission.message_id)
    for tag in tags_of(submission)[:1]:
        row.tag_key = tag_key(server, tag, at)


def tag_rows(model: type[TagRow], submission: Submission, ttl: int) -> Sequence[TagRow]:
    """Return the rows by which a submission is found by its tags after the first."""
    rows = []
    for place, tag in enumerate(tags_of(submission)[1:], start=1):
        row = model(mail_pk(submission.server, submission.number), tag_sk(place))
        row.at = round(submission.accepted_at * 1000)
        row.tag_key = tag_key(submission.server, tag, submission.accepted_at)
        row.ttl = ttl
        rows.append(row)
    return rows
