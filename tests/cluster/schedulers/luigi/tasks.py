"""Tasks of a team that uses Luigi. They opt in with the pod label: Bootlace recognizes their pods, but they are no tasks
because of the label of the namespace."""

import luigi
from luigi.contrib.kubernetes import KubernetesJobTask

# Prints what a task has got, and exits with the code in a file, which the scenario writes.
SCRIPT = """
echo "greeting ${GREETING:-nobody}"
[ ! -e /var/assets/query.sql ] || echo "query $(cat /var/assets/query.sql)"
[ ! -e /bootlace/task.json ] || echo "task $(cat /bootlace/task.json)"
echo working
until [ -e /tmp/exit ]; do sleep 0.2; done
exit "$(cat /tmp/exit)"
"""


class Load(KubernetesJobTask):
    name = "load"
    labels = {"team": "analytics", "bootlace.dev/task": "true"}
    # If the Job has no pod at first, Luigi waits for this time, and fails the task if an init container still runs then. The
    # default is 5 s.
    pod_creation_wait_interal = 20
    poll_interval = 1
    # Luigi accepts one failed pod, and the Job controller creates another one.
    max_retrials = 1
    backoff_limit = 1

    @property
    def spec_schema(self):
        container = {"image": "localhost/busybox:test", "imagePullPolicy": "Never", "command": ["sh", "-c", SCRIPT]}
        return {"serviceAccountName": "etl", "containers": [{"name": self.name, **container}]}

    def output(self):
        return luigi.LocalTarget(f"{self.name}.done")

    def signal_complete(self):
        with self.output().open("w"):
            pass


class Report(luigi.Task):
    """Runs after Load, in the process of Luigi."""

    def requires(self):
        return Load()

    def output(self):
        return luigi.LocalTarget("report")

    def run(self):
        with self.output().open("w"):
            pass
