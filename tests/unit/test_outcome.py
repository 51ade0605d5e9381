"""What replies mean: those seen in the wild by name, all others by rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.outcome import (
    BounceKind,
    Verdict,
    bounce_kind,
    classify_reply,
    is_path_trouble,
    judged,
)
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Category, Judgement, Scope

SENT, DEFERRED, UNCERTAIN = Verdict.SENT, Verdict.DEFERRED, Verdict.UNCERTAIN
HARD, SOFT, BLOCK = BounceKind.HARD, BounceKind.SOFT, BounceKind.BLOCK


@pytest.mark.parametrize(
    ("code", "text", "phase", "verdict"),
    [
        (250, "2.0.0 OK 1700000000 a1-2 - gsmtp", ".", SENT),
        (250, "ok", ".", SENT),
        (0, "connection lost", ".", UNCERTAIN),
        (0, "timed out", "connect", DEFERRED),
        (0, "connection lost within the message", "DATA", DEFERRED),
        (250, "ok", "DATA", DEFERRED),  # a 250 to DATA has taken nothing
        (250, "ok", "MAIL", DEFERRED),
        (354, "go ahead", ".", DEFERRED),
        (421, "4.7.0 Try again later, closing connection.", "MAIL", DEFERRED),
        (421, "4.7.28 Our system has detected an unusual rate", ".", DEFERRED),
        (450, "4.2.0 <a@b.example>: Recipient address rejected: Greylisted", "RCPT", DEFERRED),
        (451, "4.7.1 please try again later", "RCPT", DEFERRED),
        (452, "4.2.2 The email account that you tried to reach is over quota", "RCPT", DEFERRED),
        (451, "4.4.3 the MX records could not be looked up", "DNS", DEFERRED),
        (554, "5.7.1 no SMTP service here", "banner", DEFERRED),  # about us, not this mail
        (550, "5.7.1 EHLO refused", "EHLO", DEFERRED),
        (503, "5.5.1 Bad sequence of commands", "RCPT", DEFERRED),
        (500, "5.5.1 Command unrecognized", "MAIL", DEFERRED),  # as in Postal
        (502, "5.5.1 Command not implemented", "DATA", DEFERRED),
        (530, "5.7.0 Must issue a STARTTLS command first", "MAIL", DEFERRED),  # as in Postal
        (535, "5.7.8 Authentication credentials invalid", "MAIL", DEFERRED),
        (538, "5.7.11 Encryption required", "MAIL", DEFERRED),
        (421, "5.7.32 Your email has been rate limited", ".", DEFERRED),  # the first digit rules
        (450, "5.1.1 two minds", "RCPT", DEFERRED),
        (452, "4.5.3 Too many recipients", "RCPT", DEFERRED),
        (452, "4.2.2 Mailbox full", ".", DEFERRED),
        (550, "5.2.121 Recipient's hourly message receive limit", "RCPT", DEFERRED),
        (550, "5.2.122 Recipient's per-sender limit", ".", DEFERRED),
        (521, "does not accept mail", "banner", DEFERRED),
        (199, "?", ".", DEFERRED),
        (600, "?", "RCPT", DEFERRED),
    ],
)
def test_replies_that_do_not_bounce(code: int, text: str, phase: str, verdict: Verdict) -> None:
    outcome = classify_reply(SmtpReply(code, text, phase))
    assert (outcome.verdict, outcome.bounce) == (verdict, None)


@pytest.mark.parametrize(
    ("code", "text", "phase", "bounce"),
    [
        (550, "5.1.1 The email account that you tried to reach does not exist.", "RCPT", HARD),
        (550, "5.1.2 the domain does not exist", "DNS", HARD),
        (556, "5.1.10 the domain accepts no mail (null MX)", "DNS", HARD),
        (550, "5.4.4 no mail exchanger has a usable address", "DNS", HARD),
        (550, "5.2.1 The email account that you tried to reach is disabled.", "RCPT", HARD),
        (550, "5.7.13 user account disabled", "RCPT", HARD),
        (550, "5.7.17 mailbox owner has changed", "RCPT", HARD),
        (550, "5.7.26 Unauthenticated email is not accepted due to DMARC policy.", ".", BLOCK),
        (554, "5.7.1 Service unavailable; Client host blocked using a list", "MAIL", BLOCK),
        (550, "5.7.1 Message rejected as spam", ".", BLOCK),
        (552, "5.2.2 mailbox full", "RCPT", SOFT),
        (552, "5.3.4 message too large", "MAIL", SOFT),
        (550, "no such user here", "RCPT", SOFT),  # no status: do not blame the address
        (554, "Transaction failed", ".", SOFT),
        (556, "domain does not accept mail", "RCPT", HARD),  # RFC 7504 says it without a status
        (501, "5.1.3 Bad recipient address syntax", "RCPT", HARD),
        (504, "5.5.2 <x>: Recipient address rejected: need fully-qualified address", "RCPT", SOFT),
        (500, "5.5.2 Line too long", ".", SOFT),  # to the message, not to a command
        (552, "5.2.2 mailbox full", ".", SOFT),
        (554, "5.2.2 mailbox full", "RCPT", SOFT),
        (552, "5.2.3 Message exceeds the local size limit", ".", SOFT),
        (553, "5.1.7 Sender address invalid", "MAIL", BLOCK),
        (550, "5.1.8 Sender domain does not exist", "MAIL", BLOCK),
        (550, "5.7.27 Sender domain does not receive mail (null MX)", "MAIL", BLOCK),
        (550, "5.4.1 Recipient address rejected: Access denied", "RCPT", SOFT),
        (550, "5.1.1foo", "RCPT", SOFT),  # no status either
        (550, "4.1.1 two minds", "RCPT", SOFT),
        (550, "5.1.1", "RCPT", HARD),
    ],
)
def test_permanent_refusals(code: int, text: str, phase: str, bounce: BounceKind) -> None:
    outcome = classify_reply(SmtpReply(code, text, phase))
    assert (outcome.verdict, outcome.bounce) == (Verdict.BOUNCED, bounce)


REPLIES = st.builds(
    SmtpReply,
    st.integers(-1, 1000) | st.sampled_from([0, 250, 421, 450, 503, 550, 554]),
    st.text(max_size=30) | st.from_regex(r"[245]\.\d{1,3}\.\d{1,3} .*", fullmatch=True),
    st.sampled_from(Phase) | st.text(max_size=5),
)


@given(REPLIES)
@settings(max_examples=100)
def test_every_reply_has_an_outcome_and_only_5xx_bounces(reply: SmtpReply) -> None:
    outcome = classify_reply(reply)
    assert outcome.reply is reply
    assert (outcome.verdict is Verdict.BOUNCED) == (outcome.bounce is not None)
    if outcome.verdict is Verdict.BOUNCED:
        assert 500 <= reply.code < 600
        assert reply.code != 503
        assert not 530 <= reply.code < 540
    if outcome.verdict is Verdict.SENT:
        assert (reply.code // 100, reply.phase) == (2, ".")
    if outcome.verdict is Verdict.UNCERTAIN:
        assert (reply.code, reply.phase) == (0, ".")


@given(REPLIES)
@settings(max_examples=100)
def test_only_a_status_of_its_own_makes_a_refusal_hard(reply: SmtpReply) -> None:
    if (reply.enhanced is None and reply.code != 556) or (reply.enhanced or (5,))[0] != 5:
        assert bounce_kind(reply) is BounceKind.SOFT
    if reply.enhanced is not None:
        assert [int(part) for part in reply.text.split()[0].split(".")] == list(reply.enhanced)
        assert reply.text.split()[0].isascii()


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("code", [0, 421, 550])
def test_what_goes_wrong_before_mail_is_trouble_of_the_path(phase: Phase, code: int) -> None:
    early = {Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
    reply = SmtpReply(code, "no", phase)
    assert is_path_trouble(reply) == (phase in early)
    of_the_message = Judgement(scope=Scope.MESSAGE, permanent=True, rule="known")
    assert not is_path_trouble(reply, of_the_message)
    assert is_path_trouble(reply, Judgement(scope=Scope.PATH, permanent=True)) == (phase in early)


@given(
    code=st.integers(0, 700),
    phase=st.sampled_from(Phase),
    permanent=st.sampled_from([None, True, False]),
    category=st.sampled_from(Category),
    rule=st.sampled_from(["", "known"]),
)
@settings(max_examples=200)
def test_rules_change_refusals_alone_and_a_bounce_always_has_its_kind(
    code: int, phase: Phase, permanent: bool | None, category: Category, rule: str
) -> None:
    plain = classify_reply(SmtpReply(code, "no", phase))
    told = judged(plain, Judgement(category=category, permanent=permanent, rule=rule))
    assert (told.verdict is Verdict.BOUNCED) == (told.bounce is not None)
    assert told.reply == plain.reply
    if plain.verdict in (Verdict.SENT, Verdict.UNCERTAIN):
        assert told == plain
    elif permanent is not None and code:
        assert (told.verdict is Verdict.BOUNCED) == permanent
    else:
        assert told.verdict is plain.verdict


@pytest.mark.parametrize(
    ("judgement", "reply", "kind"),
    [
        (Judgement(category=Category.BAD_MAILBOX, rule="r", suppress=True), "no", "hard"),
        (Judgement(category=Category.BAD_MAILBOX, rule="r"), "no", "soft"),
        (Judgement(category=Category.BAD_MAILBOX, rule="r"), "5.1.1 no", "soft"),
        (Judgement(category=Category.INACTIVE_MAILBOX, rule="r"), "5.2.1 no", "soft"),
        (Judgement(category=Category.BAD_DOMAIN, rule="r"), "no", "soft"),
        (Judgement(category=Category.BAD_DOMAIN, rule="r"), "5.1.2 no", "hard"),
        (Judgement(category=Category.SPAM_RELATED, rule="r"), "5.1.1 no", "block"),
        (Judgement(category=Category.BAD_MAILBOX), "5.1.1 no", "hard"),
        (Judgement(category=Category.BAD_MAILBOX), "no", "soft"),
    ],
)
def test_an_address_is_called_bad_only_by_who_is_sure(
    judgement: Judgement, reply: str, kind: str
) -> None:
    told = judged(classify_reply(SmtpReply(550, reply, Phase.RCPT)), judgement)
    assert told.bounce == kind
