data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# resources.json says what there is. The provisioner of the local stack reads the same file, and a
# test compares what both make of it: change localstack/naming.py together with this file.
locals {
  resources = jsondecode(file("${path.module}/../resources.json"))
  emulated  = var.endpoint != ""
  zips      = jsondecode(file(var.zips_file))
  account   = data.aws_caller_identity.current.account_id

  services = {
    table  = "dynamodb"
    bucket = "s3"
    key    = "kms"
    queue  = "sqs"
    topic  = "sns"
  }

  # What a process is told, by kind:name. Of a half-made deployment that is only read or removed
  # not all are there; who looks one up must bear that.
  addresses = merge(
    { for name, table in module.table : "table:${name}" => table.name },
    { for name, bucket in aws_s3_bucket.this : "bucket:${name}" => bucket.bucket },
    { for name, key in aws_kms_key.this : "key:${name}" => key.arn },
    { for name, queue in module.queue : "queue:${name}" => queue.url },
    { for name, topic in aws_sns_topic.this : "topic:${name}" => topic.arn },
    { for name, arn in local.topic_families : "topic:${name}" => "${arn}-" },
  )

  # A family is made of topics that come to be at run time; their names begin with its own.
  topic_families = {
    for name, topic in local.resources.topics :
    name => "arn:${data.aws_partition.current.partition}:sns:${var.region}:${local.account}:${var.prefix}-${name}"
    if try(topic.family, false)
  }

  # What a policy names, by kind:name.
  arns = merge(
    { for name, table in module.table : "table:${name}" => table.arn },
    { for name, bucket in aws_s3_bucket.this : "bucket:${name}" => bucket.arn },
    { for name, key in aws_kms_key.this : "key:${name}" => key.arn },
    { for name, queue in module.queue : "queue:${name}" => queue.arn },
    { for name, topic in aws_sns_topic.this : "topic:${name}" => topic.arn },
    { for name, arn in local.topic_families : "topic:${name}" => arn },
  )

  # Lambda tells its functions where its daemon is; only a test has one elsewhere.
  daemon = var.xray_daemon_address == "" ? {} : { AWS_XRAY_DAEMON_ADDRESS = var.xray_daemon_address }

  legacy_tracking = var.legacy_tracking_host == "" ? {} : {
    MAILROOM_LEGACY_TRACKING_HOST  = var.legacy_tracking_host
    MAILROOM_LEGACY_TRACKING_UNTIL = var.legacy_tracking_until
  }

  # The platform's own mail, and where its links lead. Without a host nobody can be invited.
  app_mail = var.app_mail_host == "" ? {} : {
    MAILROOM_APP_MAIL_HOST = var.app_mail_host
    MAILROOM_APP_MAIL_PORT = tostring(var.app_mail_port)
    MAILROOM_APP_MAIL_TLS  = var.app_mail_tls
    MAILROOM_APP_MAIL_FROM = var.app_mail_from
  }
  app_mail_login = var.app_mail_user == "" ? {} : {
    MAILROOM_APP_MAIL_USER     = var.app_mail_user
    MAILROOM_APP_MAIL_PASSWORD = var.app_mail_password
  }
  console = var.console_url == "" ? {} : { MAILROOM_CONSOLE_URL = var.console_url }

  # What tenants' DNS points at, and how it is asked. What is empty has its default in the code.
  domains = { for name, value in {
    MAILROOM_SPF_INCLUDE         = var.spf_include
    MAILROOM_TRACKING_DOMAIN     = var.tracking_domain
    MAILROOM_MX_HOSTS            = var.mx_hosts
    MAILROOM_VERIFICATION_PREFIX = var.verification_prefix
    MAILROOM_RETURN_PATH_LABEL   = var.return_path_label
    MAILROOM_DMARC_REPORTS       = var.dmarc_reports
    MAILROOM_SENDING_ADDRESSES   = var.sending_addresses
    MAILROOM_NAMESERVERS         = var.nameservers
  } : name => value if value != "" }

  common = merge(local.daemon, local.legacy_tracking, local.domains, local.app_mail, local.console, {
    MAILROOM_DELAY_DIVISOR      = tostring(var.delay_divisor)
    MAILROOM_RETURN_PATH_DOMAIN = var.return_path_domain
    MAILROOM_SMTP_HOSTNAME      = var.smtp_hostname
    MAILROOM_WEB_HOSTNAME       = var.web_hostname
    MAILROOM_MAX_MESSAGE_MB     = tostring(var.max_message_mb)
    MAILROOM_LARGE_API_URL      = var.large_api_url
    MAILROOM_ENVIRONMENT        = var.environment == "" ? var.prefix : var.environment
    MAILROOM_TRACKING_URL       = var.tracking_url
    MAILROOM_ENDPOINT_NETWORKS  = var.endpoint_networks

    MAILROOM_WEBHOOK_RETRY_HOURS = tostring(var.webhook_retry_hours)
    MAILROOM_WEBHOOK_TIMEOUT     = tostring(var.webhook_timeout)

    MAILROOM_BRAKE_COMPLAINT_RATE = tostring(var.brake_complaint_rate)
    MAILROOM_BRAKE_BOUNCE_RATE    = tostring(var.brake_bounce_rate)

    MAILROOM_TRACE_RATE = tostring(var.trace_rate)
  })

  environments = {
    for name, function in local.resources.functions : name => merge(local.common, contains(["api", "deliverer", "scheduler"], name) ? local.app_mail_login : {}, {
      for place in keys(function.access) :
      "MAILROOM_${upper(replace(replace(place, ":", "_"), "-", "_"))}" => lookup(local.addresses, place, "")
    })
  }

  # What a policy adds to an ARN to mean what is in the resource.
  below = { for name in keys(local.topic_families) : "topic:${name}" => "-*" }

  # One statement for each resource, one more for each index that an action names.
  access_statements = {
    for name, process in merge(local.resources.functions, local.resources.hosts) : name => flatten([
      # A host process may be `like` a function.
      for place, actions in try(local.resources.functions[process.like].access, process.access) : concat(
        length([for action in actions : action if !strcontains(action, ":")]) == 0 ? [] : [{
          actions = [
            for action in actions : "${local.services[split(":", place)[0]]}:${action}"
            if !strcontains(action, ":")
          ]
          resource = "${lookup(local.arns, place, "")}${lookup(local.below, place, startswith(place, "bucket:") ? "/*" : "")}"
        }],
        [
          for action in actions : {
            actions  = ["${local.services[split(":", place)[0]]}:${split(":", action)[0]}"]
            resource = "${lookup(local.arns, place, "")}/${split(":", action)[1]}"
          } if strcontains(action, ":")
        ],
      )
    ])
  }

  source_statements = {
    for name in keys(local.resources.functions) : name => [
      for mapping in local.resources.mappings : {
        actions = can(mapping.queue) ? [
          "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
          ] : [
          "dynamodb:GetRecords", "dynamodb:GetShardIterator",
          "dynamodb:DescribeStream", "dynamodb:ListStreams",
        ]
        resource = (
          can(mapping.queue)
          ? lookup(local.arns, "queue:${mapping.queue}", "")
          : "${lookup(local.arns, "table:${mapping.stream}", "")}/stream/*"
        )
      } if mapping.function == name
    ]
  }
}
