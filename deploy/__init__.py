"""How to run and watch orderhalt: dashboards, alerts, container image, Compose and Kubernetes files."""
