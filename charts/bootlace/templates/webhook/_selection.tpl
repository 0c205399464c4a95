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
# spec.os is optional: most Windows pods say it by node selector, some by affinity, host processes by their security context.
- name: is-not-windows-pod
  expression: >-
    {{ include "bootlace.isNotWindowsPod" . | nindent 4 | trim }}
# The API server asks again when a pod has changed since, by another webhook or by its own hand. Mostly nothing is left to do.
- name: is-not-done
  expression: >-
    {{ include "bootlace.isNotDone" . | nindent 4 | trim }}
{{- end -}}

{{- /* CEL: the pod is not known to run on Windows. The same as `is_windows` in src/pod/node.rs. */ -}}
{{- define "bootlace.isNotWindowsPod" -}}
has(object.spec.os) ? object.spec.os.name != 'windows' : !(
  (has(object.spec.nodeSelector) && ['kubernetes.io/os', 'beta.kubernetes.io/os'].exists(label,
    label in object.spec.nodeSelector && object.spec.nodeSelector[label] == 'windows'))
  || (has(object.spec.securityContext) && has(object.spec.securityContext.windowsOptions)
    && has(object.spec.securityContext.windowsOptions.hostProcess)
    && object.spec.securityContext.windowsOptions.hostProcess)
  || object.spec.containers.exists(c, has(c.securityContext) && has(c.securityContext.windowsOptions)
    && has(c.securityContext.windowsOptions.hostProcess) && c.securityContext.windowsOptions.hostProcess)
  || (has(object.spec.affinity) && has(object.spec.affinity.nodeAffinity)
    && has(object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution)
    && object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.size() > 0
    && object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.all(term,
      has(term.matchExpressions) && term.matchExpressions.exists(asked,
        asked.key in ['kubernetes.io/os', 'beta.kubernetes.io/os'] && asked.operator == 'In' && has(asked.values)
        && asked.values.size() > 0 && asked.values.all(value, value == 'windows'))))
)
{{- end -}}

{{- /* CEL: the pod is not injected yet, or something stands behind boot that is to be the last init container, or it is not
       signed by its own name. The same as `injected` in src/selection.rs; whether the signature holds the webhook sees, where
       it is asked, and the store in any case. */ -}}
{{- define "bootlace.isNotDone" -}}
!has(object.metadata.annotations) || !('bootlace.dev/injected' in object.metadata.annotations)
|| !has(object.spec.initContainers) || !object.spec.initContainers.exists(c, c.name == 'bootlace-boot')
|| !(object.metadata.annotations['bootlace.dev/injected'].contains('"position":"First"')
  || object.spec.initContainers[object.spec.initContainers.size() - 1].name == 'bootlace-boot'
  || (object.spec.initContainers.size() > 1
    && object.spec.initContainers[object.spec.initContainers.size() - 1].name == 'bootlace-pipe'
    && object.spec.initContainers[object.spec.initContainers.size() - 2].name == 'bootlace-boot'))
{{- if .Values.store.enabled }}
|| !object.spec.initContainers.exists(c, c.name == 'bootlace-boot' && has(c.env) && c.env.exists(e,
  e.name == 'BOOTLACE_SIGNATURE' && has(e.value) && e.value.endsWith(' ' + request.namespace + '/'
  + (has(object.metadata.name) && object.metadata.name != '' ? object.metadata.name
    : has(object.metadata.generateName) ? object.metadata.generateName : ''))))
{{- end }}
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
