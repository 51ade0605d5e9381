"""The Files port on S3: the bucket of bodies, whose lifecycle rules delete by the key's prefix."""

from typing import Any

from botocore.exceptions import ClientError

# Without the right to list a bucket S3 says that access is denied to what is not there.
_GONE = frozenset({"NoSuchKey", "404", "AccessDenied", "403"})
_BEHIND = "InvalidRange"


class S3Files:
    """Files in one bucket. Links need a client that signs with version 4 (`file_client`)."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def size(self, key: str) -> int:
        """See Files.size."""
        try:
            return int(self._s3.head_object(Bucket=self._bucket, Key=key)["ContentLength"])
        except ClientError as error:
            raise _trouble(error, key) from error

    def read(self, key: str, start: int, length: int) -> bytes:
        """See Files.read."""
        if length < 1:
            return b""
        wanted = f"bytes={start}-{start + length - 1}"
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, Range=wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] == _BEHIND:
                return b""
            raise _trouble(error, key) from error
        octets: bytes = answer["Body"].read()
        return octets

    def put(self, key: str, octets: bytes, content_type: str) -> None:
        """See Files.put."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=octets, ContentType=content_type)

    def delete(self, key: str) -> None:
        """See Files.delete."""
        self._s3.delete_object(Bucket=self._bucket, Key=key)

    def upload_link(self, key: str, size: int, seconds: int) -> str:
        """See Files.upload_link. The length is signed, so another one is refused."""
        wanted = {"Bucket": self._bucket, "Key": key, "ContentLength": size}
        return self._link("put_object", wanted, seconds)

    def download_link(self, key: str, name: str, seconds: int) -> str:
        """See Files.download_link. A browser saves it and shows nothing."""
        wanted = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        }
        return self._link("get_object", wanted, seconds)

    def _link(self, call: str, wanted: dict[str, Any], seconds: int) -> str:
        link: str = self._s3.generate_presigned_url(call, Params=wanted, ExpiresIn=seconds)
        return link


def _trouble(error: ClientError, key: str) -> Exception:
    return KeyError(key) if error.response["Error"]["Code"] in _GONE else error
