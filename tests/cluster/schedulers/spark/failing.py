"""A driver that fails for its own reason, before it starts executors."""

import os
import sys

print("failing for", os.environ.get("GREETING", "nobody"))
sys.exit(3)
