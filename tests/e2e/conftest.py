"""The shared stack's customer, and tenants of a test's own."""

import pytest

from tests.support.customer import Customer
from tests.support.stack import Stack
from tests.support.tenants import Tenants, tenants_of


@pytest.fixture(scope="session")
def customer(stack: Stack) -> Customer:
    return Customer(stack)


@pytest.fixture
def tenants(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Tenants:
    return tenants_of(stack, monkeypatch)
