"""Jobs of a team that uses Dagster. Bootlace is mentioned only where a job declares outputs and inputs."""

import os
import pathlib

from dagster import Definitions, DynamicOut, DynamicOutput, In, Nothing, RetryPolicy, in_process_executor, job, op
from dagster_k8s import PipesK8sClient, k8s_job_executor, k8s_job_op

BUSYBOX = "localhost/busybox:test"
PYTHON = "localhost/dagster:test"

# Print what a task has got. The scenario compares it.
SHELL = """
echo "greeting: $GREETING"
for file in /var/assets/query.sql /bootlace/task.json; do [ ! -e $file ] || echo "$file: $(cat $file)"; done
"""


def show():
    print(f"greeting: {os.environ.get('GREETING', '')}")
    for file in ["/var/assets/query.sql", "/bootlace/task.json"]:
        if os.path.exists(file):
            print(f"{file}: {pathlib.Path(file).read_text().strip()}", flush=True)


def annotated(**annotations):
    """The configuration of a pod with annotations of Bootlace: pipe_out is bootlace.dev/pipe-out."""
    names = {f"bootlace.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"annotations": names}


# Steps as pods, a dynamic step, and a step that is retried.
@op(out=DynamicOut())
def extract():
    show()
    for part in ["east", "west"]:
        yield DynamicOutput(part, mapping_key=part)


@op
def load(part):
    show()
    return part


@op(retry_policy=RetryPolicy(max_retries=1))
def check(context, parts):
    show()
    if context.retry_number == 0:
        raise RuntimeError("the first attempt fails")
    print(f"checked {', '.join(sorted(parts))}", flush=True)


@job(executor_def=k8s_job_executor)
def sales():
    check(extract().map(load).collect())


# A step that fails.
@op
def fail():
    show()
    raise RuntimeError("this step always fails")


@job(executor_def=k8s_job_executor)
def failing():
    fail()


# A step takes the output of the step before it.
REPORT = "[{key: Report, file: /tmp/report.txt, kind: ConfigMap}]"
READ_REPORT = "[{key: Report, mountPath: /in}]"


@op(tags={"dagster-k8s/config": {"pod_template_spec_metadata": annotated(pipe_out=REPORT)}})
def write(context):
    pathlib.Path("/tmp/report.txt").write_text(f"written by {context.op.name}")


@op(
    ins={"start": In(Nothing)},
    tags={"dagster-k8s/config": {"pod_template_spec_metadata": annotated(pipe_in=READ_REPORT)}},
)
def read():
    report = pathlib.Path("/in/report.txt")
    print(f"report: {report.read_text() if report.exists() else 'none'}", flush=True)


@job(executor_def=k8s_job_executor)
def handover():
    read(start=write())


# Ops that run another image. The first attempt of `query` fails.
def in_busybox(name, script, **config):
    config = {"image": BUSYBOX, "image_pull_policy": "Never", "command": ["sh", "-c", script], **config}
    return k8s_job_op.configured(config, name=name)


query = in_busybox("query", SHELL + "case $HOSTNAME in *-1-*) ;; *) exit 3 ;; esac")


@job(executor_def=in_process_executor)
def job_op():
    query.with_retry_policy(RetryPolicy(max_retries=1))()


# k8s_job_op does not work with outputs if it shows the log of a pod, which it does if the pod is never restarted.
write_file = in_busybox(
    "write_file",
    "echo written by an op > /tmp/report.txt",
    pod_template_spec_metadata=annotated(pipe_out=REPORT),
    pod_spec_config={"restart_policy": "OnFailure"},
)
read_file = in_busybox(
    "read_file",
    "echo report: $(cat /in/report.txt || echo none)",
    pod_template_spec_metadata=annotated(pipe_in=READ_REPORT),
)


@job(executor_def=in_process_executor)
def job_op_with_output():
    read_file(start_after=write_file())


# Dagster Pipes. The pod has no label with the run, so the annotation names it. The first op ignores the sidecar of
# Bootlace, or it could fail.
PIPES = """
import pathlib
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as context:
    context.report_custom_message(f"a message from {context.job_name}")
    pathlib.Path("/tmp/report.txt").write_text("written through Pipes")
"""


@op
def write_by_pipes(context, pipes: PipesK8sClient):
    done = pipes.run(
        context=context,
        image=PYTHON,
        command=["python3", "-c", PIPES],
        base_pod_meta=annotated(run=context.run_id, pipe_out=REPORT),
        ignore_containers={"bootlace-pipe"},
    )
    print(f"messages: {', '.join(done.get_custom_messages())}", flush=True)


@op(ins={"start": In(Nothing)})
def read_by_pipes(context, pipes: PipesK8sClient):
    pipes.run(
        context=context,
        image=BUSYBOX,
        command=["sh", "-c", SHELL + "echo report: $(cat /in/report.txt || echo none)"],
        base_pod_meta=annotated(run=context.run_id, pipe_in=READ_REPORT),
    )


@job(executor_def=in_process_executor, resource_defs={"pipes": PipesK8sClient()})
def pipes():
    read_by_pipes(start=write_by_pipes())


definitions = Definitions(jobs=[sales, failing, handover, job_op, job_op_with_output, pipes])
