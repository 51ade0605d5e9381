"""What the history of calls must not keep: passwords and tokens in URLs and in answers."""

import re
from urllib.parse import urlsplit, urlunsplit

GONE = "[redacted]"
_NAMES = (
    r"(?:[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|signature|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|credential)[\w.-]*)"
)
# Short names mean a secret in a URL; in the text of an answer they may mean anything.
_IS_SECRET = re.compile(
    _NAMES + r"\Z|(?:key|sig|auth|pwd|code|session(?:id)?|jwt|sas|hmac)\Z", re.IGNORECASE
)
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie2?|x-(?:api-key|auth-token|amz-security-token))"
    r"(\"?[ \t]*[:=][ \t]*\"?)[^\r\n\"]*",
    re.IGNORECASE,
)
_JSON = re.compile(rf'"({_NAMES})"(\s*:\s*)"(?:[^"\\]|\\.)*(?:"|\Z)', re.IGNORECASE)
_FORM = re.compile(rf"(?<![\w.-])({_NAMES})=[^&\s\"'<>;]+", re.IGNORECASE)
_USER = re.compile(r"(https?://)[^/\s\"'<>@?#]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)[ \t]+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def redact_url(url: str) -> str:
    """Return `url` without user and password, and without the values of secret parameters.

    Which those are their names tell: token, key, secret, password, signature and their like.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed)"
    query = "&".join(map(_parameter, parts.query.split("&"))) if parts.query else ""
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query, fragment="")
    return urlunsplit(clean)


def redact_text(text: str) -> str:
    """Return an answer's text without what looks like a secret.

    An endpoint that fails may show the request it had, or its own configuration.
    """
    text = _HEADER.sub(rf"\1\2{GONE}", text)
    text = _BEARER.sub(rf"\1 {GONE}", text)
    text = _JSON.sub(rf'"\1"\2"{GONE}"', text)
    text = _USER.sub(r"\1", text)
    return _FORM.sub(rf"\1={GONE}", text)


def _parameter(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={GONE}" if equals and _IS_SECRET.match(name) else pair
