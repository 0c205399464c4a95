import pathlib

report = pathlib.Path("/in/report.txt")
print(f"report {report.read_text() if report.exists() else 'none'}")
