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
      [for arn in compact([lookup(var.host_certificate_arns, each.key, "")]) : {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = arn
      }],
      [for statement in local.access_statements[each.key] : {
        Effect   = "Allow"
        Action   = statement.actions
        Resource = statement.resource
      }],
      # Elastic IPs follow leases. EC2 knows no resource for looking; what is moved bears our tag.
      [for actions in [["ec2:DescribeAddresses", "ec2:DescribeNetworkInterfaces"]] : {
        Effect   = "Allow"
        Action   = actions
        Resource = "*"
      } if try(each.value.elastic_ips, false)],
      [for kind in ["elastic-ip", "network-interface"] : {
        Effect    = "Allow"
        Action    = ["ec2:AssociateAddress"]
        Resource  = "arn:${data.aws_partition.current.partition}:ec2:${var.region}:${local.account}:${kind}/*"
        Condition = { StringEquals = { "aws:ResourceTag/mailroom" = var.prefix } }
      } if try(each.value.elastic_ips, false)],
    )
  })
}

# One security group for each process that listens; a host has those of the processes it runs.
resource "aws_security_group" "host" {
  for_each    = var.host_vpc_id == "" ? {} : { for name, ports in var.host_ports : name => ports if length(ports) > 0 }
  name        = "${var.prefix}-${each.key}"
  description = "Clients of ${each.key}"
  vpc_id      = var.host_vpc_id

  dynamic "ingress" {
    for_each = each.value
    content {
      description = "Clients"
      protocol    = "tcp"
      from_port   = ingress.value
      to_port     = ingress.value
      cidr_blocks = var.host_clients
    }
  }
}
