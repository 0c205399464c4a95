import os
from pathlib import Path

from pyspark import SparkContext

context = SparkContext()
rows = context.parallelize(range(100), 2)
print(rows.count(), "rows for", os.environ["GREETING"])
print(Path("/var/assets/query.sql").read_text())
context.stop()
