import os
import pathlib

from dagster import Definitions, job, op
from dagster_k8s import k8s_job_executor


@op
def extract():
    print(f"a task for {os.environ['GREETING']}")
    print(pathlib.Path("/var/assets/query.sql").read_text(), flush=True)
    return [1, 2, 3]


@op
def load(rows):
    print(f"{len(rows)} rows for {os.environ['GREETING']}")
    print(pathlib.Path("/var/assets/query.sql").read_text(), flush=True)


@job(executor_def=k8s_job_executor)
def etl():
    load(extract())


definitions = Definitions(jobs=[etl])
