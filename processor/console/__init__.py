"""The read service: which orders are halted and why, on pages for people and as JSON for programs.

    changelogs ─▶ replica ─▶ index of halts ─▶ pages, JSON API
    order-halted ─▶ history      └──▶ live stream

It writes nothing to Kafka and is in no consumer group; any number of it may run. What it answers is
asked of the same rules code that the workers run (processor.rules), on rows that they wrote.
"""
