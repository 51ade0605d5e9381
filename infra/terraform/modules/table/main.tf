resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.hash_key
  range_key                   = var.range_key
  stream_enabled              = var.stream != ""
  stream_view_type            = var.stream != "" ? var.stream : null
  deletion_protection_enabled = var.protected

  dynamic "attribute" {
    for_each = var.attributes
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = var.indexes
    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value.hash_key
      range_key       = global_secondary_index.value.range_key
      projection_type = global_secondary_index.value.projection
    }
  }

  dynamic "ttl" {
    for_each = var.ttl == "" ? [] : [var.ttl]
    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  dynamic "point_in_time_recovery" {
    for_each = var.protected ? [1] : []
    content {
      enabled = true
    }
  }
}
