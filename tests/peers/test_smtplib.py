"""smtplib, which every Python program has, with all it can ask of a submission server."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from mailroom.domain.dsn_request import load
from tests.egress.submission_stand import SECRET
from tests.peers.door import SENDER, USER, Door, open_door

pytestmark = pytest.mark.peers

ANN = "ann@example.org"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with open_door() as door:
        yield door


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def secure(door: Door, *, implicit: bool = False) -> Iterator[smtplib.SMTP]:
    """A session inside TLS, without a login."""
    if implicit:
        with smtplib.SMTP_SSL("127.0.0.1", door.tls_port, context=unverified(), timeout=30) as it:
            yield it
        return
    with smtplib.SMTP("127.0.0.1", door.port, timeout=30) as session:
        session.starttls(context=unverified())
        yield session


@contextmanager
def logged_in(door: Door) -> Iterator[smtplib.SMTP]:
    with secure(door) as session:
        session.login(USER, SECRET)
        yield session


def letter(to: str = ANN, **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, to, "from smtplib"
    for name, value in headers.items():
        message[name] = value
    message.set_content(".dot first\nfrom a line\n")
    return message


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login", "auth_cram_md5"])
@pytest.mark.parametrize("initial", [False, True])
def test_every_mechanism_works_with_and_without_an_initial_response(
    door: Door, mechanism: str, implicit: bool, initial: bool
) -> None:
    with secure(door, implicit=implicit) as session:
        session.ehlo()
        session.user, session.password = USER, SECRET
        name = mechanism.removeprefix("auth_").replace("_", "-").upper()
        response = getattr(session, mechanism)
        assert session.auth(name, response, initial_response_ok=initial)[0] == 235
        before = len(door.parcels)
        assert session.send_message(letter()) == {}
    assert len(door.parcels) == before + 1
    assert b"\r\n.dot first\r\nfrom a line\r\n" in door.stand.raw()


@pytest.mark.parametrize("implicit", [False, True])
def test_login_takes_the_first_mechanism_that_opens(door: Door, implicit: bool) -> None:
    with secure(door, implicit=implicit) as session:
        assert session.login("any name at all", SECRET)[0] == 235


@pytest.mark.parametrize(("cram", "code"), [(False, 535), (True, 421)])
def test_a_wrong_password_is_the_exception_programs_expect(cram: bool, code: int) -> None:
    # login() tries every mechanism it finds; the third failure ends the connection.
    with open_door(cram=cram) as door, secure(door) as session:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            session.login("any", "x" * 24)
        assert refused.value.smtp_code == code


def test_login_before_starttls_is_not_supported_as_far_as_smtplib_can_tell(door: Door) -> None:
    with smtplib.SMTP("127.0.0.1", door.port, timeout=30) as session:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            session.login(USER, SECRET)
        assert session.has_extn("starttls")


def test_what_ehlo_offers_is_what_smtplib_finds(door: Door) -> None:
    with secure(door) as session:
        session.ehlo()
        for name in ("pipelining", "8bitmime", "smtputf8", "chunking", "dsn"):
            assert session.has_extn(name), name
        assert int(session.esmtp_features["size"]) == door.stand.limits.message_size
        assert not session.has_extn("starttls")


def test_addresses_outside_ascii_go_by_smtputf8(door: Door) -> None:
    message = letter("pelé@exámple.org", Comment="grüße")
    with logged_in(door) as session:
        assert session.send_message(message) == {}
    parcel = door.parcels[-1]
    assert parcel.utf8
    assert [each.local for each in parcel.recipients] == ["pelé"]
    assert "pelé@exámple.org".encode() in parcel.raw
    assert "grüße".encode() in parcel.raw


def test_addresses_outside_ascii_without_the_option_are_refused(door: Door) -> None:
    before = len(door.parcels)
    with logged_in(door) as session:
        session.command_encoding = "utf-8"
        assert session.mail(SENDER)[0] == 250
        assert session.rcpt("pelé@example.org")[0] == 553
    assert len(door.parcels) == before


def test_every_option_of_mail_and_rcpt_is_taken(door: Door) -> None:
    raw = letter().as_bytes(policy=SMTP)
    options = ["BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=QQ+2B314159"]
    notify = ["NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;ann+2Bshop@example.org"]
    with logged_in(door) as session:
        assert session.sendmail(SENDER, [ANN], raw, options, notify) == {}
    parcel = door.parcels[-1]
    asked = load(parcel.dsn)
    assert parcel.utf8
    assert asked.returned == "HDRS"
    assert "314159" in asked.envelope_id
    assert set(asked.recipients[0].notify) == {"SUCCESS", "FAILURE", "DELAY"}
    assert asked.recipients[0].original.lower().startswith("rfc822;ann")


@pytest.mark.parametrize(
    ("options", "notify"),
    [(["SIZE=1"], []), (["BODY=9BIT"], []), ([], ["NOTIFY=NEVER,DELAY"])],
)
def test_a_refused_option_stores_nothing_and_the_session_goes_on(
    door: Door, options: list[str], notify: list[str]
) -> None:
    before = len(door.parcels)
    with logged_in(door) as session:
        with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)):
            session.sendmail(SENDER, [ANN], letter().as_bytes(policy=SMTP), options, notify)
        assert session.send_message(letter()) == {}
    assert len(door.parcels) == before + 1


def test_a_refused_recipient_is_told_and_the_others_get_the_mail(door: Door) -> None:
    with logged_in(door) as session:
        refused = session.sendmail(SENDER, [ANN, "no address"], letter().as_bytes(policy=SMTP))
    assert {name: code for name, (code, _) in refused.items()} == {"no address": 501}
    assert [str(each) for each in door.parcels[-1].recipients] == [ANN]


def test_one_connection_carries_many_messages(door: Door) -> None:
    before = len(door.parcels)
    with logged_in(door) as session:
        for number in range(50):
            assert session.send_message(letter(f"u{number}@example.org")) == {}
    names = [str(each) for parcel in door.parcels[before:] for each in parcel.recipients]
    assert names == [f"u{number}@example.org" for number in range(50)]
