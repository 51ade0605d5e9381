"""DKIM verdicts on received mail: dkimpy verifies, with keys from the local DNS server."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import dkim
import dns.exception
import dns.resolver

from localstack.simulator.mailboxes import PENDING, Mailboxes, StoredMessage

MAX_SIGNATURES = 5
DNS_DEADLINE = 5.0  # seconds for one key
SETTLE_SECONDS = 5.0  # the longest a reader waits for verdicts still in work

_SILENT = logging.getLogger("mailroom.simulator.dkim")
_SILENT.setLevel(logging.CRITICAL)  # dkimpy logs each bad signature; the verdict says it already

log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What verification found. ERROR: it could not be done (no DNS, damaged signature header)."""

    PASS = "pass"  # noqa: S105  # a DKIM result, no password
    FAIL = "fail"
    NONE = "none"
    ERROR = "error"


class KeyLookupError(Exception):
    """The key could not be asked for: no answer or SERVFAIL. Says nothing about the signature."""


def key_source(host: str, port: int) -> Callable[..., bytes | None]:
    """Return dkimpy's `dnsfunc` on one DNS server: (name, timeout) -> TXT octets or None."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [host]
    resolver.port = port
    resolver.lifetime = DNS_DEADLINE
    resolver.cache = dns.resolver.LRUCache(1_000)

    def text_record(name: bytes | str, timeout: float = DNS_DEADLINE) -> bytes | None:
        asked = name.decode("ascii", "replace") if isinstance(name, bytes) else name
        try:
            answer = resolver.resolve(asked, "TXT", lifetime=timeout)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except dns.exception.DNSException as error:
            raise KeyLookupError(f"{asked}: {error}") from error
        return b"".join(next(iter(answer)).strings)

    return text_record


def verify(raw: bytes, text_record: Callable[..., bytes | None]) -> tuple[Verdict, str]:
    """Verify the signatures of `raw`; return the verdict and a sentence about it.

    One good signature of several is a pass (RFC 6376 section 6.1). Total.
    """
    try:
        message = dkim.DKIM(raw, logger=_SILENT)
        count = sum(name.lower() == b"dkim-signature" for name, _ in message.headers)
    except dkim.DKIMException as error:
        return Verdict.ERROR, str(error)
    if not count:
        return Verdict.NONE, "not signed"
    results = [_one(message, index, text_record) for index in range(min(count, MAX_SIGNATURES))]
    for wanted in (Verdict.PASS, Verdict.ERROR, Verdict.FAIL):
        for verdict, reason in results:
            if verdict is wanted:
                return verdict, reason
    return results[0]


def _one(
    message: dkim.DKIM, index: int, text_record: Callable[..., bytes | None]
) -> tuple[Verdict, str]:
    message.domain = message.selector = None
    try:
        good = message.verify(index, dnsfunc=text_record)
    except (dkim.ValidationError, dkim.KeyFormatError) as error:
        return Verdict.FAIL, f"{_signer(message)}: {error}"
    except Exception as error:  # noqa: BLE001  # dkimpy raises whatever odd input provokes
        return Verdict.ERROR, f"{_signer(message)}: {type(error).__name__}: {error}"
    if good:
        return Verdict.PASS, f"{_signer(message)}: {message.keysize} bit key"
    return Verdict.FAIL, f"{_signer(message)}: no key, or the signature does not match"


def _signer(message: dkim.DKIM) -> str:
    if not message.domain:
        return "unreadable signature"
    return f"d={message.domain.decode('ascii', 'replace')} s={_selector(message)}"


def _selector(message: dkim.DKIM) -> str:
    return str(message.selector.decode("ascii", "replace")) if message.selector else "?"


class Verdicts:
    """Verifies stored messages in one background thread, each once."""

    def __init__(self, mailboxes: Mailboxes, text_record: Callable[..., bytes | None]) -> None:
        self._mailboxes = mailboxes
        self._text_record = text_record
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dkim")
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, message_id: str) -> None:
        """Verify the message with this id of ours, unless that is done or under way."""
        message = self._mailboxes.get(message_id)
        if message is None or message.dkim != PENDING or message_id in self._running:
            return
        task = asyncio.create_task(self._verify(message), name=f"dkim-{message_id}")
        self._running[message_id] = task
        task.add_done_callback(lambda _: self._running.pop(message_id, None))

    async def settle(
        self, messages: Iterable[StoredMessage], *, deadline: float = SETTLE_SECONDS
    ) -> list[StoredMessage]:
        """Return the messages as they stand once verified, or after `deadline` seconds."""
        asked = list(messages)
        for message in asked:
            self.start(message.id)
        tasks = [self._running[each.id] for each in asked if each.id in self._running]
        if tasks:
            await asyncio.wait(tasks, timeout=deadline)
        return [self._mailboxes.get(each.id) or each for each in asked]

    async def stop(self) -> None:
        """Give up what is under way; a later start of the simulator does it."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _verify(self, message: StoredMessage) -> None:
        loop = asyncio.get_running_loop()
        try:
            verdict, reason = await loop.run_in_executor(self._pool, self._read_and_verify, message)
            self._mailboxes.record_verdict(message.id, verdict, reason[:500])
        except FileNotFoundError:
            log.debug("message %s was deleted before it was verified", message.id)
        except OSError as error:
            log.warning("the verdict on message %s is not kept: %s", message.id, error)

    def _read_and_verify(self, message: StoredMessage) -> tuple[Verdict, str]:
        return verify(self._mailboxes.raw(message), self._text_record)
