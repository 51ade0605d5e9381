"""A tool of the test's own."""

from pathlib import Path

import pytest

from tests.cli.tool import Tool


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)
