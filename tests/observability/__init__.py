"""`make observability`: dashboards, rules and alerts against a real Prometheus, workers and Kafka."""
