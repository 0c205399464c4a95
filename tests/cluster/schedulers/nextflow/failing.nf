// A task that fails for its own reason.
process fails {
    script:
    '''
    echo "failing for ${GREETING:-nobody}"
    exit 3
    '''
}

workflow {
    fails()
}
