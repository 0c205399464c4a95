import os
import sys

print(f"failing for {os.environ.get('GREETING', 'nobody')}", flush=True)
sys.exit(3)
