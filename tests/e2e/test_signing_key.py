"""The key the API publishes is the one that webhooks are signed with."""

import json
import uuid
from typing import Any

import pytest

from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack


def test_webhooks_name_a_key_of_the_published_set(customer: Customer) -> None:
    answer = customer.http(customer.status["api_url"] + "/.well-known/jwks.json")
    assert answer.status == 200
    keys = json.loads(answer.body)["keys"]
    to = f"accept+{uuid.uuid4().hex}@sim.test"
    id_ = customer.send([to])[to]
    hooks: list[dict[str, Any]] = wait_for(lambda: customer.webhooks_of(id_), what="a webhook")
    [named] = {
        value
        for hook in hooks
        for name, value in hook["headers"].items()
        if name.lower() == "x-postal-signature-kid"
    }
    assert named in [key["kid"] for key in keys]
    assert {(key["kty"], key["use"], key["alg"]) for key in keys} == {("RSA", "sig", "RS256")}
