process extract {
    input:
    val day

    output:
    path 'rows.csv'

    script:
    """
    echo "extracting ${day} for \$GREETING"
    cat /var/assets/query.sql
    echo '${day},3' > rows.csv
    """
}

process load {
    input:
    path rows

    script:
    """
    echo "loading \$(cat ${rows}) for \$GREETING"
    cat /var/assets/query.sql
    """
}

workflow {
    load(extract(channel.of('monday')))
}
