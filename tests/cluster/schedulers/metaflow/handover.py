"""A flow with a step that mounts the output of the step before it. Metaflow creates the pod of a step as soon as the container of
the step before it has ended."""

import pathlib

from metaflow import FlowSpec, kubernetes, step


class Handover(FlowSpec):
    @kubernetes(annotations={"bootlace.dev/pipe-out": "[{key: Report, file: /tmp/report.txt, kind: ConfigMap}]"})
    @step
    def start(self):
        pathlib.Path("/tmp/report.txt").write_text("written by a step")
        self.next(self.end)

    @kubernetes(annotations={"bootlace.dev/pipe-in": "[{key: Report, mountPath: /in}]"})
    @step
    def end(self):
        report = pathlib.Path("/in/report.txt")
        print("report", report.read_text() if report.exists() else "none")


if __name__ == "__main__":
    Handover()
