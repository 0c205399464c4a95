"""A flow with two steps that submit a job each to another system. The second one works until someone stops it."""

import os
import pathlib
import time
import urllib.request

from metaflow import FlowSpec, kubernetes, step


def submit(job):
    pathlib.Path(os.environ.get("BOOTLACE_ABORT", "/dev/null")).write_text(job)
    urllib.request.urlopen(f"http://remote/cgi-bin/submitted/{job}").read()


class Submitting(FlowSpec):
    @kubernetes
    @step
    def start(self):
        submit("count")
        self.next(self.report)

    @kubernetes
    @step
    def report(self):
        submit("report")
        # Longer than the scenario waits.
        time.sleep(3600)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Submitting()
