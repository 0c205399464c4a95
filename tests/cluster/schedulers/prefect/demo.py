import os
import pathlib

from prefect import flow, task


@task
def extract():
    return [1, 2, 3]


@task
def load(rows):
    print(f"{len(rows)} rows for {os.environ['GREETING']}")
    print(pathlib.Path("/var/assets/query.sql").read_text())


@flow(name="etl")
def etl():
    load(extract())
