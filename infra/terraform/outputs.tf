output "addresses" {
  description = "What a process is told of each resource, by kind:name."
  value       = local.addresses
}

output "endpoints" {
  description = "URL of each HTTP API."
  value       = { for name, api in module.api : name => api.endpoint }
}

output "functions" {
  description = "Name of each function."
  value       = { for name, function in module.function : name => function.name }
}

output "host_policies" {
  description = "ARN of the IAM policy of each process of a host."
  value       = { for name, policy in aws_iam_policy.host : name => policy.arn }
}

output "host_security_groups" {
  description = "Id of the security group of each process of a host that listens."
  value       = { for name, group in aws_security_group.host : name => group.id }
}
