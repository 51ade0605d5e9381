"""The submission dialogue without a socket: each line, each order, each limit."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import example, given, settings
from hypothesis import strategies as st

from egress.core import smtp_answer as say
from egress.core.smtp_answer import BAD_SENDER, Answer, answer, answer_of
from egress.core.smtp_command import Command, MailPath, read_command, read_path
from egress.core.smtp_demand import (
    CheckLogin,
    Demand,
    OpenTransaction,
    StartTls,
    TakeChunk,
    TakeContent,
)
from egress.core.smtp_dialogue import Dialogue
from egress.core.smtp_limits import Limits
from egress.core.smtp_login import Password
from egress.core.smtp_trace import MAX_OCTETS, Arrival, received_field
from mailroom import errors
from mailroom.domain.dsn_request import DsnRequest, RecipientRequest


def fresh(**limits: int) -> Dialogue:
    return Dialogue("smtp.mailroom.test", Limits(**limits))


def greeted(**limits: int) -> Dialogue:
    dialogue = fresh(**limits)
    dialogue.take(b"EHLO app.test")
    return dialogue


def secured(**limits: int) -> Dialogue:
    dialogue = fresh(**limits)
    dialogue.secured()
    dialogue.take(b"EHLO app.test")
    return dialogue


def logged_in(**limits: int) -> Dialogue:
    dialogue = secured(**limits)
    dialogue.logged_in()
    return dialogue


def in_transaction(**limits: int) -> Dialogue:
    dialogue = logged_in(**limits)
    dialogue.opened(OpenTransaction("a@acme.test"), suspended=False)
    return dialogue


def reply(dialogue: Dialogue, line: bytes) -> str:
    outcome = dialogue.take(line)
    assert isinstance(outcome, Answer)
    return f"{outcome.code} {outcome.status}".strip()


def test_ehlo_offers_tls_before_and_the_login_after() -> None:
    dialogue = fresh(message_size=1000)
    before = dialogue.take(b"EHLO app.test")
    dialogue.secured()
    after = dialogue.take(b"ehlo app.test")
    common = ("smtp.mailroom.test", "PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "CHUNKING")
    common = (*common, "DSN", "ENHANCEDSTATUSCODES")
    assert before == Answer(250, "", (*common, "STARTTLS"))
    assert after == Answer(250, "", (*common, "AUTH PLAIN LOGIN"))


@pytest.mark.parametrize(
    ("state", "line", "expected"),
    [
        (fresh, b"MAIL FROM:<a@acme.test>", "503 5.5.1"),
        (fresh, b"RCPT TO:<a@acme.test>", "530 5.7.0"),
        (fresh, b"DATA", "530 5.7.0"),
        (fresh, b"AUTH PLAIN AGEAYg==", "530 5.7.0"),
        (fresh, b"NOOP", "250 2.0.0"),
        (fresh, b"QUIT", "221 2.0.0"),
        (fresh, b"STARTTLS now", "501 5.5.4"),
        (secured, b"STARTTLS", "503 5.5.1"),
        (greeted, b"RCPT TO:<a@acme.test>", "530 5.7.0"),
        (secured, b"RCPT TO:<a@acme.test>", "530 5.7.0"),
        (secured, b"AUTH", "501 5.5.4"),
        (secured, b"AUTH CRAM-MD5", "504 5.5.4"),
        (secured, b"AUTH GSSAPI", "504 5.5.4"),
        (secured, b"AUTH PLAIN %%%", "501 5.5.2"),
        (secured, b"AUTH PLAIN " + base64.b64encode(b"no parts"), "501 5.5.2"),
        (secured, b"HELO", "501 5.5.4"),
        (secured, b"EHLO two words", "501 5.5.4"),
        (secured, b"HELO app.test", "250"),
        (logged_in, b"AUTH PLAIN AGEAYg==", "503 5.5.1"),
        (logged_in, b"RCPT TO:<a@acme.test>", "503 5.5.1"),
        (logged_in, b"DATA", "503 5.5.1"),
        (logged_in, b"MAIL", "501 5.5.4"),
        (logged_in, b"MAIL TO:<a@acme.test>", "501 5.5.4"),
        (logged_in, b"MAIL FROM:", "501 5.1.7"),
        (logged_in, b"MAIL FROM:<a@acme.test> SIZE", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> SIZE=x", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> SIZE=1 SIZE=2", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> SIZE=99999999999999", "552 5.3.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> BODY=BINARYMIME", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> SMTPUTF8=yes", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> HOLDFOR=10", "555 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> RET=ALL", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> ENVID=a+2", "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test> ENVID=" + b"a" * 101, "501 5.5.4"),
        (logged_in, b"MAIL FROM:<a@acme.test>RCPT", "501 5.1.7"),
        (logged_in, "MAIL FROM:<ä@acme.test>".encode(), "553 5.6.7"),
        (in_transaction, b"MAIL FROM:<a@acme.test>", "503 5.5.1"),
        (in_transaction, b"AUTH PLAIN AGEAYg==", "503 5.5.1"),
        (in_transaction, b"RCPT TO:<>", "501 5.1.3"),
        (in_transaction, b"RCPT TO:<postmaster>", "501 5.1.3"),
        (in_transaction, b"RCPT TO:<a@b@example.org>", "501 5.1.3"),
        (in_transaction, b"RCPT TO:<a@[127.0.0.1]>", "501 5.1.3"),
        (in_transaction, b"RCPT TO:<a@example.org> NOTIFY=NEVER", "250 2.1.5"),
        (in_transaction, b"RCPT TO:<a@example.org> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        (in_transaction, b"RCPT TO:<a@example.org> NOTIFY=DELAY,DELAY", "501 5.5.4"),
        (in_transaction, b"RCPT TO:<a@example.org> NOTIFY=", "501 5.5.4"),
        (in_transaction, b"RCPT TO:<a@example.org> ORCPT=rfc822", "501 5.5.4"),
        (in_transaction, b"RCPT TO:<a@example.org> ORCPT=rfc822;a@b+2", "501 5.5.4"),
        (in_transaction, b"RCPT TO:<a@example.org> ORCPT=rfc822;" + b"a" * 494, "501 5.5.4"),
        (in_transaction, b"RCPT TO:<a@example.org> SIZE=1", "555 5.5.4"),
        (in_transaction, "RCPT TO:<ä@example.org>".encode(), "553 5.6.7"),
        (in_transaction, b"RCPT TO:<a@example.org>", "250 2.1.5"),
        (in_transaction, b"DATA", "554 5.5.1"),
        (in_transaction, b"DATA now", "501 5.5.4"),
        (in_transaction, b"RSET", "250 2.0.0"),
        (in_transaction, b"RSET all", "501 5.5.4"),
        (in_transaction, b"QUIT now", "501 5.5.4"),
        (fresh, b"VRFY ann", "252 2.0.0"),
        (fresh, b"EXPN list", "502 5.5.1"),
        (fresh, b"HELP", "214 2.0.0"),
        (fresh, b"BDAT", "501 5.5.4"),
        (fresh, b"BDAT -1", "501 5.5.4"),
        (fresh, b"BDAT 1 FIRST", "501 5.5.4"),
        (fresh, b"BDAT 1e3", "501 5.5.4"),
        (fresh, b"BDAT " + b"9" * 18, "552 5.3.4"),
        (fresh, b"BDAT " + b"9" * 400, "501 5.5.4"),
        (fresh, b"", "500 5.5.2"),
        (fresh, b" NOOP", "500 5.5.2"),
        (fresh, b"NO\rOP", "500 5.5.2"),
        (fresh, b"NOOP \0", "500 5.5.2"),
        (fresh, b"\xff\xfe", "500 5.5.2"),
        (fresh, "EHLO ä.test".encode(), "500 5.5.2"),
        (fresh, "NOOP ä".encode(), "500 5.5.2"),
        (logged_in, b"MAIL FROM:<\xe4@acme.test> SMTPUTF8", "500 5.5.2"),
        (logged_in, "MAIL FROM:<a\x85@acme.test> SMTPUTF8".encode(), "500 5.5.2"),
    ],
)
def test_each_line_gets_its_reply(
    state: Callable[[], Dialogue], line: bytes, expected: str
) -> None:
    assert reply(state(), line) == expected


def test_the_null_sender_and_every_announced_parameter_are_taken() -> None:
    line = b"mail from:<> size=10 body=8bitmime auth=<>"
    assert logged_in().take(line) == OpenTransaction("")
    line = b"MAIL FROM:<a@acme.test> SMTPUTF8 RET=hdrs ENVID=a+2Bb"
    assert logged_in().take(line) == OpenTransaction("a@acme.test", True, "HDRS", "a+2Bb")


def test_whoever_was_not_let_in_is_told_what_is_missing() -> None:
    assert greeted().take(b"MAIL FROM:<>") == OpenTransaction("")  # its address may do
    assert greeted().not_let_in() == say.NEEDS_TLS
    assert secured().not_let_in() == say.NEEDS_LOGIN


def test_what_only_ehlo_offers_is_unknown_behind_helo() -> None:
    dialogue = logged_in()
    dialogue.take(b"HELO app.test")
    for parameter in (b"SMTPUTF8", b"RET=FULL", b"ENVID=a"):
        assert reply(dialogue, b"MAIL FROM:<a@acme.test> " + parameter) == "555 5.5.4"
    dialogue.opened(OpenTransaction("a@acme.test"), suspended=False)
    assert reply(dialogue, b"RCPT TO:<a@example.org> NOTIFY=NEVER") == "555 5.5.4"


def test_an_address_outside_ascii_is_taken_with_smtputf8_only() -> None:
    dialogue = logged_in()
    asked = dialogue.take("MAIL FROM:<jürgen@acme.test> SMTPUTF8".encode())
    assert asked == OpenTransaction("jürgen@acme.test", utf8=True)
    dialogue.opened(asked, suspended=False)
    assert reply(dialogue, "RCPT TO:<用户@例子.测试>".encode()) == "250 2.1.5"
    original = "RCPT TO:<a@example.org> ORCPT=utf-8;用户@例子.测试"
    assert reply(dialogue, original.encode()) == "250 2.1.5"
    assert reply(in_transaction(), original.encode()) == "501 5.5.4"


def test_what_is_asked_of_reports_is_kept_with_each_recipient() -> None:
    dialogue = logged_in()
    asked = OpenTransaction("a@acme.test", returned="FULL", envelope_id="id1")
    dialogue.opened(asked, suspended=False)
    dialogue.take(b"RCPT TO:<b@example.org> NOTIFY=delay,SUCCESS ORCPT=rfc822;B@old.test")
    dialogue.take(b"RCPT TO:<c@example.org>")
    assert dialogue.transaction
    wanted = RecipientRequest(("SUCCESS", "DELAY"), "rfc822;B@old.test")
    assert dialogue.transaction.dsn == DsnRequest("FULL", "id1", (wanted, RecipientRequest()))


def test_chunks_end_a_transactions_recipients_and_its_data() -> None:
    dialogue = in_transaction()
    dialogue.take(b"RCPT TO:<a@example.org>")
    assert dialogue.take(b"bdat 5") == TakeChunk(5, last=False)
    assert reply(dialogue, b"DATA") == "503 5.5.1"
    assert reply(dialogue, b"RCPT TO:<b@example.org>") == "503 5.5.1"
    assert dialogue.take(b"BDAT 0 LAST") == TakeChunk(0, last=True)


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        (fresh, say.NEEDS_TLS),
        (secured, say.NEEDS_LOGIN),
        (logged_in, say.NEEDS_SENDER),
        (in_transaction, say.NO_RECIPIENTS_FOR_CHUNK),
    ],
)
def test_a_chunk_out_of_place_is_read_past(state: Callable[[], Dialogue], refusal: Answer) -> None:
    dialogue = state()
    assert dialogue.take(b"BDAT 7 LAST") == TakeChunk(7, last=True, refusal=refusal)
    assert dialogue.transaction is None


def test_nobody_sends_before_ehlo_inside_tls() -> None:
    dialogue = fresh()
    dialogue.take(b"EHLO app.test")
    dialogue.secured()
    assert reply(dialogue, b"MAIL FROM:<a@acme.test>") == "503 5.5.1"


def test_tls_starts_everything_over() -> None:
    dialogue = fresh()
    dialogue.take(b"EHLO evil.test")
    dialogue.logged_in()
    dialogue.opened(OpenTransaction("a@acme.test"), suspended=False)
    assert dialogue.take(b"STARTTLS") == StartTls()
    dialogue.secured()
    assert (dialogue.client_name, dialogue.is_logged_in, dialogue.transaction) == ("", False, None)


def test_the_password_may_come_with_auth_or_on_a_line_of_its_own() -> None:
    response = base64.b64encode(b"\0name\0secret")
    assert secured().take(b"AUTH PLAIN " + response) == CheckLogin(Password("secret"))
    dialogue = secured()
    assert dialogue.take(b"auth plain") == answer(334, "", "")
    assert dialogue.take(response) == CheckLogin(Password("secret"))


def test_a_login_can_be_called_off() -> None:
    dialogue = secured()
    dialogue.take(b"AUTH PLAIN")
    assert reply(dialogue, b"*") == "501 5.7.0"
    assert reply(dialogue, b"NOOP") == "250 2.0.0"


def test_a_password_does_not_show_in_a_representation() -> None:
    assert "secret" not in repr(CheckLogin(Password("secret")))


def test_login_failures_read_the_same_until_there_are_too_many() -> None:
    dialogue = secured(login_failures=3)
    replies = [dialogue.login_failed() for _ in range(3)]
    assert replies == [say.LOGIN_FAILED, say.LOGIN_FAILED, say.TOO_MANY_FAILURES]
    assert say.TOO_MANY_FAILURES.closes


def test_rset_keeps_the_login_and_ehlo_ends_the_transaction() -> None:
    dialogue = in_transaction()
    dialogue.take(b"RSET")
    assert dialogue.take(b"MAIL FROM:<a@acme.test>") == OpenTransaction("a@acme.test")
    dialogue.opened(OpenTransaction("a@acme.test"), suspended=False)
    dialogue.take(b"EHLO app.test")
    assert dialogue.transaction is None
    assert dialogue.is_logged_in


def test_a_suspended_server_has_its_recipients_refused() -> None:
    dialogue = logged_in()
    dialogue.opened(OpenTransaction("a@acme.test"), suspended=True)
    assert reply(dialogue, b"RCPT TO:<ann@example.org>") == "535 5.7.0"
    assert reply(dialogue, b"DATA") == "554 5.5.1"


def test_the_recipient_over_the_limit_is_deferred_and_a_known_one_is_not() -> None:
    dialogue = in_transaction(recipients=2)
    replies = [reply(dialogue, b"RCPT TO:<%s@example.org>" % name) for name in (b"a", b"b", b"c")]
    assert replies == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]
    assert reply(dialogue, b"RCPT TO:<a@EXAMPLE.org>") == "250 2.1.5"
    assert dialogue.take(b"DATA") == TakeContent()
    assert dialogue.transaction
    assert [str(each) for each in dialogue.transaction.recipients] == [
        "a@example.org",
        "b@example.org",
    ]


@pytest.mark.parametrize(
    ("head", "limit"),
    [(b"NOOP ", 512), (b"MAIL FROM:<", 1181), (b"RCPT TO:<", 1048), (b"AUTH PLAIN ", 12_288)],
)
def test_a_line_may_be_as_long_as_its_command_allows(head: bytes, limit: int) -> None:
    line = head + b"A" * (limit - 2 - len(head))
    assert secured().take(line) != say.LINE_TOO_LONG
    assert secured().take(line) != say.LOGIN_TOO_LONG
    assert secured().take(line + b"A") in (say.LINE_TOO_LONG, say.LOGIN_TOO_LONG)


def test_an_overlong_response_ends_the_login() -> None:
    dialogue = secured()
    dialogue.take(b"AUTH PLAIN")
    assert reply(dialogue, b"A" * 12_288) == "500 5.5.6"
    assert reply(dialogue, b"NOOP") == "250 2.0.0"


@pytest.mark.parametrize("line", [b"BOGUS", b"\xff", b"EHLO", b"AUTH GSSAPI"])
def test_errors_are_borne_up_to_a_number(line: bytes) -> None:
    dialogue = secured(errors=3)
    codes = [reply(dialogue, line)[:3] for _ in range(4)]
    assert "421" not in codes[:3]
    assert codes[3] == "421"


def test_refused_recipients_and_wrong_order_are_no_errors() -> None:
    dialogue = in_transaction(errors=1)
    codes = {reply(dialogue, b"RCPT TO:<nobody>") for _ in range(20)}
    dialogue.closed()
    codes |= {reply(dialogue, b"RCPT TO:<ann@example.org>") for _ in range(20)}
    assert codes == {"501 5.1.3", "503 5.5.1"}


def test_commands_and_transactions_of_a_connection_are_limited() -> None:
    dialogue = logged_in(commands=3)
    assert [reply(dialogue, b"NOOP")[:3] for _ in range(3)] == ["250", "250", "421"]
    dialogue = logged_in(transactions=1)
    dialogue.opened(OpenTransaction("a@acme.test"), suspended=False)
    dialogue.closed()
    assert dialogue.take(b"MAIL FROM:<a@acme.test>") == say.TOO_MANY_MESSAGES


PATHS = [
    "<a@acme.test>",
    "<a.b+c@acme.test> SIZE=10",
    '<"a b"@acme.test>',
    '<"a>b"@acme.test> BODY=7BIT',
    "<@relay.test:a@acme.test>",
    "<@one.test,@two.test:a@acme.test>",
    "a@acme.test",
    "a@acme.test SIZE=10",
    "<A@ACME.test>",
]


@pytest.mark.parametrize("text", PATHS)
def test_paths_read_as_the_library_reads_them(text: str) -> None:
    class Reader(SMTP):
        """The library's own parser, without a connection around it."""

        def __init__(self) -> None:
            pass

        def __del__(self) -> None:
            pass

    address, rest = Reader()._getaddr(text)
    ours = read_path(f"FROM:{text}", "FROM", BAD_SENDER)
    assert isinstance(ours, MailPath)
    assert ours.address == address
    assert [f"{name}={value}" for name, value in ours.parameters.items()] == (rest or "").split()


