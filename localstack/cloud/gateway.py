"""HTTP APIs: one `$default` route to one function each, so the host's root is the app's root."""

from typing import Any

from localstack.cloud.compute import allow_invoke
from localstack.cloud.scope import Scope

STAGE = ROUTE = "$default"


def make_apis(scope: Scope) -> dict[str, str]:
    """Make each API and return its endpoint by logical name."""
    gateway = scope.client("apigatewayv2")
    existing = {api["Name"]: api for api in gateway.get_apis(MaxResults="500")["Items"]}
    endpoints = {}
    for logical, api in scope.resources.apis.items():
        name = scope.names.name(logical)
        found = existing.get(name) or gateway.create_api(Name=name, ProtocolType="HTTP")
        _connect(scope, gateway, found["ApiId"], scope.names.arn("function", api.function))
        source = f"arn:aws:execute-api:{scope.options.region}:{scope.account}:{found['ApiId']}/*/*"
        allow_invoke(scope, api.function, f"api-{logical}", "apigateway", source)
        endpoints[logical] = found["ApiEndpoint"]
    return endpoints


def _connect(scope: Scope, gateway: Any, api: str, function: str) -> None:
    if not gateway.get_routes(ApiId=api)["Items"]:
        integration = gateway.create_integration(
            ApiId=api,
            IntegrationType="AWS_PROXY",
            IntegrationUri=function,
            IntegrationMethod="POST",
            PayloadFormatVersion="2.0",
        )
        target = f"integrations/{integration['IntegrationId']}"
        gateway.create_route(ApiId=api, RouteKey=ROUTE, Target=target)
    if not gateway.get_stages(ApiId=api)["Items"]:
        gateway.create_stage(ApiId=api, StageName=STAGE, AutoDeploy=True)
