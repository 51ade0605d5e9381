"""AUTH exchanges: what each response leads to, malformed ones included."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer, answer
from egress.core.smtp_login import CRAM, Digest, Exchange, Password, challenge


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def test_login_asks_for_a_name_and_for_a_password_as_clients_expect() -> None:
    exchange = Exchange("LOGIN", "")
    assert exchange.begin("") == answer(334, "", "VXNlcm5hbWU6")
    assert exchange.respond(b64("anyone")) == answer(334, "", "UGFzc3dvcmQ6")
    assert exchange.respond(b64("secret")) == Password("secret")


@pytest.mark.parametrize("initial", [b64("anyone"), "="])
def test_login_takes_the_name_on_the_auth_line(initial: str) -> None:
    exchange = Exchange("LOGIN", "")
    assert exchange.begin(initial) == answer(334, "", "UGFzc3dvcmQ6")
    assert exchange.respond(b64("secret")) == Password("secret")


def test_an_empty_password_is_a_proof_that_opens_nothing() -> None:
    exchange = Exchange("LOGIN", "")
    exchange.begin(b64("anyone"))
    assert exchange.respond("") == Password("")


def test_cram_md5_reads_as_in_the_rfc() -> None:
    # The example of RFC 2195 section 2.
    asked = "<1896.697170952@postoffice.reston.mci.net>"
    exchange = Exchange(CRAM, asked)
    said = exchange.begin("")
    assert isinstance(said, Answer)
    assert base64.b64decode(said.lines[0]).decode() == asked
    proof = exchange.respond("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw")
    assert proof == Digest("tim", asked, "b913a602c7eda7a495b4e6e7334d3890")
    assert proof.is_made_with("tanstaaftanstaaf")
    assert not proof.is_made_with("tanstaaftanstaag")


@pytest.mark.parametrize(
    "response",
    [
        "", "=", "%%%", b64(""), b64(" "), b64("user"), b64("user 1234"), b64("user " + "g" * 32),
        b64(" " + "a" * 32), b64("a" * 32), b64("u" * 300 + " " + "a" * 32), b64(b"\xff\xfe"),
        b64("user " + "a" * 33),
    ],
)  # fmt: skip
def test_a_malformed_cram_response_is_refused_and_no_more(response: str) -> None:
    """Defect 22 of Postal: it raises inside the handler, and the connection is gone."""
    exchange = Exchange(CRAM, "<1@a>")
    exchange.begin("")
    assert exchange.respond(response) == say.LOGIN_MALFORMED


def test_nobody_speaks_first_in_cram_md5() -> None:
    assert Exchange(CRAM, "<1@a>").begin(b64("user " + "a" * 32)) == say.BAD_ARGUMENT


def test_a_password_that_is_not_utf8_opens_nothing() -> None:
    assert Exchange("PLAIN", "").begin(b64(b"\0a\0\xff")) == Password("")


def test_challenges_of_a_session_differ_and_have_postals_form() -> None:
    first, second = (challenge("nonce", number, "smtp.test") for number in (1, 2))
    assert first != second
    assert len(first) == len("<@smtp.test>") + 20
    assert challenge("another", 1, "smtp.test") != first


def test_no_secret_shows_in_a_representation() -> None:
    assert "secret" not in repr(Password("secret"))
    assert "abcdef" not in repr(Digest("user", "<1@a>", "abcdef"))


@settings(max_examples=100)
@given(
    st.sampled_from(["PLAIN", "LOGIN", CRAM]),
    st.lists(st.binary(max_size=80).map(b64) | st.text(max_size=30), min_size=1, max_size=3),
)
def test_any_exchange_ends_in_a_proof_or_an_answer(mechanism: str, lines: list[str]) -> None:
    exchange = Exchange(mechanism, "<1@a>")
    outcome = exchange.begin(lines[0])
    for line in lines[1:]:
        if not (isinstance(outcome, Answer) and outcome.code == 334):
            break
        outcome = exchange.respond(line)
    codes = (334, 501)
    assert isinstance(outcome, Password | Digest) or outcome.code in codes
