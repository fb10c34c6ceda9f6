"""What several kinds of broker tests share: processes, waiting, and an independent view of Kafka."""
