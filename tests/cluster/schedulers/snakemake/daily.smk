# Rules of a team that uses Snakemake. They do not mention Bootlace, except that they show what a task has got.
SHOW = """
echo "greeting: ${{GREETING:-nobody}}"
for file in /var/assets/query.sql /bootlace/task.json; do [ ! -e $file ] || echo "$file: $(cat $file)"; done
"""


rule all:
    input:
        "report.csv",


# The first attempt for the region `east` fails.
rule load_rows:
    input:
        "sales/{region}.csv",
    output:
        "rows/{region}.csv",
    log:
        "logs/{region}.txt",
    resources:
        number=lambda wildcards, attempt: attempt,
    shell:
        "{{ " + SHOW + " }} | tee {log}\n"
        "[ {wildcards.region}{resources.number} != east1 ] || exit 3\n"
        "cp {input} {output}"


rule report:
    input:
        expand("rows/{region}.csv", region=["east", "west"]),
    output:
        "report.csv",
    log:
        "logs/report.txt",
    shell:
        "{{ " + SHOW + " }} | tee {log}\n"
        "cat {input} > {output}"
