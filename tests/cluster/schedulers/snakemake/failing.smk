# A rule that fails, and one that needs its output.
rule report:
    input:
        "rows.csv",
    output:
        "report.csv",
    shell:
        "cp {input} {output}"


rule fail:
    output:
        "rows.csv",
    shell:
        'echo "failing for ${{GREETING:-nobody}}"; exit 3'
