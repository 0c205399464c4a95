{{- /* A label selector: the expressions of the chart, then those of the user.
       Call with (dict "own" LIST "more" SELECTOR). */ -}}
{{- define "bootlace.selector" -}}
{{- with .more.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  {{- toYaml (concat .own (.more.matchExpressions | default list)) | nindent 2 }}
{{- end -}}

{{- /* Namespaces without task pods: Bootlace's own and kube-system. A webhook that is down must not block itself or the
       components of the cluster. */ -}}
{{- define "bootlace.excludedNamespaces" -}}
key: kubernetes.io/metadata.name
operator: NotIn
values: [{{ .Release.Namespace | quote }}, kube-system]
{{- end -}}

{{- /* The match conditions of both webhooks. If a condition cannot be evaluated, the pod is rejected, so each condition
       checks that a field exists before it reads the field. */ -}}
{{- define "bootlace.podConditions" -}}
# Mirror pods represent static pods, which only files on the node can change.
- name: is-not-mirror-pod
  expression: >-
    !has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)
# spec.os is optional: most Windows pods set a node selector, some an affinity, and host processes a security context.
- name: is-not-windows-pod
  expression: >-
    {{ include "bootlace.isNotWindowsPod" . | nindent 4 | trim }}
# The API server calls the webhook again if another webhook or an admission plugin has changed the pod. Usually there is
# nothing left to do.
- name: is-not-done
  expression: >-
    {{ include "bootlace.isNotDone" . | nindent 4 | trim }}
{{- end -}}

{{- /* CEL: the pod is not a Windows pod. Same as `is_windows` in core/src/pod/node.rs. */ -}}
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

{{- /* CEL: the pod is not injected yet, or an init container follows boot although boot should be the last one, or the
       signature is not for the name of the pod. Same as `injected` in core/src/selection.rs. The webhook, if it is called, and the
       store verify the signature itself. */ -}}
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

{{- /* CEL: a scheduler whose pods are tasks without the pod label created the pod: an entry of schedulers.extra or of
       files/schedulers.yaml. Same as `Scheduler::recognises` in core/src/identity/table.rs, but regardless of the order of the
       entries: the webhook, if it is called, finds the entry that comes first. */ -}}
{{- define "bootlace.isSchedulerPod" -}}
{{- $labelled := list -}}
{{- $others := list -}}
{{- range concat .Values.schedulers.extra (.Files.Get "files/schedulers.yaml" | fromYamlArray) -}}
{{- if ne (toString .optIn) "false" -}}
{{- $hasLabel := false -}}
{{- range .match -}}{{- if and .label (not .absent) -}}{{- $hasLabel = true -}}{{- end -}}{{- end -}}
{{- $conditions := list -}}
{{- range .match -}}
{{- $conditions = append $conditions (include "bootlace.podMeets" (dict "condition" . "hasLabels" $hasLabel)) -}}
{{- end -}}
{{- $entry := printf "(%s)" (join " && " $conditions) -}}
{{- if $hasLabel -}}{{- $labelled = append $labelled $entry -}}{{- else -}}{{- $others = append $others $entry -}}{{- end -}}
{{- end -}}
{{- end -}}
(has(object.metadata.labels) && (
  {{ join "\n  || " $labelled }}))
{{- range $others }}
|| {{ . }}
{{- end }}
{{- end -}}

{{- /* CEL: the pod meets a condition. Call with (dict "condition" CONDITION "hasLabels" BOOL), which is whether the pod is known
       to have labels. The schema of the values excludes characters that would end a string of CEL. */ -}}
{{- define "bootlace.podMeets" -}}
{{- $guard := ternary "" "has(object.metadata.labels) && " .hasLabels -}}
{{- with .condition -}}
{{- $test := "" -}}
{{- if hasKey . "value" -}}{{- $test = printf "%%[1]s == '%s'" (.value | replace "%" "%%") -}}{{- end -}}
{{- range $field, $function := dict "contains" "contains('%s')" "pattern" "matches(r'%s')" -}}
{{- with get $.condition $field -}}
{{- $test = join " && " (compact (list $test (printf "%%[1]s.%s" (printf $function (. | replace "%" "%%"))))) -}}
{{- end -}}
{{- end -}}
{{- if .label -}}
{{- $has := printf "%s'%s' in object.metadata.labels" $guard .label -}}
{{- if .absent -}}!({{ $has }})
{{- else -}}{{ $has }}{{ with $test }} && {{ printf . (printf "object.metadata.labels['%s']" $.condition.label) }}{{ end }}
{{- end -}}
{{- else if .annotation -}}
has(object.metadata.annotations) && '{{ .annotation }}' in object.metadata.annotations
{{- with $test }} && {{ printf . (printf "object.metadata.annotations['%s']" $.condition.annotation) }}{{ end -}}
{{- else if .container -}}
(object.spec.containers.exists(c, c.name == '{{ .container }}') || (has(object.spec.initContainers) && object.spec.initContainers.exists(c, c.name == '{{ .container }}')))
{{- else if .env -}}
{{- $variable := printf "has(c.env) && c.env.exists(e, e.name == '%s'" .env -}}
{{- with $test -}}{{- $variable = printf "%s && has(e.value) && %s" $variable (printf . "e.value") -}}{{- end -}}
(object.spec.containers.exists(c, {{ $variable }})) || (has(object.spec.initContainers) && object.spec.initContainers.exists(c, {{ $variable }}))))
{{- else -}}
{{- $group := ternary (printf "o.apiVersion.startsWith('%s/')" (splitList "/" .owner.apiVersion | first)) "!o.apiVersion.contains('/')" (contains "/" .owner.apiVersion) -}}
has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller && o.kind == '{{ .owner.kind }}' && {{ $group }})
{{- end -}}
{{- end -}}
{{- end -}}
