{{- /* Flags of the webhook that looks up what images start. */ -}}
{{- define "bootlace.entrypointArgs" -}}
{{- $entrypoints := .Values.entrypoints -}}
{{- if not $entrypoints.registries -}}
{{- fail "entrypoints.registries: list the registries that may be asked, as registry.example.com, or set entrypoints.enabled to false" -}}
{{- end -}}
{{- if ge ($entrypoints.timeoutSeconds | float64) (.Values.webhook.timeoutSeconds | float64) -}}
{{- fail (printf "entrypoints.timeoutSeconds: has to be less than webhook.timeoutSeconds, which is %v, so that an answer is still in time" .Values.webhook.timeoutSeconds) -}}
{{- end -}}
{{- range $entrypoints.registries }}
- {{ printf "--entrypoint-registry=%s" . | quote }}
{{- end }}
- --entrypoint-timeout={{ $entrypoints.timeoutSeconds }}
{{- if $entrypoints.ca.configMap }}
- --entrypoint-ca=/etc/bootlace/registry-ca/ca.crt
{{- end }}
{{- range $entrypoints.pullSecrets }}
- --pull-secrets-of={{ .namespace }}
{{- end }}
{{- end -}}
