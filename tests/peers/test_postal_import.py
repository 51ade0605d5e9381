"""The import from Postal's own database: a MariaDB with its schema, read alive and dumped."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from cli.errors import NetworkError, UsageError
from cli.postal.dump import DumpSource
from cli.postal.mariadb import MariaDbSource
from cli.postal.plan import Naming, plan
from cli.postal.reader import read_installation, read_links, read_suppressions
from cli.postal.wish import Action
from tests.cli.test_postal_import import Platform
from tests.support.postal_rows import inserts, main_rows, message_rows, schema

pytestmark = pytest.mark.peers


class MariaDb:
    """A server of the test's own, on a socket in its folder and no port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "db.sock")

    def start(self) -> None:
        who, data = f"--user={getpass.getuser()}", f"--datadir={self.folder / 'data'}"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", who, data, "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True,
        )  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["mariadbd", "--no-defaults", who, data, f"--socket={self.socket}",
                 "--skip-networking", f"--pid-file={self.folder / 'pid'}",
                 "--innodb-buffer-pool-size=16M"],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)  # between two looks at whether it answers

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def run(self, *statements: str, database: str | None = None) -> None:
        many = pymysql.constants.CLIENT.MULTI_STATEMENTS
        connection = pymysql.connect(
            unix_socket=self.socket, user="root", database=database, charset="utf8mb4",
            client_flag=many, autocommit=True,
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                while cursor.nextset():
                    pass

    def dump(self, *arguments: str) -> bytes:
        done = subprocess.run(
            ["mariadb-dump", "--no-defaults", f"--socket={self.socket}", "--user=root", *arguments],
            check=True, capture_output=True,
        )  # fmt: skip
        return done.stdout

    def url(self, user: str = "reader:p%40ss", database: str = "postal") -> str:
        return f"mysql://{user}@localhost/{database}?unix_socket={self.socket}"

    def _answers(self) -> bool:
        # The driver forgets to close a socket that nobody listens on.
        with socket.socket(socket.AF_UNIX) as door:
            if door.connect_ex(self.socket):
                return False
        try:
            self.run("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory) -> Iterator[MariaDb]:
    if shutil.which("mariadbd") is None:
        pytest.skip("not installed: mariadbd (.ci/run installs the packages)")
    server = MariaDb(tmp_path_factory.mktemp("mariadb"))
    server.start()
    try:
        server.run(
            "CREATE DATABASE `postal` CHARACTER SET utf8mb4; "
            "CREATE DATABASE `postal-server-1` CHARACTER SET utf8mb4; "
            "CREATE DATABASE `other-server-2`; CREATE USER reader@localhost IDENTIFIED BY 'p@ss'; "
            "GRANT SELECT ON *.* TO reader@localhost"
        )
        server.run(schema(messages=False), inserts(main_rows()), database="postal")
        server.run(schema(messages=True), inserts(message_rows()), database="postal-server-1")
        yield server
    finally:
        server.stop()


@pytest.fixture
def source(mariadb: MariaDb) -> MariaDbSource:
    return MariaDbSource(mariadb.url())


def test_the_database_and_every_kind_of_its_dumps_say_the_same(mariadb, source, tmp_path):
    alive = read_installation(source)
    assert len(alive.servers) == 3
    assert alive.complaints == ()
    databases = ("--databases", "postal", "postal-server-1")
    for number, options in enumerate(
        [
            (),
            ("--hex-blob", "--single-transaction"),
            ("--complete-insert", "--skip-extended-insert"),
            ("--skip-opt", "--create-options"),
            ("--compact", "--create-options"),
            ("--insert-ignore", "--net-buffer-length=4096"),
        ]
    ):
        path = tmp_path / f"{number}.sql"
        path.write_bytes(mariadb.dump(*options, *databases))
        dumped = DumpSource([path])
        assert read_installation(dumped) == alive, options
        assert list(read_links(dumped)) == list(read_links(source)), options
        assert list(read_suppressions(dumped)) == list(read_suppressions(source)), options


def test_a_dump_of_each_database_alone_is_told_by_its_header(mariadb, source, tmp_path):
    paths = []
    for name in ("postal", "postal-server-1"):
        paths.append(tmp_path / f"{name}.sql")
        paths[-1].write_bytes(mariadb.dump(name))
    dumped = DumpSource(paths)
    assert read_installation(dumped) == read_installation(source)
    assert [link.server for link in read_links(dumped)] == [1, 1, 1]


def test_an_installation_comes_over_and_a_second_run_changes_nothing(source):
    platform, wishes = Platform(), plan(read_installation(source), Naming())
    first = platform.run(wishes)
    assert {o.wish.external_id for o in first if not o.is_well} == {
        "postal:main:routes:4",  # its domain was lost in Postal
        "postal:main:credentials:4",  # the twin of another key
    }
    again = platform.run(wishes)
    assert platform.writes == []
    assert {o.action for o in again} == {Action.SKIP, Action.CONFLICT}


def test_a_table_of_a_later_version_is_not_missed(mariadb):
    mariadb.run("CREATE DATABASE `small`")
    mariadb.run("CREATE TABLE organizations (id int, name text, permalink text); "
                "INSERT INTO organizations VALUES (1, 'A', 'a')", database="small")  # fmt: skip
    found = read_installation(MariaDbSource(mariadb.url(database="small")))
    assert [o.permalink for o in found.organisations] == ["a"]


def test_another_prefix_means_other_message_databases(mariadb):
    source = MariaDbSource(mariadb.url(), prefix="elsewhere")
    assert list(read_links(source)) == []


def test_what_goes_wrong_is_said_without_the_password(mariadb):
    for url, error in [
        (mariadb.url("reader:wrong"), NetworkError),
        (mariadb.url(database="nowhere"), (NetworkError, UsageError)),
        ("mysql://reader:p%40ss@127.0.0.1:1/postal", NetworkError),
    ]:
        with pytest.raises(error) as caught:
            read_installation(MariaDbSource(url))
        assert "p@ss" not in str(caught.value)
    for url in ("mysql://localhost", "postgres://localhost/postal", "mysql:///"):
        with pytest.raises(UsageError):
            MariaDbSource(url)
