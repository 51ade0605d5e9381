"""Making a copy, or finding out that none may go out."""

import asyncio
from dataclasses import dataclass, field, replace
from email import message_from_bytes

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from egress.sender.copies import Copier, Copy, NotCommittedError, UnfitCopyError
from egress.sender.holds import Held, Parked, Simulated, Stop, Suppressed
from egress.sender.limits import ServerLimits
from egress.sender.tenants import PlatformKeys, Tenant
from egress.signer import Signer, SigningKey
from mailroom.domain.hold import Hold
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    BodyRef,
    Delivery,
    DeliveryKey,
    Mode,
    OnSuppressed,
    Server,
    ServerId,
    Submission,
)
from mailroom.domain.reply import SmtpReply
from mailroom.domain.send_limit import LimitAction, Limits
from mailroom.domain.suppression import Reason, Suppression, server_scope
from mailroom.domain.tracking_token import TrackingKey
from mailroom.domain.verp import VerpKey
from mailroom.errors import BodyGoneError, LimitUnavailableError
from mailroom.fakes.limits import MemoryLimits

START = 1_760_000_000.0
SERVER = Server(ServerId("abcdefghij"), "org", "Demo", "demo", "abc123")
KEY = rsa.generate_private_key(65537, 2048).private_bytes(
    Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
)
SIGNING = SigningKey("demo.example", "s1", KEY)
SUBMISSION = Submission(
    server=SERVER.id,
    number=77,
    accepted_at=START,
    expires_at=START + 172_800,
    mail_from="a@demo.example",
    from_address="a@demo.example",
    sign_domain="demo.example",
    subject="hi",
    message_id=None,
    tag=None,
    size=10,
    recipients=1,
    source="api",
    bounce=False,
    body=BodyRef(inline=b""),
)
DELIVERY = Delivery(
    DeliveryKey(SERVER.id, 77, 0), "ann@x.test", State.ATTEMPTING, START, START + 172_800
)
RAW = b"From: a@demo.example\r\nX-Postal-MsgID: FORGEDFORGEDFORG\r\n\r\nhello\r\n"


@dataclass
class Desk:
    """A copier's world in memory; a body that is an exception is raised."""

    server: Server | None = SERVER
    submission: Submission | None = SUBMISSION
    signing_key: SigningKey | None = SIGNING
    body: bytes | Exception = RAW
    table: MemoryLimits = field(default_factory=MemoryLimits)
    suppression: Suppression | None = None
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def of(
        self, server: Server, stream: str, recipient: str, secret: bytes
    ) -> Suppression | None:
        self.asked.append((stream, recipient, secret))
        return self.suppression

    def copier(self) -> Copier:
        limits = ServerLimits(self.table, now=lambda: START)
        return Copier(
            submissions=_Submissions(self),
            bodies=_Bodies(self),
            tenants=_Tenants(self),
            signer=Signer(clock=lambda: START),
            limits=limits,
            blocked=self,
        )

    def copy(self, delivery: Delivery = DELIVERY) -> Copy | SmtpReply | Stop:
        return asyncio.run(self.copier().copy(delivery))


class _Submissions:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def submission(self, server: ServerId, number: int) -> Submission | None:
        assert (server, number) == (SERVER.id, 77)
        return self._desk.submission


class _Bodies:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def get(self, body: BodyRef) -> bytes:
        assert body.inline is not None
        if isinstance(self._desk.body, Exception):
            raise self._desk.body
        return self._desk.body


class _Tenants:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def of(self, submission: Submission) -> Tenant | None:
        assert submission is self._desk.submission
        if self._desk.server is None:
            return None
        return Tenant(self._desk.server, self._desk.signing_key, "psrp.demo.example")

    async def platform_keys(self) -> PlatformKeys:
        return PlatformKeys(
            TrackingKey("a", b"t" * 32), VerpKey("a", b"v" * 32), b"k" * 32, b"r" * 32
        )


def test_a_copy_has_our_token_and_a_signature() -> None:
    copy = Desk().copy()
    assert isinstance(copy, Copy)
    assert copy.return_path.endswith("@psrp.demo.example")
    message = message_from_bytes(copy.raw)
    assert message["DKIM-Signature"]
    assert message.get_all("X-Postal-MsgID") != ["FORGEDFORGEDFORG"]
    assert len(message.get_all("X-Postal-MsgID") or []) == 1