@pytest.mark.parametrize(
    "text", ["<a@acme.test", "a@acme.test>", "<a b@acme.test>", "<<a@acme.test>>", '<"a@acme.test>']
)
def test_broken_paths_are_refused(text: str) -> None:
    assert read_path(f"FROM:{text}", "FROM", BAD_SENDER) == BAD_SENDER


def test_a_command_is_read_whatever_its_case() -> None:
    assert read_command(b"rcpt to:<A@b.test> ") == Command("RCPT", "to:<A@b.test>")


@given(st.lists(st.text(max_size=1000), min_size=1, max_size=4), st.booleans())
def test_no_text_breaks_out_of_its_reply(lines: list[str], closes: bool) -> None:
    octets = Answer(550, "5.7.0", tuple(lines), closes).encode()
    assert octets.count(b"\r\n") == octets.count(b"\n") == len(lines)
    assert all(line[:4] in (b"550-", b"550 ") for line in octets.split(b"\r\n")[:-1])
    assert all(len(line) <= 510 for line in octets.split(b"\r\n"))


@pytest.mark.parametrize("kind", [errors.MailroomError, *errors.MailroomError.__subclasses__()])
def test_every_mistake_has_a_reply(kind: type[errors.MailroomError]) -> None:
    given_ = answer_of(kind.smtp, "a reason")
    assert kind.smtp.startswith(f"{given_.code} {given_.status} ")
    assert given_.lines[0].endswith(" (a reason)")


