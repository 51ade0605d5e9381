output "endpoint" {
  description = "URL of the API; its root is the app's root."
  value       = aws_apigatewayv2_api.this.api_endpoint
}
