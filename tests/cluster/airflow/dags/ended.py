"""DAGs in which two tasks submit a job each to another system. The second task works until Airflow ends it."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

SUBMIT = """
trap "exit 143" TERM
echo "$JOB" > "${BOOTLACE_ABORT:-/dev/null}"
wget -q -O /dev/null "http://remote/cgi-bin/submitted/$JOB"
"""
OUTPUTS = """
- {key: Rows, file: /tmp/rows, kind: ConfigMap}
- {key: Login, file: /tmp/login, kind: Secret}
"""


def pipeline(name, **settings):
    """A DAG with one scheduled run."""
    day = datetime(2026, 1, 1)

    def submit(job, script, **more):
        return KubernetesPodOperator(
            task_id=job,
            image="localhost/busybox:test",
            cmds=["sh", "-c"],
            arguments=[SUBMIT + script],
            env_vars={"JOB": job},
            **more,
            **settings,
        )

    with DAG(name, schedule="@daily", start_date=day, end_date=day, catchup=True):
        count = submit(
            "count",
            "echo 2 > /tmp/rows; echo analytics > /tmp/login",
            annotations={"bootlace.dev/pipe-out": OUTPUTS},
        )
        count >> submit("report", "while :; do sleep 0.1; done")


pipeline("ended")
# The triggerer waits for its pods.
pipeline("ended_deferred", deferrable=True)