def test_a_bounce_goes_out_with_the_null_sender() -> None:
    copy = Desk(
        submission=replace(SUBMISSION, bounce=True), server=replace(SERVER, resent_sender=True)
    ).copy()
    assert isinstance(copy, Copy)
    assert copy.return_path == ""
    assert b"Resent-Sender" not in copy.raw


@pytest.mark.parametrize("wanted", [False, True])
def test_resent_sender_names_the_return_path_if_the_server_wants_it(wanted: bool) -> None:
    copy = Desk(server=replace(SERVER, resent_sender=wanted)).copy()
    assert isinstance(copy, Copy)
    expected = [copy.return_path] if wanted else None
    assert message_from_bytes(copy.raw).get_all("Resent-Sender") == expected


SUSPENDED = replace(SERVER, suspended="abuse")
DEVELOPMENT = replace(SERVER, mode=Mode.DEVELOPMENT)
FULL = replace(SERVER, send_limit=0)
HOLDING = replace(SUBMISSION, hold=True)


@pytest.mark.parametrize(
    ("server", "submission", "manual", "hold"),
    [
        (SUSPENDED, SUBMISSION, False, Hold.SUSPENDED),
        (SUSPENDED, SUBMISSION, True, Hold.SUSPENDED),
        (SERVER, HOLDING, False, Hold.CREDENTIAL),
        (SERVER, HOLDING, True, None),
        (DEVELOPMENT, SUBMISSION, False, Hold.DEVELOPMENT),
        (DEVELOPMENT, SUBMISSION, True, None),
        (FULL, SUBMISSION, False, Hold.LIMIT),
        (FULL, SUBMISSION, True, Hold.LIMIT),  # a tenant's release is not the operator's limit
    ],
)
def test_holds_and_what_a_release_overrides(
    server: Server, submission: Submission, manual: bool, hold: Hold | None
) -> None:
    found = Desk(server=server, submission=submission).copy(replace(DELIVERY, manual=manual))
    assert found == Held(hold) if hold else isinstance(found, Copy)


@pytest.mark.parametrize(
    ("server", "submission"), [(DEVELOPMENT, SUBMISSION), (SERVER, HOLDING), (SUSPENDED, HOLDING)]
)
def test_what_is_held_is_not_counted(server: Server, submission: Submission) -> None:
    desk = Desk(server=replace(server, send_limit=5), submission=submission)
    assert isinstance(desk.copy(), Held)
    assert desk.table.asked == 0


SUPPRESSION = Suppression(server_scope(SERVER.id), Reason.COMPLAINT, "ann@x.test", START)
HOLDS_SUPPRESSED = replace(SERVER, suppressed=OnSuppressed.HOLD)


@pytest.mark.parametrize("manual", [False, True])  # a person's release overrides none of it
@pytest.mark.parametrize(
    ("server", "submission", "expected"),
    [
        (SERVER, SUBMISSION, Suppressed("complaint")),
        (DEVELOPMENT, SUBMISSION, Suppressed("complaint")),
        (HOLDS_SUPPRESSED, SUBMISSION, Held(Hold.SUPPRESSED)),
        (SUSPENDED, SUBMISSION, Held(Hold.SUSPENDED)),
        (replace(SERVER, mode=Mode.SANDBOX), SUBMISSION, Suppressed("complaint")),
        (replace(SERVER, send_limit=0), SUBMISSION, Suppressed("complaint")),
    ],
)
def test_a_suppressed_recipient_gets_nothing(
    server: Server, submission: Submission, expected: Stop, manual: bool
) -> None:
    desk = Desk(server=server, submission=submission, suppression=SUPPRESSION)
    assert desk.copy(replace(DELIVERY, manual=manual)) == expected
    assert desk.table.asked == 0


def test_suppressions_are_asked_for_the_messages_stream_with_the_platforms_key() -> None:
    desk = Desk(submission=replace(SUBMISSION, stream="broadcast"))
    assert isinstance(desk.copy(), Copy)
    assert desk.asked == [("broadcast", "ann@x.test", b"r" * 32)]


