variable "name" {
  description = "Name of the queue; its dead-letter queue has -dead behind it."
  type        = string
}

variable "visibility_seconds" {
  description = "How long a received message stays hidden."
  type        = number
}

variable "retention_seconds" {
  description = "How long an unread message is kept."
  type        = number
}

variable "max_receives" {
  description = "Receives after which a message goes to the dead-letter queue."
  type        = number
}

variable "topic_arns" {
  description = "SNS topics that may send to the queue."
  type        = list(string)
}

variable "alarm" {
  description = "Whether a message in the dead-letter queue raises an alarm."
  type        = bool
}

variable "alarm_topic_arn" {
  description = "SNS topic the alarm tells; empty for nobody."
  type        = string
}
