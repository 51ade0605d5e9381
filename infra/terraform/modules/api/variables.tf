variable "name" {
  description = "Name of the HTTP API."
  type        = string
}

variable "statement_id" {
  description = "Name of the permission in the function's policy."
  type        = string
}

variable "function_arn" {
  description = "Function that answers every request."
  type        = string
}

variable "function_name" {
  description = "Name of the same function."
  type        = string
}
