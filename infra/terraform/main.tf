module "table" {
  source   = "./modules/table"
  for_each = local.resources.tables

  name       = "${var.prefix}-${each.key}"
  hash_key   = each.value.hash_key
  range_key  = each.value.range_key
  attributes = each.value.attributes
  indexes    = try(each.value.indexes, {})
  stream     = try(each.value.stream, "")
  ttl        = try(each.value.ttl, "")
  protected  = !local.emulated
}

resource "aws_s3_bucket" "this" {
  for_each = local.resources.buckets
  bucket   = "${var.prefix}-${each.key}"
  # A test's bucket goes with its mail; a platform's must be emptied by hand first.
  force_destroy = local.emulated
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = aws_s3_bucket.this
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.resources.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  dynamic "rule" {
    for_each = each.value.lifecycle_days
    content {
      id     = "expire-${rule.value}"
      status = "Enabled"
      filter {
        prefix = "${rule.value}/"
      }
      expiration {
        days = rule.value
      }
    }
  }
}

resource "aws_kms_key" "this" {
  for_each                = local.resources.keys
  description             = each.value.description
  enable_key_rotation     = true
  deletion_window_in_days = local.emulated ? 7 : 30
  # A key has no name. If its making was interrupted, this is what it is found by.
  tags = { Name = "${var.prefix}-${each.key}" }
}

resource "aws_kms_alias" "this" {
  for_each      = aws_kms_key.this
  name          = "alias/${var.prefix}-${each.key}"
  target_key_id = each.value.key_id
}

module "queue" {
  source   = "./modules/queue"
  for_each = local.resources.queues

  name = "${var.prefix}-${each.key}"
  # Ten seconds: below it a slow machine would deliver twice.
  visibility_seconds = (
    try(each.value.divide_visibility, false) && var.delay_divisor > 1
    ? max(10, floor(each.value.visibility_seconds / var.delay_divisor + 0.5))
    : each.value.visibility_seconds
  )
  retention_seconds = each.value.retention_seconds
  max_receives      = each.value.max_receives
  topic_arns = [
    for subscription in local.resources.subscriptions : aws_sns_topic.this[subscription.topic].arn
    if subscription.queue == each.key
  ]
  alarm           = !local.emulated
  alarm_topic_arn = var.alarm_topic_arn
}

resource "aws_sns_topic" "this" {
  for_each = { for name, topic in local.resources.topics : name => topic if !try(topic.family, false) }
  name     = "${var.prefix}-${each.key}"
}

resource "aws_sns_topic_subscription" "this" {
  for_each = { for s in local.resources.subscriptions : "${s.topic}-${s.queue}" => s }

  topic_arn            = aws_sns_topic.this[each.value.topic].arn
  protocol             = "sqs"
  endpoint             = module.queue[each.value.queue].arn
  raw_message_delivery = each.value.raw
}

module "function" {
  source   = "./modules/function"
  for_each = local.resources.functions

  name            = "${var.prefix}-${each.key}"
  zip             = local.zips.zips[each.value.app]
  runtime         = local.zips.runtime
  handler         = each.value.handler
  memory_mb       = each.value.memory_mb
  timeout_seconds = each.value.timeout_seconds
  environment     = local.environments[each.key]
  statements      = concat(local.access_statements[each.key], local.source_statements[each.key])
  log_days        = var.log_days
}

resource "aws_lambda_event_source_mapping" "this" {
  for_each = local.resources.mappings

  function_name = module.function[each.value.function].arn
  event_source_arn = (
    can(each.value.queue)
    ? module.queue[each.value.queue].arn
    : module.table[each.value.stream].stream_arn
  )
  batch_size              = each.value.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  starting_position                  = can(each.value.stream) ? "TRIM_HORIZON" : null
  bisect_batch_on_function_error     = can(each.value.stream) ? true : null
  maximum_retry_attempts             = try(each.value.retries, null)
  maximum_batching_window_in_seconds = try(each.value.window_seconds, 0)

  # jsonencode sorts the keys, as the provisioner does: the same pattern is the same text.
  dynamic "filter_criteria" {
    for_each = can(each.value.filters) ? [each.value.filters] : []
    content {
      dynamic "filter" {
        for_each = filter_criteria.value
        content {
          pattern = jsonencode(filter.value)
        }
      }
    }
  }

  dynamic "scaling_config" {
    for_each = [
      for limit in [var.mapping_concurrency > 0 ? var.mapping_concurrency : try(each.value.concurrency, 0)] :
      limit if can(each.value.queue) && limit > 0
    ]
    content {
      maximum_concurrency = scaling_config.value
    }
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each            = local.resources.schedules
  name                = "${var.prefix}-${each.key}"
  schedule_expression = each.value.expression
}

resource "aws_cloudwatch_event_target" "this" {
  for_each  = local.resources.schedules
  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "function"
  arn       = module.function[each.value.function].arn
}

resource "aws_lambda_permission" "schedule" {
  for_each      = local.resources.schedules
  statement_id  = "schedule-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = module.function[each.value.function].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.this[each.key].arn
}

module "api" {
  source   = "./modules/api"
  for_each = local.resources.apis

  name          = "${var.prefix}-${each.key}"
  statement_id  = "api-${each.key}"
  function_arn  = module.function[each.value.function].arn
  function_name = module.function[each.value.function].name
}
