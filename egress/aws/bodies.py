"""Raw messages from S3, kept in memory by key up to a number of octets."""

import asyncio
import zlib
from collections import OrderedDict
from typing import Any

from botocore.exceptions import ClientError

from mailroom.domain.message import BodyRef
from mailroom.errors import BodyGoneError

_MAX_UNPACKED = 64 * 1024 * 1024


class HostBodies:
    """A read-through cache: a message to many recipients is fetched once per host."""

    def __init__(self, s3: Any, bucket: str, *, keep_octets: int = 64 * 1024 * 1024) -> None:
        """Take an aiobotocore S3 client."""
        self._s3 = s3
        self._bucket = bucket
        self._keep = keep_octets
        self._held = 0
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._fetching: dict[str, asyncio.Future[bytes]] = {}

    async def get(self, body: BodyRef) -> bytes:
        """Return the raw message. Raises BodyGoneError if it is gone."""
        if body.inline is not None:
            return zlib.decompressobj().decompress(body.inline, _MAX_UNPACKED)
        key = body.key or ""
        if key in self._bodies:
            self._bodies.move_to_end(key)
            return self._bodies[key]
        # Recipients of one message come together: the first fetches, the others wait for it.
        if key not in self._fetching:
            self._fetching[key] = asyncio.ensure_future(self._fetched(key))
        return await asyncio.shield(self._fetching[key])

    async def _fetched(self, key: str) -> bytes:
        try:
            raw = await self._fetch(key)
        finally:
            del self._fetching[key]
        self._bodies[key] = raw
        self._held += len(raw)
        while self._held > self._keep and len(self._bodies) > 1:
            _, oldest = self._bodies.popitem(last=False)
            self._held -= len(oldest)
        return raw

    async def _fetch(self, key: str) -> bytes:
        try:
            answer = await self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise BodyGoneError(key) from error
            raise
        async with answer["Body"] as stream:
            raw: bytes = await stream.read()
        return raw
