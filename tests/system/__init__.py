"""What strangers use, tried against a real Kafka and the product's own workers: `make test-system`.

What is needed besides Python packages is listed in `tools/`, one file a source: `debian.txt`,
`maven.txt`, `package.json`. Whoever adds a test adds a line there; nothing is ever skipped. Prometheus
alone is unpacked (.ci/debian-unpack): its package would start a service.
"""
