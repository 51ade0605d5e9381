"""The shared stack's customer."""

import pytest

from tests.support.customer import Customer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def customer(stack: Stack) -> Customer:
    return Customer(stack)
