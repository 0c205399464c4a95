// Two tasks, of which the first one fails once. They print what a profile gives them, if there is one.
process extract {
    errorStrategy 'retry'
    maxRetries 1

    input:
    val day

    output:
    path 'rows.csv'

    script:
    """
    echo "extracting ${day} for \${GREETING:-nobody}"
    cat /var/assets/query.sql /bootlace/task.json 2> errors || true
    test ${task.attempt} -gt 1
    echo '${day},3' > rows.csv
    """
}

process load {
    input:
    path rows

    output:
    stdout

    script:
    """
    echo "loading \$(cat ${rows}) for \${GREETING:-nobody}"
    cat /bootlace/task.json 2> errors || true
    """
}

workflow {
    load(extract(channel.of('monday')))
}
