"""DAGs with deferrable tasks. Bootlace is mentioned only where a task declares an output or an input."""

from datetime import datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

# Print what a task has got. The scenario compares it.
SHOW = """
echo "greeting $GREETING"
for file in /var/assets/query.sql /bootlace/task.json; do
    [ ! -e $file ] || echo "$(basename ${file%.*}) $(cat $file)"
done
"""


def pipeline(name):
    """A DAG with one scheduled run."""
    day = datetime(2026, 1, 1)
    return DAG(name, schedule="@daily", start_date=day, end_date=day, catchup=True)


def shell(task_id, script, **settings):
    return KubernetesPodOperator(
        task_id=task_id,
        image="localhost/busybox:test",
        image_pull_policy="Never",
        cmds=["sh", "-c"],
        arguments=[SHOW + script],
        deferrable=True,
        # Keep the pods, to read their logs after the run.
        on_finish_action="keep_pod",
        **settings,
    )


# The first attempt of `extract` fails.
with pipeline("reports"):
    extract = shell(
        "extract",
        'echo "rows of attempt $TRY" > /tmp/rows; [ "$TRY" != 1 ] || exit 3',
        env_vars={"TRY": "{{ ti.try_number }}"},
        annotations={"bootlace.dev/pipe-out": "[{key: Rows, file: /tmp/rows, kind: ConfigMap}]"},
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
    load = shell(
        "load",
        "[ ! -e /in/rows ] || cat /in/rows",
        annotations={"bootlace.dev/pipe-in": "[{key: Rows, mountPath: /in}]"},
    )
    extract >> load

with pipeline("failing"):
    shell("fails", "exit 3")
