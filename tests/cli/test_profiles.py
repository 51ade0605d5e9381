"""Profiles: where they come from, who may read their keys, what is never shown."""

import io
import stat

import pytest

from cli.__main__ import Globals, main, take_globals
from cli.errors import UsageError
from cli.profile import Profile, Profiles, checked_url, load_profile, masked, write_profiles
from tests.cli.tool import KEY, Tool, refusal


@pytest.fixture
def home(tmp_path):
    return tmp_path, {"MAILROOM_CONFIG": str(tmp_path / "config.toml")}


def write(folder, text: str, mode: int = 0o600):
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(mode)


TWO = """
default = "b"
[profiles.a]
url = "https://a.example/"
key = "key-a"
[profiles.b]
url = "https://b.example"
key_file = "b.key"
server = "srv"
organisation = "org"
"""


def test_the_default_profile_is_used_and_its_key_is_in_a_file_of_its_own(home):
    folder, environment = home
    write(folder, TWO, 0o644)
    (folder / "b.key").write_text("key-b\n")
    (folder / "b.key").chmod(0o600)
    assert load_profile(environment) == Profile("b", "https://b.example", "key-b", "org", "srv")


def test_a_named_profile_goes_before_the_default_and_the_environment_before_all(home):
    folder, environment = home
    write(folder, TWO)
    assert load_profile(environment, name="a") == Profile("a", "https://a.example", "key-a")
    assert load_profile({**environment, "MAILROOM_PROFILE": "a"}).name == "a"
    said = {"MAILROOM_URL": "https://c.example", "MAILROOM_API_KEY": "key-c"}
    found = load_profile({**environment, **said}, name="a")
    assert (found.url, found.key) == ("https://c.example", "key-c")
    assert load_profile({**environment, **said}, url="https://d.example").url == "https://d.example"


def test_a_key_that_others_can_read_is_not_used(home):
    folder, environment = home
    write(folder, TWO, 0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        load_profile(environment, name="a")
    (folder / "b.key").write_text("key-b")
    (folder / "b.key").chmod(0o604)
    with pytest.raises(UsageError, match="chmod 600"):
        load_profile(environment, name="b")


@pytest.mark.parametrize(
    "text",
    ["profiles = 1", "[profiles.a]\nurl = 1", "[profiles.a]\nurl2 = 'x'", "= broken",
     "[profiles]\na = 1"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(home, text):
    folder, environment = home
    write(folder, text)
    with pytest.raises(UsageError, match="config"):
        load_profile(environment, name="a")


def test_a_profile_that_is_not_there_and_a_key_file_that_is_not_there_are_named(home):
    folder, environment = home
    with pytest.raises(UsageError, match="no profile 'x'"):
        load_profile(environment, name="x")
    write(folder, TWO)
    with pytest.raises(UsageError, match="key file"):
        load_profile(environment)


@pytest.mark.parametrize(
    "url",
    ["http://api.example", "ftp://api.example", "api.example", "https://", "https://u:p@a.example",
     "https://a.example?x", "https://a.example#x", ""],
)  # fmt: skip
def test_a_key_travels_over_tls_to_a_plain_address_only(url):
    with pytest.raises(UsageError):
        checked_url(url)


@pytest.mark.parametrize("url", ["http://localhost:8080/", "http://127.0.0.1:1", "http://[::1]:1"])
def test_this_machine_needs_no_tls(url):
    assert checked_url(url) == url.rstrip("/")


def test_what_is_written_is_read_back_and_private(tmp_path):
    path = tmp_path / "new" / "config.toml"
    odd = {"url": "https://x.example", "server": 'qu"ote\\ \U0001f600 \u00fc'}
    write_profiles(path, Profiles("a", {"a": odd}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_profile({"MAILROOM_CONFIG": str(path)}).server == odd["server"]


def test_a_key_is_shown_in_part_only():
    assert masked(KEY) == "mr_aa_…"
    assert masked("short") == "…"
    assert masked("") == ""
    assert KEY not in repr(Profile(key=KEY))


def test_login_tries_the_key_and_keeps_it_in_a_private_file(tool: Tool, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    tool.platform.answers = [{"id": "key_1"}]
    done = tool.run(
        "login", "https://api.example/", "--name", "prod", "--server", "s", "--key-stdin"
    )
    assert done == 0, tool.err
    assert tool.platform.asked[0].url.path == "/api/v2/me"
    found = load_profile(tool.environment)
    assert found == Profile("prod", "https://api.example", KEY, "", "s")
    assert stat.S_IMODE((tmp_path / "prod.key").stat().st_mode) == 0o600
    assert KEY not in tool.out + tool.err + (tmp_path / "config.toml").read_text()
    assert tool.run("profile", "list") == 0
    assert KEY not in tool.out
    assert tool.run("profile", "show") == 0
    assert KEY not in tool.out
    assert tool.run("profile", "use", "other") == 2
    assert tool.run("profile", "remove", "prod") == 0
    assert not (tmp_path / "prod.key").exists()


def test_a_key_that_opens_nothing_is_not_kept(tool: Tool, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("nonsense\n"))
    tool.platform.answers = [refusal(401, "unauthenticated")]
    assert tool.run("login", "https://api.example", "--key-stdin") == 1
    assert not (tmp_path / "config.toml").exists()


@pytest.mark.parametrize(
    ("line", "given", "rest"),
    [
        ("servers list --json --quiet", Globals(as_json=True, quiet=True), "servers list"),
        ("--profile p servers list", Globals("p"), "servers list"),
        ("servers list --profile=p", Globals("p"), "servers list"),
        ("--url https://x servers list", Globals(url="https://x"), "servers list"),
        ("webhooks create --url https://x", Globals(), "webhooks create --url https://x"),
        ("send -- --json", Globals(), "send -- --json"),
        ("servers list --profile", Globals(), "servers list --profile"),
    ],
)
def test_options_of_every_command_may_stand_anywhere(line, given, rest):
    assert take_globals(line.split()) == (given, rest.split())


def test_the_program_ends_with_the_code_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAILROOM_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("MAILROOM_URL", "MAILROOM_API_KEY", "MAILROOM_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    assert main(["--profile", "x", "profile", "list"]) == 2
    assert "no profile 'x'" in capsys.readouterr().err
    assert main(["profile", "list", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert main(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out
    monkeypatch.setenv("MAILROOM_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("MAILROOM_API_KEY", KEY)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert main(["servers", "list"]) == 3
    assert "no answer" in capsys.readouterr().err
