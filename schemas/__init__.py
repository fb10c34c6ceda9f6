"""The contract as code: events, topics, reasons, records (contract.md)."""
