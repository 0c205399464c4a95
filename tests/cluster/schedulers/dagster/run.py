"""Launches a job of jobs.py as a user does, waits until its run has ended, and prints the state of the run and the
attempts of its steps."""

import pathlib
import subprocess
import sys
import time
import uuid

from dagster import DagsterInstance

# Less than the time that the scenario waits for this program.
LIMIT = 540

job, run = sys.argv[1], str(uuid.uuid4())
jobs = str(pathlib.Path(__file__).with_name("jobs.py"))
launch = ["dagster", "job", "launch", "--python-file", jobs, "--job", job, "--run-id", run]
subprocess.run(launch, check=True, stdout=sys.stderr)

deadline = time.monotonic() + LIMIT
with DagsterInstance.get() as instance:
    while not (status := instance.get_run_by_id(run).status).value in ("SUCCESS", "FAILURE", "CANCELED"):
        if time.monotonic() > deadline:
            sys.exit(f"the run has not ended after {LIMIT} s: it is {status.value}")
        time.sleep(0.2)
    steps = sorted(instance.get_run_step_stats(run), key=lambda step: step.step_key)
    for event in instance.all_logs(run):
        print(event.user_message or event.message, file=sys.stderr)
attempts = ", ".join(f"{step.step_key} {step.status.value} {step.attempts}" for step in steps)
print(f"run {run}", f"state {status.value}: {attempts}", sep="\n", flush=True)