def test_every_reply_has_a_status_of_its_class_or_needs_none() -> None:
    answers = [value for value in vars(say).values() if isinstance(value, Answer)]
    assert len(answers) > 40
    for each in answers:
        assert each.status.startswith(f"{each.code // 100}.") or each.code // 100 == 3
        out_of_step = (say.BAD_CHUNK, say.HUGE_CHUNK, say.BAD_PROXY_HEADER)
        assert (each.code == 421 or each in (say.BYE, *out_of_step)) == each.closes


@example(client="a\r\nX-Injected: (yes)", address="1.2.3.4")
@given(
    client=st.text(min_size=1, max_size=300), address=st.sampled_from(["1.2.3.4", "2001:db8::1"])
)
def test_the_trace_is_one_field_of_bounded_size(client: str, address: str) -> None:
    arrival = Arrival(client, address)
    field = received_field(arrival, host="smtp.test", id_="x1", now=1_760_000_000.5, private=False)
    assert len(field) < MAX_OCTETS
    assert field.startswith(b"Received: from ")
    assert field.endswith(b";\r\n\tThu, 09 Oct 2025 08:53:20 +0000\r\n")
    assert field.replace(b"\r\n\t", b"").count(b"\n") == 1
    assert field.count(b"(") == 1
    assert b"([IPv6:" in field or b"([1.2.3.4])" in field


