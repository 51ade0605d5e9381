"""An answer of the app, on its way to a client that may take its time: not in memory if large."""

import base64
from collections.abc import Mapping
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from hostapi.refusal import NAME

PIECE = 64 * 1024  # octets between two looks at whether the client takes them


class Reply:
    """Made of what `http_api` returned. Close it, or its file stays open."""

    def __init__(self, answer: Mapping[str, Any], *, in_memory: int, folder: Path | None) -> None:
        self.status: int = answer["statusCode"]
        self.headers: CIMultiDict[str] = CIMultiDict(answer["headers"])
        self.headers["Server"] = NAME
        for cookie in answer.get("cookies", []):
            self.headers.add("Set-Cookie", cookie)
        text = answer["body"] or ""
        body = base64.b64decode(text) if answer["isBase64Encoded"] else text.encode()
        self.octets = len(body)
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - see close
            max_size=in_memory, dir=str(folder) if folder else None
        )
        self._file.write(body)
        self._file.seek(0)

    @property
    def is_long(self) -> bool:
        """Whether it is more than one piece."""
        return self.octets > PIECE

    def response(self, method: str) -> web.StreamResponse:
        """Return the response to write; behind a long one `pieces` are to be written."""
        if not self.is_long:
            return web.Response(
                status=self.status, headers=self.headers, body=self._file.read(PIECE)
            )
        if method == "HEAD":
            self.headers["Content-Length"] = str(self.octets)
            return web.Response(status=self.status, headers=self.headers)
        response = web.StreamResponse(status=self.status, headers=self.headers)
        response.content_length = self.octets
        return response

    def piece(self) -> bytes:
        """Return the next piece, empty at the end."""
        return self._file.read(PIECE)

    def close(self) -> None:
        """Drop it."""
        self._file.close()
