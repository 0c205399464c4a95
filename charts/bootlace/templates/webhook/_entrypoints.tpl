{{- /* Flags for the lookup of image entrypoints. */ -}}
{{- define "bootlace.entrypointArgs" -}}
{{- $entrypoints := .Values.entrypoints -}}
{{- if not $entrypoints.registries -}}
{{- fail "entrypoints.registries: list the registries that the webhook can query, for example registry.example.com, or set entrypoints.enabled to false" -}}
{{- end -}}
{{- if ge ($entrypoints.timeoutSeconds | float64) (.Values.webhook.timeoutSeconds | float64) -}}
{{- fail (printf "entrypoints.timeoutSeconds: must be less than webhook.timeoutSeconds (%v)" .Values.webhook.timeoutSeconds) -}}
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
