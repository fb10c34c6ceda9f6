"""Whether `orderhalt verify` finds a deployment to be as it must be: no figure counts without."""

from __future__ import annotations

import subprocess
import sys


def verify_is_clean(servers: str) -> bool:
    """Run the command on the deployment without prefix; say what it has found, if anything."""
    command = [sys.executable, "-m", "processor.cli", "verify", "--bootstrap-servers", servers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{done.stdout[-3000:]}{done.stderr[-3000:]}\n")
    return done.returncode == 0
