import os
import pathlib

from metaflow import FlowSpec, kubernetes, step


class Etl(FlowSpec):
    @kubernetes
    @step
    def start(self):
        print("extracting for", os.environ["GREETING"])
        print(pathlib.Path("/var/assets/query.sql").read_text())
        self.rows = [1, 2, 3]
        self.next(self.end)

    @kubernetes
    @step
    def end(self):
        print(len(self.rows), "rows for", os.environ["GREETING"])
        print(pathlib.Path("/var/assets/query.sql").read_text())


if __name__ == "__main__":
    Etl()
