"""Metrics and health of a worker: what the runtime and the rules report, for Prometheus to scrape.

Only `processor.app` and the commands know of this package; whoever reports knows a protocol.
"""
