"""What stands in deploy/: dashboards, rules, container image, Compose and Kubernetes files."""
