"""`python -m tests.simulation --seed 7`, or `--seeds 10000`; exit code 1 where something is wrong."""

import argparse
import os
import sys

if os.environ.get("PYTHONHASHSEED") != "0":
    # Sets are walked in the order of hashes: the same seed must be the same run in every process.
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606

from tests.simulation.campaign import main

raise SystemExit(main(argparse.ArgumentParser(prog="python -m tests.simulation")))
