{{- /* A label selector: the chart's own expressions, then what the user adds.
       Call with (dict "own" LIST "more" SELECTOR). */ -}}
{{- define "bootlace.selector" -}}
{{- with .more.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  {{- toYaml (concat .own (.more.matchExpressions | default list)) | nindent 2 }}
{{- end -}}

{{- /* What no task pod can be: in Bootlace's own namespace or kube-system, so that a webhook that is down never keeps
       itself or the cluster's parts from starting. */ -}}
{{- define "bootlace.excludedNamespaces" -}}
key: kubernetes.io/metadata.name
operator: NotIn
values: [{{ .Release.Namespace | quote }}, kube-system]
{{- end -}}

{{- /* The match conditions of both webhooks. A condition that fails to evaluate would refuse the pod, so each asks
       whether a field is there before it reads it. */ -}}
{{- define "bootlace.podConditions" -}}
# The kubelet's copies of static pods: only the node's own files can change them.
- name: is-not-mirror-pod
  expression: >-
    !has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)
- name: is-not-windows-pod
  expression: >-
    !has(object.spec.os) || object.spec.os.name != 'windows'
{{- end -}}

{{- /* CEL: the pod carries the mark of a scheduler that Bootlace knows (files/schedulers.yaml). */ -}}
{{- define "bootlace.isSchedulerPod" -}}
{{- $marks := list -}}
{{- range .Files.Get "files/schedulers.yaml" | fromYamlArray -}}
{{- $mark := printf "'%s' in object.metadata.labels" .label -}}
{{- if .value -}}
{{- $mark = printf "%s && object.metadata.labels['%s'] == '%s'" $mark .label .value -}}
{{- end -}}
{{- $marks = append $marks (printf "(%s)" $mark) -}}
{{- end -}}
has(object.metadata.labels) && ({{ join " || " $marks }})
{{- end -}}
