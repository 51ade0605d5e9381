variable "name" {
  description = "Name of the table."
  type        = string
}

variable "hash_key" {
  description = "Partition key."
  type        = string
}

variable "range_key" {
  description = "Sort key."
  type        = string
}

variable "attributes" {
  description = "Type (S, N, B) of every attribute that a key uses."
  type        = map(string)
}

variable "indexes" {
  description = "Global secondary indexes by name."
  type = map(object({
    hash_key   = string
    range_key  = string
    projection = string
  }))
}

variable "stream" {
  description = "View type of the stream; empty for none."
  type        = string
}

variable "ttl" {
  description = "Attribute that holds an item's expiry in Unix seconds; empty for none."
  type        = string
}

variable "protected" {
  description = "Whether the table resists deletion and can be restored to any second of 35 days."
  type        = bool
}
