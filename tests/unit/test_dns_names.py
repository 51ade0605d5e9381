"""Names of domains, selectors and labels."""

import pytest

from mailroom.domain.dns import names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("example.com", "example.com"),
        (" Example.COM. ", "example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("a-1.co.uk", "a-1.co.uk"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_domains_are_kept_as_the_dns_has_them(text: str, name: str) -> None:
    assert names.domain_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "a..b", "-a.example", "a-.example", "a b.example", "a_b.example"),
        *("192.0.2.1", "[::1]", "a.example/", "*.example", "a" * 64 + ".example"),
        *(".".join(["a" * 60] * 5), "\u2603\u200d.example", "a.example\nb.example"),
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a domain|^the domain"):
        names.domain_name(text)


@pytest.mark.parametrize("text", ["postal-ABCDEF", "s1", "a.b", "_x", "2026"])
def test_selectors(text: str) -> None:
    assert names.selector(text) == text.lower()


@pytest.mark.parametrize("text", ["", "a b", "a;d=x", "a..b", "x" * 64, "\u00fc", "a\n"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    if text.endswith("\n"):
        assert names.selector(text) == "a"
        return
    with pytest.raises(ValueError, match="selector"):
        names.selector(text)


def test_labels_have_no_dots_and_no_underscores() -> None:
    assert names.label("PSRP") == "psrp"
    for text in ("a.b", "_a", "", "x" * 64):
        with pytest.raises(ValueError, match="label"):
            names.label(text)


def test_parents_end_at_the_top() -> None:
    assert list(names.parents("a.b.example.com")) == ["b.example.com", "example.com", "com"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("example.com", "example.com"),
        ("xn--bcher-kva.example", "b\u00fccher.example"),
        ("xn--\u2603.example", "xn--\u2603.example"),
        ("xn--a.example", "xn--a.example"),
    ],
)
def test_names_are_shown_in_their_own_script(name: str, shown: str) -> None:
    assert names.shown_name(name) == shown
