// A task with an output, which the next task mounts.
process extract {
    pod annotation: 'bootlace.dev/pipe-out', value: '[{key: Rows, file: /tmp/rows.csv, kind: ConfigMap}]'

    output:
    val true

    script:
    '''
    echo 'monday,3' > /tmp/rows.csv
    '''
}

process load {
    pod annotation: 'bootlace.dev/pipe-in', value: '[{key: Rows, mountPath: /in}]'

    input:
    val ready

    script:
    '''
    echo "loading $(cat /in/rows.csv 2> errors || true)"
    '''
}

workflow {
    load(extract())
}
