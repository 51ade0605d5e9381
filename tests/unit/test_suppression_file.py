"""What the files of other products say, and what ours do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.suppression import Reason, Suppression
from mailroom.domain.suppression_file import (
    JSON_LINES,
    Given,
    LineError,
    guard,
    read_record,
    recognise,
    write_records,
)

NOW = 1_760_000_000.0
GIVEN = Given("server#s", Reason.IMPORT, "job 1", NOW)
SENDGRID = "email,created,reason"
MAILGUN = "address,code,error,created_at"
POSTAL = "id,type,address,reason,timestamp,keep_until"
OURS = "address,reason,detail,created_at,expires_at,source"


def read(header, line):
    layout, is_header = recognise(header)
    assert is_header
    return read_record(line, layout, GIVEN)


def one(reason=Reason.IMPORT, detail="", created_at=NOW, expires_at=None, address="ann@x.test"):
    return Suppression("server#s", reason, address, created_at, detail, expires_at, "job 1")


@pytest.mark.parametrize(
    ("header", "product", "line", "said"),
    [
        (SENDGRID, "sendgrid", "Ann@x.test,1443651141,550 5.1.1 no such user",
         one(detail="550 5.1.1 no such user", created_at=1443651141.0)),
        ("email,created", "sendgrid", "ann@x.test,1443651141", one(created_at=1443651141.0)),
        (MAILGUN, "mailgun", 'ann@x.test,550,"No, no","Fri, 21 Oct 2011 11:02:55 UTC"',
         one(detail="550 No, no", created_at=1319194975.0)),
        (POSTAL, "postal", "7,recipient,ann@x.test,too many soft fails,1700000000,1800000000",
         one(Reason.SOFT_BOUNCES, created_at=1.7e9, expires_at=1.8e9)),
        (POSTAL, "postal", "7,recipient,ann@x.test,nobody knows,,", one(detail="nobody knows")),
        (OURS, "mailroom", "ann@x.test,complaint,abuse,2025-01-01T00:00:00Z,,me",
         one(Reason.COMPLAINT, "abuse", 1735689600.0)),
        ("Email Address;Status", "csv", "ann@x.test;5.1.1", one(detail="5.1.1")),
        ("email\ttype", "csv", "ann@x.test\tSpam Report", one(Reason.COMPLAINT)),
        ("address,type", "csv", "ann@x.test,unsubscribes", one(Reason.UNSUBSCRIBE)),
        (OURS, "mailroom", "'+a@x.test,manual,'=1+1,,,",
         one(Reason.MANUAL, "=1+1", address="+a@x.test")),
        (OURS, "mailroom", "ann@x.test,manual", one(Reason.MANUAL)),
        (OURS, "mailroom", "ann@x.test,manual,,2099-01-01T00:00:00Z", one(Reason.MANUAL)),
    ],
)  # fmt: skip
def test_files_of_others_are_told_by_their_header(header, product, line, said):
    assert recognise(header)[0].product == product
    assert read(header, line) == said


def test_a_list_of_bare_addresses_needs_no_header():
    layout, is_header = recognise("ann@x.test")
    assert (layout.product, is_header) == ("plain", False)
    assert read_record("bob@x.test", layout, GIVEN) == one(address="bob@x.test")
    second, _ = recognise("Ann, ann@x.test, whatever")
    assert read_record("Bob,bob@x.test,x", second, GIVEN) == one(address="bob@x.test")


@pytest.mark.parametrize(
    "line",
    ['{"email": "Ann@x.test", "created": 1443651141, "reason": "550 no"}',
     '{"address": "ann@x.test", "created_at": "2015-09-30T22:12:21Z", "error": "550 no"}'],
)  # fmt: skip
def test_json_lines_have_the_same_names(line):
    assert read_record(line, JSON_LINES, GIVEN) == one(detail="550 no", created_at=1443651141.0)


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        (SENDGRID, "nobody,1", "local@domain"),
        (SENDGRID, "ann@x.test,yesterday", "created_at is no time"),
        (SENDGRID, "ann@x.test,1,2,3", "4 cells, but the header has 3"),
        (SENDGRID, "ann@x.test,-1", "created_at is no time"),
        (SENDGRID, "ann@x.test,nan", "created_at is no time"),
        (SENDGRID, "ann@x.test,1443651141000", "created_at is no time"),
        (SENDGRID, '"ann@x.test"x,1', "not CSV"),
        (SENDGRID, "a\x00nn@x.test,1", "not allowed"),
    ],
)
def test_what_a_line_cannot_mean_is_a_sentence(header, line, words):
    with pytest.raises(LineError, match=words):
        read(header, line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[]", "object"),
        ('{"email": ["a@x.test"]}', "text"),
        ("{}", "local@"),
    ],
)
def test_the_same_goes_for_json(line, words):
    with pytest.raises(LineError, match=words):
        read_record(line, JSON_LINES, GIVEN)


def test_empty_lines_say_nothing():
    assert read(SENDGRID, "  ") is None


@pytest.mark.parametrize("header", ["name,created", "", ",,,"])
def test_a_file_without_addresses_is_refused(header):
    with pytest.raises(LineError, match="no column"):
        recognise(header)


def test_two_columns_of_addresses_are_one_too_many():
    with pytest.raises(LineError):
        recognise("email,address")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1", "'quoted"])
def test_no_cell_is_a_formula(cell):
    assert guard(cell) == "'" + cell
    assert guard("plain") == "plain"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20), st.sampled_from(Reason)
)
def test_what_we_export_we_import(detail, reason):
    detail = " ".join(detail.split())
    said = one(reason, detail, NOW - 60, NOW + 60, "'+x=@x.test")
    header, line = write_records([said]).split("\r\n", 1)
    assert read(header, line.removesuffix("\r\n")) == said


def test_the_erased_are_not_exported():
    assert write_records([one(address=None)]).count("\n") == 1
