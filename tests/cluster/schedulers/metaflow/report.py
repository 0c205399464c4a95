"""A flow with a step that fails once. It does not mention Bootlace."""

from metaflow import FlowSpec, current, kubernetes, retry, step
from show import show


class Report(FlowSpec):
    @step
    def start(self):
        self.next(self.load_rows)

    # Metaflow waits two minutes before a retry by default.
    @retry(times=1, minutes_between_retries=0)
    @kubernetes
    @step
    def load_rows(self):
        show()
        if current.retry_count == 0:
            raise RuntimeError("the first attempt fails")
        self.rows = 3
        self.next(self.end)

    @kubernetes
    @step
    def end(self):
        show()
        print("rows", self.rows)


if __name__ == "__main__":
    Report()
