"""Simulate a deployment in one thread: the real runtime and rules against an in-memory Kafka.

`python -m tests.simulation --seed 7` runs one seed and tells what happens in it; docs/simulation.md
says what is real in it and what is a model.

    loop        virtual time, lanes of callbacks, processes that die and freeze at any await
    network     requests and answers: delayed, lost, late, out of order between connections
    log broker transactions groups      the model of Kafka
    client consumer coordination admin  the model of aiokafka, up to where its real producer begins
    worker      one worker process: the real runtime in it, with a stand-in for Faust's app
    scenario    what a seed means: records, faults, settings
    judge       what must be true when everything has been applied
    bugs        mistakes planted into the runtime, which must be found
"""
