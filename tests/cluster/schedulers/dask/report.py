"""Runs functions on a worker, and shows what the runner and the worker have got."""

import os
import pathlib

from dask.distributed import Client


def greeting():
    return os.environ.get("GREETING", "nobody")


# The scheduler starts at the same time as the runner, and the node is busy.
with Client(timeout=150) as client:
    squares = client.map(lambda number: number * number, range(10))
    print(f"rows {sum(client.gather(squares))}")
    print(f"worker {client.submit(greeting).result()}")
print(f"greeting {greeting()}")
for word, file in {"query": "/var/assets/query.sql", "task": "/bootlace/task.json"}.items():
    if os.path.exists(file):
        print(f"{word} {pathlib.Path(file).read_text().strip()}")