def test_the_trace_of_a_private_server_says_nothing_of_the_client() -> None:
    arrival = Arrival("inner.host", "10.1.2.3")
    field = received_field(arrival, host="smtp.test", id_="x1", now=0.0, private=True)
    assert field.startswith(b"Received: by smtp.test with ESMTPSA id x1;\r\n\t")
    assert b"inner" not in field
    assert b"10.1" not in field


@pytest.mark.parametrize(
    ("extended", "utf8", "secure", "logged_in", "protocol"),
    [
        (False, False, False, False, "SMTP"),
        (True, False, False, False, "ESMTP"),
        (True, False, True, False, "ESMTPS"),
        (True, False, True, True, "ESMTPSA"),
        (True, True, True, True, "UTF8SMTPSA"),
        (True, True, False, False, "UTF8SMTP"),
    ],
)
def test_the_trace_names_how_the_message_came(
    extended: bool, utf8: bool, secure: bool, logged_in: bool, protocol: str
) -> None:
    arrival = Arrival("a", "1.2.3.4", extended, utf8, secure, logged_in)
    assert arrival.protocol == protocol


words = st.sampled_from(
    [b"EHLO a", b"MAIL FROM:<a@b.test>", b"RCPT TO:<a@b.test>", b"DATA", b"RSET", b"AUTH PLAIN",
     b"AUTH PLAIN AGEAYg==", b"*", b"AGEAYg==", b"STARTTLS", b"QUIT", b"NOOP", b"HELO x",
     b"AUTH LOGIN", b"AUTH LOGIN YQ==", b"AUTH CRAM-MD5", b"BDAT 5", b"BDAT 0 LAST",
     b"RCPT TO:<a@b.test> NOTIFY=NEVER", "MAIL FROM:<ä@b.test> SMTPUTF8".encode()]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(words | st.binary(max_size=60), max_size=30), st.booleans())
