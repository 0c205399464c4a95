rule all:
    input:
        "report.csv",


rule extract:
    output:
        "rows.csv",
    shell:
        """
        echo "extracting for $GREETING"
        cat /var/assets/query.sql
        echo 'monday,3' > {output}
        """


rule load:
    input:
        "rows.csv",
    output:
        "report.csv",
    shell:
        """
        echo "loading $(cat {input}) for $GREETING"
        cat /var/assets/query.sql
        cp {input} {output}
        """
