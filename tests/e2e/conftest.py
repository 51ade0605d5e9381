"""The shared stack's customer, and tenants of a test's own."""

import pytest

from tests.support.api_tenant import ApiTenant, api_tenant_of
from tests.support.customer import Customer
from tests.support.operator import Operator, operator_of
from tests.support.stack import Stack
from tests.support.tenants import Tenants, tenants_of


@pytest.fixture(scope="session")
def customer(stack: Stack) -> Customer:
    return Customer(stack)


@pytest.fixture
def tenants(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Tenants:
    return tenants_of(stack, monkeypatch)


@pytest.fixture(scope="session")
def api_tenant(customer: Customer) -> ApiTenant:
    """A tenant made over the management API; each test makes the servers it wants."""
    return api_tenant_of(customer)


@pytest.fixture(scope="session")
def operator(customer: Customer) -> Operator:
    """The platform's operator."""
    return operator_of(customer)
