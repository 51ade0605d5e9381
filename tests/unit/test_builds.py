"""The zips: checked for what they must hold, slim, and the same every time."""

import os
import zipfile
from pathlib import Path

import pytest

from localstack.builds import BuildError, build, check, forget, rewrite, services_of
from localstack.resources import load_resources

ROOT = Path(__file__).resolve().parent.parent.parent
COMPLETE = (
    "app.py",
    "mail_api/__init__.py",
    "mailroom/__init__.py",
    "mailroom/data/reply_rules.json",
)


def make_zip(path: Path, names: tuple[str, ...]) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name in names:
            zipped.writestr(name, f"content of {name}")
    return path


@pytest.mark.parametrize("missing", COMPLETE)
def test_a_zip_without_a_needed_package_is_refused(missing: str, tmp_path: Path) -> None:
    names = tuple(name for name in COMPLETE if name != missing)
    with pytest.raises(BuildError, match=missing):
        check(make_zip(tmp_path / "a.zip", names), "api")


def test_a_complete_zip_is_accepted(tmp_path: Path) -> None:
    check(make_zip(tmp_path / "a.zip", COMPLETE), "api")


def test_only_the_descriptions_of_unused_services_are_left_out(tmp_path: Path) -> None:
    kept = ("botocore/data/sqs/service-2.json.gz", "botocore/data/endpoints.json", *COMPLETE)
    gone = ("botocore/data/ec2/2016/service-2.json.gz", "boto3/data/ec2/x.json", "boto3/examples/a")
    made = make_zip(tmp_path / "a.zip", kept + gone)
    rewrite(made, tmp_path / "b.zip", frozenset({"sqs"}))
    with zipfile.ZipFile(tmp_path / "b.zip") as slim:
        assert sorted(slim.namelist()) == sorted(kept)
        assert slim.read("app.py") == b"content of app.py"


def test_the_order_in_which_files_came_does_not_change_the_zip(tmp_path: Path) -> None:
    for name, names in (("one", COMPLETE), ("two", COMPLETE[::-1])):
        made = make_zip(tmp_path / f"{name}.in", names)
        rewrite(made, tmp_path / f"{name}.zip", frozenset())
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_an_app_keeps_the_services_its_functions_have_access_to() -> None:
    resources = load_resources(ROOT)
    assert services_of(resources, "tracking") == {"dynamodb", "sns", "kms", "sts"}


def test_a_zip_that_another_stack_may_be_reading_is_kept(tmp_path: Path) -> None:
    new, young, old = (make_zip(tmp_path / f"api-{n}.zip", ()) for n in range(3))
    other = make_zip(tmp_path / "tracking-1.zip", ())
    for path in (old, other):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    forget(tmp_path, "api", new)
    assert sorted(tmp_path.iterdir()) == sorted([new, young, other])


def test_an_app_that_cannot_be_imported_is_a_clear_error(tmp_path: Path) -> None:
    app = tmp_path / "functions" / "api"
    (app / ".chalice").mkdir(parents=True)
    (app / ".chalice" / "config.json").write_text('{"version": "2.0", "app_name": "mail-api"}')
    (app / "app.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "mailroom").mkdir()
    with pytest.raises(BuildError, match="nothing_of_that_name"):
        build(tmp_path, tmp_path, "api", frozenset(), {"PATH": "/usr/bin:/bin"})
