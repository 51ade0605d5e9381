variable "name" {
  description = "Name of the function, its role and, after /aws/lambda/, its log group."
  type        = string
}

variable "zip" {
  description = "Path of the app's zip."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime the zip was built for."
  type        = string
}

variable "handler" {
  description = "module.name of the entry point."
  type        = string
}

variable "memory_mb" {
  description = "Memory in megabytes; CPU grows with it."
  type        = number
}

variable "timeout_seconds" {
  description = "Longest run of one invocation."
  type        = number
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
}

variable "statements" {
  description = "What the function may do, apart from logging and tracing."
  type = list(object({
    actions  = list(string)
    resource = string
  }))
}

variable "log_days" {
  description = "How long the logs are kept."
  type        = number
}
