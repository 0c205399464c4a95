"""A flow with a step that runs until someone stops it. It has written its output before."""

import pathlib
import time

from metaflow import FlowSpec, kubernetes, step


class Stopped(FlowSpec):
    @kubernetes(annotations={"bootlace.dev/pipe-out": "[{key: Report, file: /tmp/report.txt, kind: ConfigMap}]"})
    @step
    def start(self):
        pathlib.Path("/tmp/report.txt").write_text("written by a step that is stopped")
        print("working since", time.time(), flush=True)
        # Longer than the scenario waits.
        time.sleep(3600)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Stopped()
