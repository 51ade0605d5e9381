"""What a message says about itself beside its content: stream, tags, metadata, tracking.

Callers of the API give it as fields, programs that speak SMTP as headers of the message:

    X-Mailroom-Stream: broadcast
    X-Mailroom-Tag: invoice                 (repeatable; X-Postal-Tag is read as well)
    X-Mailroom-Metadata-Order: 4711         (any name after Metadata-)
    X-Mailroom-Track: opens, clicks         (or `all`, or `none`)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mailroom.domain.headers import Field
from mailroom.domain.message import TRANSACTIONAL

MAX_TAGS = 10
MAX_TAG = 255  # characters, the width of Postal's column
MAX_METADATA = 20  # pairs
MAX_METADATA_NAME, MAX_METADATA_VALUE = 64, 512  # characters
PREFIX = "x-mailroom-"

_POSTAL_TAG = 100  # characters of an X-Postal-Tag that are kept
_STREAM = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_METADATA = f"{PREFIX}metadata-"
_TRACK = {"opens": (True, False), "clicks": (False, True), "all": (True, True),
          "none": (False, False)}  # fmt: skip


class UnfitLabelError(ValueError):
    """A label that cannot be taken; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What was said; empty or None where nothing was."""

    stream: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    track_opens: bool | None = None
    track_clicks: bool | None = None


def read_labels(header: Sequence[Field]) -> Labels:
    """Return what the header says. Raises UnfitLabelError."""
    opens, clicks = _track(_texts(header, f"{PREFIX}track"))
    # As long as there have been tags none of these was a reason to refuse mail.
    tag = _CONTROL.sub(" ", "".join(_texts(header, "x-postal-tag")[:1]))[:_POSTAL_TAG].strip()
    postal = [tag] if tag else []
    return checked(
        Labels(
            stream=next(iter(_texts(header, f"{PREFIX}stream")), ""),
            tags=_distinct([*postal, *_texts(header, f"{PREFIX}tag")]),
            metadata={
                each.name.removeprefix(_METADATA): each.text
                for each in header
                if each.name.startswith(_METADATA)
            },
            track_opens=opens,
            track_clicks=clicks,
        )
    )


def joined(call: Labels, header: Labels, stream: str) -> Labels:
    """Return what holds for a message: what the call said goes before its header, and both before
    the `stream` of its credential. Raises UnfitLabelError for what is too much together."""
    return checked(
        Labels(
            stream=call.stream or header.stream or stream or TRANSACTIONAL,
            tags=call.tags or header.tags,
            metadata={**header.metadata, **call.metadata},
            track_opens=header.track_opens if call.track_opens is None else call.track_opens,
            track_clicks=header.track_clicks if call.track_clicks is None else call.track_clicks,
        )
    )


def checked(labels: Labels) -> Labels:
    """Return `labels` if they are fit to be kept. Raises UnfitLabelError."""
    if labels.stream and not is_stream(labels.stream):
        raise UnfitLabelError(
            "a stream is named by 1 to 50 of a-z, 0-9 and hyphens, which do not stand at its ends"
        )
    if len(labels.tags) > MAX_TAGS:
        raise UnfitLabelError(f"there are more than {MAX_TAGS} tags")
    if any(not _is_text(tag, MAX_TAG) for tag in labels.tags):
        raise UnfitLabelError(f"a tag has 1 to {MAX_TAG} characters, none of control")
    if len(labels.metadata) > MAX_METADATA:
        raise UnfitLabelError(f"there are more than {MAX_METADATA} metadata")
    if any(not _is_text(name, MAX_METADATA_NAME) for name in labels.metadata):
        raise UnfitLabelError(
            f"the name of metadata has 1 to {MAX_METADATA_NAME} characters, none of control"
        )
    if any(len(value) > MAX_METADATA_VALUE for value in labels.metadata.values()):
        raise UnfitLabelError(f"the value of metadata has at most {MAX_METADATA_VALUE} characters")
    return labels


def is_stream(name: str) -> bool:
    """Say whether a stream may be called so."""
    return _STREAM.match(name) is not None


def _texts(header: Sequence[Field], name: str) -> list[str]:
    return [text for each in header if each.name == name and (text := each.text)]


def _track(values: Iterable[str]) -> tuple[bool | None, bool | None]:
    words = [word for value in values for word in re.split(r"[,\s]+", value.lower()) if word]
    if not words:
        return None, None
    if any(word not in _TRACK for word in words):
        raise UnfitLabelError("X-Mailroom-Track is opens, clicks, all or none")
    return any(_TRACK[word][0] for word in words), any(_TRACK[word][1] for word in words)


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _is_text(text: str, most: int) -> bool:
    return 0 < len(text) <= most and not text.isspace() and not _CONTROL.search(text)
