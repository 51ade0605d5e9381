"""Reply rules: the shipped ones by their own samples, and how rules are read, tried and judged."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.adapters.shipped import shipped_reply_rules
from mailroom.domain.provider import PROVIDERS
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.lint import ANYBODY, problems_of
from mailroom.domain.replies.rule import ReplyRule
from mailroom.domain.replies.rule_json import dump_book, dump_rule, load_book, load_rule
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Category, Judgement, Scope, Verb

BOOK = shipped_reply_rules()
SITES = {"microsoft365", "mimecast", "proofpoint", "barracuda"}  # known by mail exchangers alone
SAMPLES = [
    (rule.id, provider, sample)
    for rule in BOOK.rules
    for provider in ((ANYBODY,) if rule.generic else rule.providers)
    for sample in rule.samples
]


@pytest.mark.parametrize(("name", "provider", "sample"), SAMPLES, ids=lambda each: str(each)[:40])
def test_every_sample_fires_its_own_rule(name: str, provider: str, sample: SmtpReply) -> None:
    assert BOOK.judge(sample, provider).rule == name


def test_the_shipped_rules_have_no_problems() -> None:
    assert problems_of(BOOK) == ()
    assert len(BOOK.rules) >= 70


def test_rules_are_for_providers_that_exist() -> None:
    named = {name for rule in BOOK.rules if not rule.generic for name in rule.providers}
    assert named <= {*PROVIDERS, *SITES}


def test_what_is_written_is_read_the_same() -> None:
    document = json.loads(json.dumps(dump_book(BOOK)))
    again = load_book(document)
    assert again.rules == BOOK.rules
    assert again.version == BOOK.version
    assert dump_book(again) == document


def judged(code: int, text: str, phase: str = "RCPT", provider: str = "other") -> Judgement:
    return BOOK.judge(SmtpReply(code, text, phase), provider)


def test_a_gmail_quota_is_answered_by_the_published_recipe() -> None:
    found = judged(421, "4.7.28 an unusual rate of mail from your IP address", ".", "gmail")
    assert found.scope is Scope.PATH
    assert [action.verb for action in found.actions][:2] == [Verb.SUSPEND, Verb.ONE_CONNECTION]
    assert found.actions[0].seconds == 600


def test_a_domains_fault_is_not_the_paths() -> None:
    found = judged(421, "5.7.32 The From: header is not aligned", ".", "gmail")
    assert (found.scope, found.category) == (Scope.DOMAIN, Category.AUTHENTICATION)
    assert found.action(Verb.SUSPEND) is None
    assert found.permanent is None


def test_microsofts_hourly_limit_is_temporary() -> None:
    found = judged(550, "5.2.121 the hourly limit is reached", ".", "microsoft")
    assert (found.permanent, found.suppress, found.retry_after) == (False, False, 3600)


def test_a_providers_rule_goes_before_a_generic_one() -> None:
    text = "5.4.1 Recipient address rejected: Access denied."
    assert judged(550, text, provider="microsoft365").suppress
    assert not judged(550, text).suppress


def test_what_is_temporary_suppresses_nobody() -> None:
    document = {"id": "x", "scope": "message", "category": "bad-mailbox", "text": "gone"}
    book = RuleBook([load_rule({**document, "suppress": True})])
    assert book.judge(SmtpReply(550, "gone", "RCPT"), "other").suppress
    assert not book.judge(SmtpReply(450, "gone", "RCPT"), "other").suppress


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Please try again in 300 seconds", 300),
        ("Greylisted, try again in 5 minutes", 300),
        ("Greylisting in action, please come back in 00:04:59", 299),
        ("4.2.0 greylisted for 900 seconds", 900),
        ("retry after 120", 120),
        ("Retry-After: 90", 90),
        ("wait 2 hours and send it again", 7200),
        ("try again in 1 second", 30),
        ("try again in 24 hours", 14_400),
        ("try again in 10-min", 600),
        ("try again later", None),
        ("12 retries are too many", None),
        ("try again, error 17", None),
    ],
)
def test_the_time_that_a_reply_asks_for_is_kept(text: str, seconds: float | None) -> None:
    book = RuleBook([])
    assert book.judge(SmtpReply(451, text, "RCPT"), "other").retry_after == seconds
    assert book.judge(SmtpReply(554, text, "RCPT"), "other").retry_after is None


def test_a_time_in_the_reply_goes_before_the_rules() -> None:
    assert judged(450, "4.2.0 Greylisted").retry_after == 600
    assert judged(450, "4.2.0 Greylisted, try again in 120 seconds").retry_after == 120


@pytest.mark.parametrize(
    ("code", "text", "phase", "scope", "category", "rule"),
    [
        (550, "5.7.13 sorry", "RCPT", Scope.MESSAGE, Category.INACTIVE_MAILBOX, "enhanced:7.13"),
        (450, "5.7.13 sorry", "RCPT", Scope.MESSAGE, Category.OTHER, ""),  # classes disagree
        (551, "sorry", "RCPT", Scope.MESSAGE, Category.BAD_MAILBOX, ""),
        (554, "sorry", "banner", Scope.PATH, Category.BAD_CONNECTION, ""),
        (421, "sorry", "RCPT", Scope.PATH, Category.BAD_CONNECTION, ""),
        (0, "connection lost", ".", Scope.PATH, Category.UNCERTAIN, ""),
        (0, "timed out", "connect", Scope.PATH, Category.NO_ANSWER, ""),
        (250, "2.0.0 spam taken", ".", Scope.MESSAGE, Category.OTHER, ""),
    ],
)
def test_codes_speak_where_no_rule_does(
    code: int, text: str, phase: str, scope: Scope, category: Category, rule: str
) -> None:
    found = RuleBook([]).judge(SmtpReply(code, text, phase), "other")
    assert (found.scope, found.category, found.rule) == (scope, category, rule)


def test_names_in_addresses_are_not_what_the_server_says() -> None:
    assert judged(554, "5.0.0 <user-unknown.spam.virus@blacklist.example> sorry").rule == ""


def test_a_sentence_is_found_across_lines_that_repeat_the_code() -> None:
    assert judged(550, "5.2.0 over\n5.2.0 quota").category is Category.QUOTA_ISSUES


GOOD = {"id": "a", "scope": "message", "category": "other", "text": "x"}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"id": "A b"}, "rule 'A b': id: "),
        ({"colour": "red"}, "rule a: colour: no field"),
        ({"scope": "moon"}, "rule a: scope: 'moon' is not known"),
        ({"category": "moon"}, "rule a: category: 'moon' is not known"),
        ({"text": "(a+)+b"}, "rule a: text: too many ways"),
        ({"text": ".*.*x.*"}, "rule a: text: too many ways"),
        ({"text": "(?=a)"}, r"rule a: text: of groups only"),
        ({"text": r"(a)\1"}, r"rule a: text: \\1 is not taken"),
        ({"text": "Big"}, "rule a: text: replies are matched in lower case"),
        ({"text": "(a"}, "rule a: text: a group is not closed"),
        ({"text": "a)"}, "rule a: text: unmatched"),
        ({"text": "a" * 1300}, "rule a: text: text of at most"),
        ({"code": "4?"}, "rule a: code: "),
        ({"enhanced": "5.7"}, "rule a: enhanced: "),
        ({"phases": ["lunch"]}, "rule a: phases: phases are DNS"),
        ({"provider": ["*", "gmail"]}, "rule a: provider: "),
        ({"actions": [{"verb": "shout"}]}, "rule a: actions: 'shout' is no verb"),
        ({"actions": [{"verb": "suspend"}]}, "rule a: actions: suspend needs seconds"),
        ({"actions": [{"verb": "rate"}]}, "rule a: actions: rate: write it like"),
        ({"actions": [{"verb": "rate-times", "factor": 3}]}, "rule a: actions: factor is a number"),
        ({"actions": [{"verb": "alert", "seconds": 1}]}, "rule a: actions: an action alert has no"),
        ({"trigger": {"count": 3}}, "rule a: trigger: counting needs a window"),
        ({"retry_after": -1}, "rule a: retry_after: seconds above 0"),
        ({"retry_after": 10**400}, "rule a: retry_after: seconds above 0"),
        ({"suppress": "yes"}, "rule a: suppress: true or false"),
        ({"samples": [{"code": 550}]}, "rule a: samples: a sample has code, text and phase"),
        ({"text": ""}, "rule a: text: a rule must say which replies it is for"),
    ],
)
def test_a_malformed_rule_is_refused_by_rule_and_field(
    fields: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match="^" + complaint):
        load_rule({**GOOD, **fields})


def test_a_rule_set_has_each_id_once() -> None:
    with pytest.raises(ValueError, match="rule a: id: two rules have it"):
        load_book({"version": "1", "rules": [GOOD, GOOD]})


SOUND = {
    **GOOD,
    "source": "a page",
    "samples": [{"code": 550, "text": "x", "phase": "RCPT"}],
}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"samples": []}, "no sample"),
        ({"source": ""}, "no source"),
        ({"text": "y"}, "sample 1 does not match it (other)"),
        ({"suppress": True}, "suppresses for other, which is not the address's fault"),
        (
            {"suppress": True, "category": "bad-mailbox", "scope": "domain"},
            "suppresses a recipient, but blames a domain",
        ),
        (
            {"suppress": True, "category": "bad-mailbox", "permanent": False},
            "suppresses for what is temporary",
        ),
        (
            {"scope": "tenant", "actions": [{"verb": "other-address"}]},
            "another address does not cure what a tenant did",
        ),
        (
            {"actions": [{"verb": "suspend", "seconds": 9}]},
            "suspend does not go with a rule that blames a message",
        ),
        (
            {"scope": "path", "actions": [{"verb": "hold-campaign"}]},
            "hold-campaign does not go with a rule that blames a path",
        ),
        ({"actions": [{"verb": "alert"}, {"verb": "alert"}]}, "alert comes more than once"),
        (
            {"scope": "address", "actions": [{"verb": "disable-address"}]},
            "a generic rule disables an address for all sites that have no provider",
        ),
        ({"retry_after": 9, "permanent": True}, "has a time to wait for what is permanent"),
    ],
)
def test_the_linter_finds_what_makes_no_sense(fields: dict[str, object], problem: str) -> None:
    assert problems_of(RuleBook([load_rule(SOUND)])) == ()
    found = problems_of(RuleBook([load_rule({**SOUND, **fields})]))
    assert [str(each) for each in found] == [f"rule a: {problem}"]


def test_the_linter_finds_shadows() -> None:
    early = load_rule({**SOUND, "id": "early"})
    late = load_rule({**SOUND, "code": "550"})
    found = [str(each) for each in problems_of(RuleBook([early, late]))]
    assert "rule a: sample 1 fires early before it (other)" in found
    assert "rule a: never fires: early takes all it could match" in found
    assert problems_of(RuleBook([late, load_rule({**SOUND, "id": "z"})])) != ()


def test_the_linter_finds_an_id_that_comes_twice() -> None:
    rule = load_rule(SOUND)
    assert "rule a: 2 rules have this id" in map(str, problems_of(RuleBook([rule, rule])))


any_text = st.one_of(
    st.text(max_size=1_500),
    st.binary(max_size=400).map(lambda octets: octets.decode("utf-8", "replace")),
    st.lists(
        st.sampled_from([word for rule in BOOK.rules for word in rule.pattern.literals]),
        max_size=200,
    ).map(" ".join),
)


@settings(deadline=None)
@given(
    code=st.integers(-5, 999),
    text=any_text,
    phase=st.sampled_from([*Phase, "never heard of"]),
    provider=st.sampled_from(["gmail", "yahoo", "microsoft", "other", "", "\x00"]),
)
def test_every_reply_is_judged(code: int, text: str, phase: str, provider: str) -> None:
    found = BOOK.judge(SmtpReply(code, text, phase), provider)
    assert found == BOOK.judge(SmtpReply(code, text, phase), provider)
    assert found == RuleBook(BOOK.rules).judge(SmtpReply(code, text, phase), provider)
    assert not (found.suppress and 400 <= code < 500)
    assert found.retry_after is None or found.retry_after > 0


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists))
def test_what_is_no_rule_is_refused_with_a_value_error(value: object) -> None:
    for field in dump_rule(BOOK.rules[0]):
        try:
            assert isinstance(load_rule({**GOOD, field: value}), ReplyRule)
        except ValueError as error:
            assert str(error).startswith("rule ")  # noqa: PT017 - either is right


@given(st.text(alphabet="ab(|)*+?{,}1[]\\.^$", max_size=12))
def test_a_pattern_is_taken_or_refused_but_never_slow(source: str) -> None:
    try:
        rule = load_rule({**GOOD, "text": source})
    except ValueError:
        return
    rule.pattern.matches("ab" * 500)
    rule.pattern.matches("a" * 1_000)


@pytest.mark.parametrize("source", ["a{0,300}b{0,300}", "(a|ab)" * 16, "a*a*", "(x?){30}"])
def test_a_pattern_that_could_be_tried_in_too_many_ways_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="too many ways"):
        load_rule({**GOOD, "text": source})
