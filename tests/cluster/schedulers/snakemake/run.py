"""Runs a workflow as a user does: `run.py WORKFLOW OPTION…`. Prints the logs of failed pods, which Snakemake keeps, and the
state of the workflow: the exit code, the steps that are done, and the number of attempts."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

APP = pathlib.Path(__file__).parent
# Snakemake sends the files of a workflow to its pods if they are in its working directory.
workflow, *options = sys.argv[1:]
shutil.copy(APP / workflow, "Snakefile")
command = [
    "snakemake",
    "--executor=kubernetes",
    f"--kubernetes-namespace={os.environ['NAMESPACE']}",
    "--container-image=localhost/snakemake:test",
    "--default-storage-provider=s3",
    "--default-storage-prefix=s3://assets/run",
    "--jobs=10",
    # The directive `retries` of a rule repeats it in the same pod instead.
    "--retries=1",
    # A pod requests almost a whole core by default. The node has two, for everything that runs.
    "--kubernetes-cpu-scalar=0.1",
    # The default is 10 seconds.
    "--seconds-between-status-checks=1",
    *options,
]
run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
print(run.stdout)
for log in pathlib.Path(".snakemake/auxiliary/kubernetes-logs").glob("*.log"):
    print(log.read_text())
done = re.findall(r"^(\d+ of \d+ steps) ", run.stdout, re.MULTILINE)
attempts = len(re.findall(r"^Get status with: ", run.stdout, re.MULTILINE))
state = [f"exit code {run.returncode}", f"{done[-1] if done else 'no steps'} done", f"{attempts} attempts"]
print(f"state {', '.join(state)}", flush=True)
