"""What an interrupted apply lost is found by its name, whatever it is; what is not there is not."""

from typing import Any

import pytest
from localstack_client.session import Session

from localstack.adopt import FINDERS, adoptions, import_block
from localstack.builds import runtime
from localstack.cloud.scope import Options
from localstack.provision import Provisioned, provision
from localstack.resources import load_resources
from tests.support.emulator import ROOT, Emulator
from tests.support.small_zip import small_zip

pytestmark = pytest.mark.emulator
RESOURCES = load_resources(ROOT)
Found = tuple[Session, Provisioned]


@pytest.fixture(scope="module")
def made(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Found:
    zips = dict.fromkeys(RESOURCES.apps, small_zip(tmp_path_factory.mktemp("zips") / "small.zip"))
    options = Options("lost", "us-east-1", 1.0, 2, zips, runtime(), {})
    session = emulator.session()
    return session, provision(session, RESOURCES, options)


def planned(kind: str, values: dict[str, Any], actions: tuple[str, ...] = ("create",)) -> Any:
    change = {"actions": list(actions), "after": values}
    return {"resource_changes": [{"address": f"{kind}.this", "type": kind, "change": change}]}


def every_kind(session: Session, prefix: str) -> dict[str, dict[str, Any]]:
    """Of each kind one resource, as a plan describes it."""
    gateway, functions = session.client("apigatewayv2"), session.client("lambda")
    api = next(a["ApiId"] for a in gateway.get_apis()["Items"] if a["Name"] == "lost-api")
    mapping = functions.list_event_source_mappings()["EventSourceMappings"][0]
    arn = functions.get_function(FunctionName="lost-api")["Configuration"]["FunctionArn"]
    return {
        "aws_dynamodb_table": {"name": f"{prefix}-mail"},
        "aws_s3_bucket": {"bucket": f"{prefix}-bodies"},
        "aws_iam_role": {"name": f"{prefix}-api"},
        "aws_iam_policy": {"name": f"{prefix}-sender"},
        "aws_lambda_function": {"function_name": f"{prefix}-api"},
        "aws_sqs_queue": {"name": f"{prefix}-lane-dead"},
        "aws_sns_topic": {"name": f"{prefix}-events"},
        "aws_cloudwatch_event_rule": {"name": f"{prefix}-tick"},
        "aws_cloudwatch_log_group": {"name": f"/aws/lambda/{prefix}-api"},
        "aws_kms_key": {"tags": {"Name": f"{prefix}-secrets"}},
        "aws_kms_alias": {"name": f"alias/{prefix}-secrets"},
        "aws_lambda_event_source_mapping": {
            "function_name": mapping["FunctionArn"],
            "event_source_arn": mapping["EventSourceArn"].replace("lost", prefix),
        },
        "aws_lambda_permission": {"function_name": f"{prefix}-api", "statement_id": "api-api"},
        "aws_apigatewayv2_api": {"name": f"{prefix}-api"},
        "aws_apigatewayv2_integration": {"api_id": api, "integration_uri": f"{arn}{prefix[4:]}"},
        "aws_apigatewayv2_route": {"api_id": api, "route_key": f"$default{prefix[4:]}"},
        "aws_apigatewayv2_stage": {"api_id": api, "name": f"$default{prefix[4:]}"},
    }


@pytest.mark.parametrize("kind", sorted(FINDERS))
def test_a_resource_that_is_there_is_adopted(made: Found, kind: str) -> None:
    values = every_kind(made[0], "lost")[kind]
    ((address, identity),) = adoptions(planned(kind, values), made[0])
    assert address == f"{kind}.this"
    assert identity


@pytest.mark.parametrize("kind", sorted(FINDERS))
def test_a_resource_that_is_not_there_is_left_to_be_made(made: Found, kind: str) -> None:
    values = every_kind(made[0], "lostco")[kind]
    assert list(adoptions(planned(kind, values), made[0])) == []


def test_what_is_in_the_state_or_hangs_on_something_unmade_is_left_alone(made: Found) -> None:
    table = {"name": "lost-mail"}
    assert list(adoptions(planned("aws_dynamodb_table", table, ("update",)), made[0])) == []
    assert list(adoptions(planned("aws_lambda_event_source_mapping", {}), made[0])) == []
    assert list(adoptions(planned("aws_iam_role_policy", {"name": "access"}), made[0])) == []


def test_an_address_with_an_index_stays_as_it_is() -> None:
    block = import_block('module.table["mail"].aws_dynamodb_table.this', "lost-mail")
    assert block == (
        'import {\n  to = module.table["mail"].aws_dynamodb_table.this\n  id = "lost-mail"\n}\n'
    )
