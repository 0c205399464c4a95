import os
import pathlib
from datetime import datetime

from airflow.sdk import DAG, task

DAY = datetime(2026, 1, 1)

with DAG("etl", schedule="@daily", start_date=DAY, end_date=DAY, catchup=True):

    @task
    def extract():
        print(f"extracting for {os.environ['GREETING']}")
        print(pathlib.Path("/var/assets/query.sql").read_text())
        return [1, 2, 3]

    @task
    def load(rows):
        print(f"{len(rows)} rows for {os.environ['GREETING']}")
        print(pathlib.Path("/var/assets/query.sql").read_text())

    load(extract())
