"""Check a deployment against its own records, and replay it: nothing lost, nothing twice, nothing else.

The order in which a partition's inputs were applied stands in the journal alone. So:

    journal ─▶ runs of input offsets ─▶ the rules ─▶ what must stand in order-halted,
                                                     orderhalt-rejected and the changelogs

`replay` goes through the journal transaction by transaction; `logs` compare what each must have
written with what is there, record by record; `positions` compares where the inputs are according to
journal, positions rows and consumer group. Everything streams: memory holds one partition's state,
and a digest of the last record of each key.

The core (all but `kafka`) does no I/O of its own: it takes `streams` from whoever has them.
"""
