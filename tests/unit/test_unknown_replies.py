"""Replies that no rule knows: made alike, counted within bounds, compared over rule sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.dry_run import RecordedReply, difference, would_have_fired
from mailroom.domain.replies.normalise import MAX_NORMALISED, normalise
from mailroom.domain.replies.rule_json import load_rule
from mailroom.domain.replies.unknown import UnknownReplies
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Category


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("5.7.1 <lee@firm.example> Refused", "5.7.1 <<address>> refused"),
        ("[192.0.2.7] and [2001:db8::7]", "[<ip>] and [<ip>]"),
        ("Queue 4F2A9C01B2 at 12:30:01", "queue <id> at <time>"),
        ("at 2026-11-28T10:00:00.123Z", "at <time>"),
        ("see https://firm.example/a?b=c", "see <url>"),
        ("mx1.firm.example says no", "<host> says no"),
        ("error 17 of 200", "error <n> of <n>"),
        ("4.7.28 one\n4.7.28 two", "4.7.28 one two"),
        ("[TSS04] S3150 RP-001", "[tss04] s3150 rp-001"),
        ("see you. a1-2si345 - gsmtp", "see you. <id> - gsmtp"),
        ("", ""),
    ],
)
def test_what_differs_from_message_to_message_is_taken_out(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text(max_size=1_500))
def test_every_text_is_made_alike_and_stays_so(text: str) -> None:
    once = normalise(text)
    assert len(once) <= MAX_NORMALISED
    assert "\n" not in once
    assert len(normalise(once)) <= MAX_NORMALISED


@given(st.emails(), st.sampled_from(["<{}> refused", "no {}, sorry", "({}:blocked)", "[{}]: no"]))
def test_no_address_is_left(address: str, sentence: str) -> None:
    left = normalise(sentence.format(address))
    assert left == normalise(sentence.format("lee@firm.example"))


def reply(text: str, code: int = 550) -> SmtpReply:
    return SmtpReply(code, text, "RCPT")


def test_like_replies_count_as_one() -> None:
    unknown = UnknownReplies()
    for number in range(3):
        unknown.note(reply(f"no <user{number}@firm.example> id {number}"), "other")
    unknown.note(reply("another"), "gmail")
    unknown.note(reply("taken", 250), "gmail")
    first, second = unknown.dump()
    assert (first.key.text, first.count) == ("no <<address>> id <n>", 3)
    assert (second.key.provider, second.count, second.over) == ("gmail", 1, 0)
    assert first.key.hash != second.key.hash
    assert unknown.drain() == (first, second)
    assert unknown.dump() == ()


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60))
def test_a_full_counter_keeps_what_comes_often(words: list[str]) -> None:
    unknown = UnknownReplies(limit=3)
    for word in words:
        unknown.note(reply(word), "other")
    counted = unknown.dump()
    assert len(counted) <= 3
    assert sum(each.count for each in counted) == len(words)
    for each in counted:
        real = words.count(each.key.text)
        assert each.count - each.over <= real <= each.count
    missing = set(words) - {each.key.text for each in counted}
    assert all(words.count(word) <= len(words) / 3 for word in missing)


def book(*texts: str, category: str = "other") -> RuleBook:
    rules = [{"id": text, "scope": "message", "category": category, "text": text} for text in texts]
    return RuleBook([load_rule(rule) for rule in rules])


RECORDED = [
    RecordedReply(reply("one"), "other", 5),
    RecordedReply(reply("two"), "other"),
    RecordedReply(reply("5.7.13 three"), "gmail", 2),
    RecordedReply(reply("four"), "gmail"),
]


def test_a_dry_run_says_how_often_each_rule_would_have_fired() -> None:
    fired = would_have_fired(book("one", "two", "never"), RECORDED)
    assert fired == {"one": 5, "two": 1, "never": 0, "enhanced:7.13": 2, "": 1}


def test_two_rule_sets_are_compared_by_what_they_say() -> None:
    same = difference(book("one"), book("one"), RECORDED)
    assert (same.replies, same.changed, same.examples) == (9, 0, ())
    found = difference(book("one"), book("one", category="quota-issues"), RECORDED)
    assert found.changed == 5
    (change,) = found.examples
    assert change.recorded is RECORDED[0]
    assert (change.before.category, change.after.category) == (
        Category.OTHER,
        Category.QUOTA_ISSUES,
    )
