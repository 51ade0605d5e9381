"""What a deployment's resources are called, which variables say so, and who may touch them.

All pure: `infra/terraform` computes the same three things from the same file, and a test compares
what both make of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localstack.resources import Access, EventSource, Function, Resources

SERVICES = {
    "table": "dynamodb",
    "bucket": "s3",
    "key": "kms",
    "queue": "sqs",
    "topic": "sns",
}
QUEUE_CONSUMER = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
STREAM_READER = ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams")
# X-Ray knows no resource smaller than an account's traces.
TRACER = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
# EC2 knows no resource for these.
LOOKER = ("ec2:DescribeAddresses", "ec2:DescribeNetworkInterfaces")
MOVER = "ec2:AssociateAddress"
OURS = "mailroom"  # the tag of what may be moved; its value is the prefix
SHORTEST_VISIBILITY = 10  # seconds; below it a slow machine would deliver twice

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """Names and ARNs of one deployment. `keys` gives the ARN of each KMS key, made at run time."""

    prefix: str
    account: str
    region: str
    keys: Mapping[str, str]

    def name(self, logical: str) -> str:
        """Return the physical name of a resource."""
        return f"{self.prefix}-{logical}"

    def arn(self, kind: str, logical: str) -> str:
        """Return the ARN of a resource. Raises KeyError for a KMS key not made yet."""
        name, place = self.name(logical), f"{self.region}:{self.account}"
        if kind == "key":
            return self.keys[logical]
        patterns = {
            "table": f"arn:aws:dynamodb:{place}:table/{name}",
            "bucket": f"arn:aws:s3:::{name}",
            "queue": f"arn:aws:sqs:{place}:{name}",
            "topic": f"arn:aws:sns:{place}:{name}",
            "function": f"arn:aws:lambda:{place}:function:{name}",
            "policy": f"arn:aws:iam::{self.account}:policy/{name}",
            "role": f"arn:aws:iam::{self.account}:role/{name}",
            "log": f"arn:aws:logs:{place}:log-group:{log_group(name)}",
        }
        return patterns[kind]


def log_group(function_name: str) -> str:
    """Return the log group Lambda writes to."""
    return f"/aws/lambda/{function_name}"


def variable(place: str) -> str:
    """Return the variable that carries the address of `kind:name`."""
    return "MAILROOM_" + place.replace(":", "_").replace("-", "_").upper()


def environment(
    accesses: Iterable[Access], addresses: Mapping[str, str], common: Mapping[str, str]
) -> dict[str, str]:
    """Return a process's variables: the addresses of what it has access to, and `common`.

    `addresses` holds by `kind:name` the table's name, the queue's URL, the topic's ARN, the
    bucket's name, the key's ARN.
    """
    own = {variable(access.place): addresses[access.place] for access in accesses}
    return {**own, **common}


def policy(resources: Resources, function: str, names: Names) -> dict[str, Any]:
    """Return the IAM policy of a function: its access entries, its event sources, logs, traces."""
    statements = [_logs(names, function), _traces()]
    statements.extend(_access_statements(resources, resources.functions[function].access, names))
    sources = [s for s in resources.mappings.values() if s.function == function]
    statements.extend(_source_statement(source, names) for source in sources)
    return {"Version": "2012-10-17", "Statement": statements}


def host_policy(resources: Resources, host: str, names: Names) -> dict[str, Any]:
    """Return the IAM policy of a host process: its access entries, traces, Elastic IPs."""
    statements = [_traces(), *_access_statements(resources, resources.hosts[host], names)]
    if host in resources.movers:
        statements.extend(_moving(names))
    return {"Version": "2012-10-17", "Statement": statements}


def trust(service: str) -> dict[str, Any]:
    """Return the policy that lets an AWS service take a role."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def queue_policy(resources: Resources, queue: str, names: Names) -> dict[str, Any] | None:
    """Return the policy that lets the topics a queue is subscribed to send to it, if any."""
    topics = [s.topic for s in resources.subscriptions if s.queue == queue]
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": names.arn("queue", queue),
            "Condition": {"ArnEquals": {"aws:SourceArn": names.arn("topic", topic)}},
        }
        for topic in topics
    ]
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


def visibility(resources: Resources, queue: str, divisor: float) -> int:
    """Return a queue's visibility time-out in seconds when delays are divided by `divisor`."""
    described = resources.queues[queue]
    if not described.divide_visibility or divisor <= 1:
        return described.visibility_seconds
    return max(SHORTEST_VISIBILITY, round(described.visibility_seconds / divisor))


def functions_of(resources: Resources, app: str) -> Mapping[str, Function]:
    """Return the functions whose code is one app's zip."""
    return {name: f for name, f in resources.functions.items() if f.app == app}


def _logs(names: Names, function: str) -> Statement:
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    return _allow(actions, f"{names.arn('log', function)}:*")


def _traces() -> Statement:
    return _allow(list(TRACER), "*")


def _moving(names: Names) -> list[Statement]:
    """Let Elastic IPs be moved among interfaces: those that bear the deployment's tag."""
    place = f"arn:aws:ec2:{names.region}:{names.account}"
    tagged = {"StringEquals": {f"aws:ResourceTag/{OURS}": names.prefix}}
    kinds = ("elastic-ip", "network-interface")
    moves = [_allow([MOVER], f"{place}:{kind}/*") | {"Condition": tagged} for kind in kinds]
    return [_allow(list(LOOKER), "*"), *moves]


def topic_address(resources: Resources, topic: str, names: Names) -> str:
    """Return a topic's ARN or, for a family, what the ARNs of its topics begin with."""
    arn = names.arn("topic", topic)
    return f"{arn}-" if resources.topics[topic].family else arn


def _below(resources: Resources, access: Access) -> str:
    """Return what a policy adds to the resource's ARN to mean what is in it."""
    if access.kind == "bucket":
        return "/*"
    family = access.kind == "topic" and resources.topics[access.resource].family
    return "-*" if family else ""


def _access_statements(
    resources: Resources, accesses: Iterable[Access], names: Names
) -> list[Statement]:
    found: list[Statement] = []
    for access in accesses:
        found.extend(_statements(access, names, _below(resources, access)))
    return found


def _statements(access: Access, names: Names, below: str) -> list[Statement]:
    """One statement for the resource itself and one for each index named in an action."""
    service, arn = SERVICES[access.kind], names.arn(access.kind, access.resource)
    plain = [f"{service}:{action}" for action in access.actions if ":" not in action]
    target = arn + below
    statements = [_allow(plain, target)] if plain else []
    for action in access.actions:
        verb, colon, part = action.partition(":")
        if colon:
            statements.append(_allow([f"{service}:{verb}"], f"{arn}/{part}"))
    return statements


def _source_statement(source: EventSource, names: Names) -> Statement:
    if source.queue:
        return _allow([f"sqs:{a}" for a in QUEUE_CONSUMER], names.arn("queue", source.queue))
    stream = f"{names.arn('table', source.stream)}/stream/*"
    return _allow([f"dynamodb:{action}" for action in STREAM_READER], stream)


def _allow(actions: list[str], resource: str) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
