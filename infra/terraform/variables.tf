variable "prefix" {
  description = "What every resource name starts with. S3 bucket names are global: choose your own."
  type        = string
  default     = "mailroom"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.prefix))
    error_message = "2 to 25 lower-case letters, digits and hyphens, a letter first."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
}

variable "zips_file" {
  description = "zips.json as `./run package` writes it: the runtime and the zip of each app."
  type        = string
}

variable "endpoint" {
  description = "URL of an AWS emulator; empty on AWS. It leaves out what no emulator has."
  type        = string
  default     = ""
}

variable "mapping_concurrency" {
  description = "Batches that a queue's function works on at once; 0 is AWS's own limit."
  type        = number
  default     = 0
}

variable "log_days" {
  description = "How long function logs are kept."
  type        = number
  default     = 14
}

variable "alarm_topic_arn" {
  description = "SNS topic told when a dead-letter queue is not empty; empty for nobody."
  type        = string
  default     = ""
}

variable "delay_divisor" {
  description = "Shortens every wait between attempts. 1 outside of tests."
  type        = number
  default     = 1
}

variable "return_path_domain" {
  description = "Domain of return paths for tenants without one of their own."
  type        = string
}

variable "smtp_hostname" {
  description = "Name of the submission host."
  type        = string
}

variable "web_hostname" {
  description = "Name of the platform's web address."
  type        = string
}

variable "max_message_mb" {
  description = "Largest message accepted, in megabytes. Lambda takes about 4 of them, hosts all."
  type        = number
  default     = 25

  validation {
    condition     = var.max_message_mb > 0 && var.max_message_mb <= 50
    error_message = "More than 0, at most 50."
  }
}

variable "large_api_url" {
  description = "Base URL of the API on the hosts, for bodies that Lambda does not take; empty if none serves it."
  type        = string
  default     = ""
}

variable "tracking_url" {
  description = "Base URL of the tracking host, for servers without a tracking domain of their own."
  type        = string
  default     = ""
}

variable "host_ports" {
  description = "TCP ports of each process of a host that are open to clients."
  type        = map(list(number))
  default = {
    submission = [587, 465, 2525]
    hostapi    = [443]
  }
}

variable "host_clients" {
  description = "Networks that may connect to those ports."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "host_vpc_id" {
  description = "VPC of the hosts. Empty makes no security groups."
  type        = string
  default     = ""
}

variable "host_certificate_arns" {
  description = "Secrets Manager ARNs of the TLS certificate and key that a process of a host may read."
  type        = map(string)
  default     = {}
}

variable "webhook_retry_hours" {
  description = "How long a webhook call that is not taken is made again, in hours."
  type        = number
  default     = 24
}

variable "environment" {
  description = "Name of the deployment, as ids and keys made here bear its mark; the prefix if empty."
  type        = string
  default     = ""
}

variable "app_mail_host" {
  description = "Mail server for the platform's own mail, such as invitations; never one of this platform. Empty: nobody can be invited."
  type        = string
  default     = ""
}

variable "app_mail_port" {
  description = "Its port."
  type        = number
  default     = 587
}

variable "app_mail_tls" {
  description = "starttls, implicit or none."
  type        = string
  default     = "starttls"
}

variable "app_mail_from" {
  description = "From of that mail: an address, or Name <address>; needed with app_mail_host."
  type        = string
  default     = ""
}

variable "app_mail_user" {
  description = "Its login; none if empty."
  type        = string
  default     = ""
}

variable "app_mail_password" {
  description = "The password of that login. The api function has it in its environment."
  type        = string
  default     = ""
  sensitive   = true
}

variable "console_url" {
  description = "Where the console answers: the base of links in the platform's own mail."
  type        = string
  default     = ""
}

variable "brake_complaint_rate" {
  description = "Complaints of a server's delivered mail, as a share, over which its brake warns and holds; 0 is no limit."
  type        = number
  default     = 0.001
}

variable "brake_bounce_rate" {
  description = "Hard bounces of what a server's mail got an answer for, as a share, over which its brake warns and holds; 0 is no limit."
  type        = number
  default     = 0.05
}

variable "legacy_tracking_host" {
  description = "Origin of Postal's tracking host, such as https://track.old.example; links in mail that Postal sent are redirected there."
  type        = string
  default     = ""
}

variable "legacy_tracking_until" {
  description = "The day until when that is done (2027-03-31); needed with legacy_tracking_host."
  type        = string
  default     = ""
}

variable "webhook_timeout" {
  description = "Seconds for one webhook call; at most 25."
  type        = number
  default     = 10
}

variable "endpoint_networks" {
  description = "Private networks that webhooks may reach, comma-separated. Empty outside of tests."
  type        = string
  default     = ""
}

variable "trace_rate" {
  description = "Share of new traces that X-Ray follows, 0 to 1. Lambda decides for its functions itself."
  type        = number
  default     = 0.01
}

variable "xray_daemon_address" {
  description = "host:port of an X-Ray daemon of a test's own; empty on AWS."
  type        = string
  default     = ""
}

variable "spf_include" {
  description = "Name whose SPF record lists the platform's addresses; tenants include it. Empty asks for no SPF."
  type        = string
  default     = ""
}

variable "tracking_domain" {
  description = "Name that tenants' tracking domains are aliases of. Empty takes the host of tracking_url."
  type        = string
  default     = ""
}

variable "mx_hosts" {
  description = "Names of the platform's mail exchangers, comma-separated."
  type        = string
  default     = ""
}

variable "verification_prefix" {
  description = "What ownership records begin with; postal-verification for who comes from Postal. Empty means mailroom-verification."
  type        = string
  default     = ""
}

variable "return_path_label" {
  description = "First label of tenants' return paths. Empty means psrp."
  type        = string
  default     = ""
}

variable "dmarc_reports" {
  description = "Address that suggested DMARC records ask reports for. Empty suggests none."
  type        = string
  default     = ""
}

variable "sending_addresses" {
  description = "Addresses mail leaves from, comma-separated: tenants' SPF is evaluated for each. Empty only looks for the include."
  type        = string
  default     = ""
}

variable "nameservers" {
  description = "Resolvers for the checks of domains, address:port, comma-separated. Empty takes the system's."
  type        = string
  default     = ""
}
