# One policy for each process of a host. The role of a host gets those of the processes it runs.
resource "aws_iam_policy" "host" {
  for_each = local.resources.hosts
  name     = "${var.prefix}-${each.key}"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      # X-Ray knows no resource smaller than an account's traces.
      [{
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        Resource = "*"
      }],
      [for statement in local.access_statements[each.key] : {
        Effect   = "Allow"
        Action   = statement.actions
        Resource = statement.resource
      }],
    )
  })
}