def test_a_hold_knows_how_long_the_content_is_kept() -> None:
    desk = Desk(server=DEVELOPMENT, submission=replace(SUBMISSION, raw_until=START + 9))
    assert desk.copy() == Held(Hold.DEVELOPMENT, START + 9)


@pytest.mark.parametrize(
    ("server", "submission"),
    [
        (replace(SERVER, mode=Mode.SANDBOX), SUBMISSION),
        (SERVER, replace(SUBMISSION, test=True)),
        (DEVELOPMENT, replace(SUBMISSION, test=True)),
    ],
)
def test_what_never_leaves_is_answered_without_anybody_being_asked(
    server: Server, submission: Submission
) -> None:
    desk = Desk(server=replace(server, send_limit=0), submission=submission)
    simulated = desk.copy(replace(DELIVERY, recipient="bounce@x.test"))
    assert isinstance(simulated, Simulated)
    assert simulated.reply.code == 550
    assert desk.table.asked == 0


def test_a_test_of_a_key_that_holds_is_held_all_the_same() -> None:
    found = Desk(submission=replace(HOLDING, test=True)).copy()
    assert found == Held(Hold.CREDENTIAL)


@pytest.mark.parametrize(
    ("action", "expected"),
    [(LimitAction.HOLD, Held), (LimitAction.DELAY, Parked), (LimitAction.REJECT, Copy)],
)
def test_what_is_over_a_limit_is_held_or_parked(action: LimitAction, expected: type) -> None:
    desk = Desk(server=replace(SERVER, limits=Limits(day=0, action=action)))
    found = desk.copy()
    assert isinstance(found, expected)
    if isinstance(found, Parked):
        assert found.until == 1_760_054_400.0  # midnight, UTC


def test_a_recipients_own_texts_are_in_the_copy() -> None:
    body = b"From: a@demo.example\r\nSubject: Hi {{name}}\r\n\r\nDear {{name}}\r\n"
    copy = Desk(body=body).copy(replace(DELIVERY, merge={"name": "Ann"}))
    assert isinstance(copy, Copy)
    message = message_from_bytes(copy.raw)
    assert (message["Subject"], message.get_payload()) == ("Hi Ann", "Dear Ann\r\n")


def test_only_the_first_attempt_is_counted() -> None:
    desk = Desk(server=FULL)
    assert isinstance(desk.copy(replace(DELIVERY, attempts=1)), Copy)
    assert desk.table.asked == 0


def test_what_can_never_be_sent_is_refused_before_it_is_held() -> None:
    gone = Desk(server=DEVELOPMENT, body=BodyGoneError("x")).copy()
    unverified = Desk(server=DEVELOPMENT, signing_key=None).copy()
    assert [found.code for found in (gone, unverified) if isinstance(found, SmtpReply)] == [
        554,
        550,
    ]


def test_a_suspended_server_is_held_before_anything_is_refused() -> None:
    found = Desk(server=SUSPENDED, signing_key=None, body=BodyGoneError("x")).copy()
    assert found == Held(Hold.SUSPENDED)


def test_a_server_that_is_gone_is_refused() -> None:
    found = Desk(server=None).copy()
    assert isinstance(found, SmtpReply)
    assert found.code == 550


def test_a_limit_that_does_not_answer_is_no_reason_to_send() -> None:
    desk = Desk(server=replace(SERVER, send_limit=5))
    desk.table.trouble = [OSError("down")] * 2
    with pytest.raises(LimitUnavailableError):
        desk.copy()


def test_a_copy_that_cannot_be_signed_names_the_trouble_and_no_content() -> None:
    desk = Desk(body=b"From: a@demo.example\r\n\r\nsecret \n bare\r\n")
    with pytest.raises(UnfitCopyError) as raised:
        desk.copy()
    assert str(raised.value) == "ValueError"


def test_a_body_that_cannot_be_read_is_the_clouds_trouble() -> None:
    with pytest.raises(OSError, match="S3 is away"):
        Desk(body=OSError("S3 is away")).copy()


def test_what_nobody_was_promised_is_not_copied() -> None:
    with pytest.raises(NotCommittedError):
        Desk(submission=None).copy()
