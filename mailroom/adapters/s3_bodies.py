"""The Bodies port on S3."""

from io import BytesIO
from typing import Any

from botocore.exceptions import ClientError

_STREAMED = 4 * 1024 * 1024  # octets
# Without the right to list a bucket S3 says that access is denied to what is not there.
_GONE = frozenset({"NoSuchKey", "404", "AccessDenied", "403"})


class S3Bodies:
    """Raw messages in one bucket; lifecycle rules by key prefix delete them."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, key: str, raw: bytes) -> None:
        """See Bodies.put."""
        # botocore copies octets behind the header it sends; a file it sends piece by piece, for
        # a round trip more, and `BytesIO` shares what it is made of.
        body = raw if len(raw) < _STREAMED else BytesIO(raw)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="message/rfc822")

    def get(self, key: str) -> bytes:
        """See Bodies.get."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                raise KeyError(key) from error
            raise
        body: bytes = answer["Body"].read()
        return body
