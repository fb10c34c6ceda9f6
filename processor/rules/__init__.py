"""The deterministic core: a state machine from events to records and rows (contract.md §3-§7)."""
