"""Draw a dashboard from real results, laid out as Grafana would: Grafana itself is not needed."""
