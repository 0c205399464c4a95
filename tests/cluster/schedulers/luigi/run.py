"""Runs a task of tasks.py as a user does, and prints how Luigi's scheduling has ended."""

import sys

import luigi
import tasks

task = getattr(tasks, sys.argv[1])()
result = luigi.build([task], local_scheduler=True, detailed_summary=True, log_level="DEBUG")
print(f"state {result.status.name}", flush=True)
