"""Runs a DAG once (`again.py DAG DATE`), clears its run, and runs it again.

`airflow dags test` deletes an earlier run of the same date instead of clearing it, and all other commands need a scheduler.
"""

import sys
from datetime import datetime, timezone
from unittest.mock import patch

from airflow.models.dagrun import DagRun
from airflow.utils.cli import get_bagged_dag
from airflow.utils.state import DagRunState

dag = get_bagged_dag(bundle_names=None, dag_id=sys.argv[1])
date = datetime.fromisoformat(sys.argv[2]).replace(tzinfo=timezone.utc)
run_id = dag.test(logical_date=date).run_id


def cleared(*, dag, session, **_):
    """The run. `test` has already cleared its tasks."""
    run = session.query(DagRun).filter_by(dag_id=dag.dag_id, run_id=run_id).one()
    run.dag = dag
    run.set_state(DagRunState.RUNNING)
    session.commit()
    return run


with patch("airflow.models.dagrun.get_or_create_dagrun", cleared):
    run = dag.test(logical_date=date)
sys.exit(run.state != DagRunState.SUCCESS)
