"""A flow whose only step on the cluster fails."""

from metaflow import FlowSpec, kubernetes, step
from show import show


class Failing(FlowSpec):
    @kubernetes
    @step
    def start(self):
        show()
        raise RuntimeError("this step always fails")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Failing()