def test_content_is_taken_only_inside_tls_with_a_login_and_a_recipient(
    lines: list[bytes], lets_in: bool
) -> None:
    dialogue = fresh()
    for line in lines:
        outcome = dialogue.take(line)
        if isinstance(outcome, TakeContent) or (
            isinstance(outcome, TakeChunk) and outcome.refusal is None
        ):
            assert dialogue.is_secure
            assert dialogue.is_logged_in
            assert dialogue.transaction
            assert dialogue.transaction.recipients
        follow(dialogue, outcome, lets_in=lets_in)


def follow(dialogue: Dialogue, outcome: Answer | Demand, *, lets_in: bool) -> None:
    """Do what was demanded, as the edge would."""
    match outcome:
        case StartTls():
            dialogue.secured()
        case CheckLogin():
            given_ = dialogue.logged_in() if lets_in else dialogue.login_failed()
            assert given_.code in (235, 535, 421)
        case OpenTransaction() if dialogue.is_logged_in:
            dialogue.opened(outcome, suspended=False)
        case OpenTransaction():
            assert dialogue.not_let_in().code == 530
        case TakeContent() | TakeChunk(last=True):
            dialogue.closed()
        case TakeChunk():
            pass
        case _:
            assert outcome.encode()


def test_an_answer_reads_like_a_reply() -> None:
    assert str(answer(250, "2.0.0", "Ok")) == "250 2.0.0 Ok"
    assert Answer(250, "", ("a", "b")).encode() == b"250-a\r\n250 b\r\n"


