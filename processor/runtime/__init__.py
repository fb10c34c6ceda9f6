"""An exactly-once runtime inside Faust: one Kafka transaction per partition and commit window.

It knows nothing of orders. The application hands it a factory of state machines (`protocol.Machine`)
and the names of its topics (`config.RuntimeConfig`); the runtime feeds each machine the records of
its partition and makes what the machine changed, emitted and rejected visible in one transaction
with the input offsets. Start reading at `app.py`, then `partition.py` and `transaction.py`.
"""
