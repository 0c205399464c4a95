"""A driver that fails the first time. Its attempts have pods of the same name, and share a file."""

import os
import sys
from pathlib import Path

attempts = Path("/shared/attempts")
identity = Path("/bootlace/task.json")
with attempts.open("a") as file:
    print(os.environ.get("GREETING", "nobody"), identity.read_text().strip() if identity.exists() else "", file=file)
if len(attempts.read_text().splitlines()) == 1:
    sys.exit(3)
