import luigi
from luigi.contrib.kubernetes import KubernetesJobTask

SCRIPT = """
echo "loading for $GREETING"
cat /var/assets/query.sql
"""


class Load(KubernetesJobTask):
    name = "load"
    labels = {"bootlace.dev/task": "true"}
    spec_schema = {
        "serviceAccountName": "etl",
        "containers": [{"name": "load", "image": "localhost/busybox:test", "command": ["sh", "-c", SCRIPT]}],
    }
    # More seconds than the pod needs to start. The default is 5.
    pod_creation_wait_interal = 20
    # Otherwise Luigi deletes the pod.
    delete_on_success = False

    def output(self):
        return luigi.LocalTarget("load.done")

    def signal_complete(self):
        with self.output().open("w"):
            pass
