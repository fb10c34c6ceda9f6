"""`python -m processor.cli` is `orderhalt`, where the console script is not on the PATH."""

from processor.cli import main

main(prog_name="orderhalt")