DOCS = Path(__file__).resolve().parents[2] / "docs" / "smtp.md"


def test_every_reply_is_documented() -> None:
    table = DOCS.read_text()
    answers = [value for value in vars(say).values() if isinstance(value, Answer)]
    mistakes = errors.MailroomError.__subclasses__()
    replies = {f"{each.code} {each.status}".strip() for each in answers}
    replies |= {each.smtp[:9] for each in [*mistakes, errors.MailLoopError]}
    assert {reply for reply in replies if f"| {reply} |" not in table} == set()


def test_every_limit_is_documented_as_it_is() -> None:
    text = DOCS.read_text().split("## Limits")[1].split("## Strict")[0]
    limits = Limits()
    numbers = {limits.recipients, limits.command_line, limits.mail_line, limits.auth_line}
    numbers |= {limits.rcpt_line, limits.client_failures, limits.user_failures}
    numbers |= {limits.chunk_size >> 20}
    numbers |= {limits.errors, limits.commands, limits.transactions, limits.connections}
    numbers |= {limits.connections_per_client, limits.message_size >> 20, limits.held_octets >> 20}
    times = {limits.idle_time, limits.login_time, limits.content_time, limits.handshake_time}
    times |= {limits.failure_memory, limits.proxy_time}
    shown = [f"{number:,}" for number in numbers] + [f"{seconds:,.0f} s" for seconds in times]
    assert [each for each in shown if f" {each}" not in text] == []
