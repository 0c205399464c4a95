{{/* Names */}}

{{- define "bootlace.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* 52 characters leave room for the longest suffix, -serving-ca, within the 63 characters of a Service name. */ -}}
{{- define "bootlace.fullname" -}}
{{- $name := include "bootlace.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bootlace.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "bootlace.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name: set the name of an existing ServiceAccount, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bootlace.storeName" -}}
{{- printf "%s-store" (include "bootlace.fullname" .) -}}
{{- end -}}

{{- define "bootlace.storeServiceAccountName" -}}
{{- if .Values.store.serviceAccount.create -}}
{{- .Values.store.serviceAccount.name | default (include "bootlace.storeName" .) -}}
{{- else -}}
{{- required "store.serviceAccount.name: set the name of an existing ServiceAccount, or set store.serviceAccount.create to true" .Values.store.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bootlace.monitorName" -}}
{{- printf "%s-monitor" (include "bootlace.fullname" .) -}}
{{- end -}}

{{- define "bootlace.monitorServiceAccountName" -}}
{{- if .Values.monitor.serviceAccount.create -}}
{{- .Values.monitor.serviceAccount.name | default (include "bootlace.monitorName" .) -}}
{{- else -}}
{{- required "monitor.serviceAccount.name: set the name of an existing ServiceAccount, or set monitor.serviceAccount.create to true" .Values.monitor.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Metadata */}}

{{- define "bootlace.selectorLabels" -}}
app.kubernetes.io/name: {{ include "bootlace.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end -}}

{{- define "bootlace.storeSelectorLabels" -}}
app.kubernetes.io/name: {{ include "bootlace.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: store
{{- end -}}

{{- define "bootlace.monitorSelectorLabels" -}}
app.kubernetes.io/name: {{ include "bootlace.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: monitor
{{- end -}}

{{- /* Labels and annotations of one object. Call with (dict "root" $ "labels" … "annotations" …), and for store and monitor
       with "component" "store" or "component" "monitor". */ -}}
{{- define "bootlace.metadata" -}}
{{- $selector := get (dict "webhook" "bootlace.selectorLabels" "store" "bootlace.storeSelectorLabels" "monitor" "bootlace.monitorSelectorLabels") (.component | default "webhook") -}}
labels:
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
  {{- include $selector .root | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  {{- with merge (dict) (.labels | default dict) .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Logs */}}

{{- /* Log flags. Call with (dict "level" … "format" …). */ -}}
{{- define "bootlace.logArgs" -}}
{{- with .level }}
- {{ printf "--log=%s" . | quote }}
{{- end }}
{{- with .format }}
- --log-format={{ . }}
{{- end }}
{{- end -}}

{{/* Services */}}

{{- /* The address families of a Service. Call with its values. */ -}}
{{- define "bootlace.ipFamilies" -}}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Images */}}

{{- define "bootlace.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required "image.repository: set the repository of the Bootlace image (`make image` builds it)" $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* The user of injected containers, in the format of the webhook's flag. Helm treats a large number as a float. */ -}}
{{- define "bootlace.bootUser" -}}
{{- $user := .Values.boot.runAsUser -}}
{{- if or (kindIs "invalid" $user) (kindIs "string" $user) -}}platform{{- else -}}{{- int64 $user -}}{{- end -}}
{{- end -}}

{{/* TLS */}}

{{- /* The Secret with the serving certificate, in each mode. */ -}}
{{- define "bootlace.tlsSecretName" -}}
{{- $tls := .Values.tls -}}
{{- if eq $tls.mode "self" -}}
{{- $tls.self.secretName | default (printf "%s-tls" (include "bootlace.fullname" .)) -}}
{{- else if eq $tls.mode "certManager" -}}
{{- printf "%s-serving" (include "bootlace.fullname" .) -}}
{{- else -}}
{{- required "tls.secret.name: required with tls.mode=secret; set the name of a Secret with tls.crt and tls.key" $tls.secret.name -}}
{{- end -}}
{{- end -}}

{{- /* The Secret with the store's serving certificate, in each mode. */ -}}
{{- define "bootlace.storeTlsSecretName" -}}
{{- if eq .Values.tls.mode "self" -}}
{{- printf "%s-tls" (include "bootlace.storeName" .) -}}
{{- else if eq .Values.tls.mode "certManager" -}}
{{- printf "%s-serving" (include "bootlace.storeName" .) -}}
{{- else -}}
{{- required (printf "store.tls.secretName: required with tls.mode=secret; set the name of a Secret with tls.crt and tls.key for %s.%s.svc, or set store.enabled to false" (include "bootlace.storeName" .) .Release.Namespace) .Values.store.tls.secretName -}}
{{- end -}}
{{- end -}}

{{- /* The Secret with the keys that sign the configuration of pods: the webhook manages it, and the store mounts it. */ -}}
{{- define "bootlace.signingSecretName" -}}
{{- printf "%s-signing" (include "bootlace.fullname" .) -}}
{{- end -}}

{{- /* The CA of the store's certificate, as a volume of the webhook: an existing ConfigMap, a ConfigMap that the chart creates
       from tls.secret.caBundle, or the Secret of the certificate, where cert-manager puts it. Empty if the webhook manages
       the CA itself. */ -}}
{{- define "bootlace.storeCaVolume" -}}
{{- $given := .Values.store.tls.caConfigMap -}}
{{- if $given.name -}}
configMap: {name: {{ $given.name }}, items: [{key: {{ $given.key }}, path: ca.crt}]}
{{- else if and (eq .Values.tls.mode "secret") .Values.tls.secret.caBundle -}}
configMap: {name: {{ include "bootlace.storeName" . }}-ca}
{{- else if ne .Values.tls.mode "self" -}}
secret: {secretName: {{ include "bootlace.storeTlsSecretName" . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end -}}
{{- end -}}

{{- /* caBundle in the format of the API: base64 of PEM, on one line. Empty if a controller injects it. */ -}}
{{- define "bootlace.caBundle" -}}
{{- /* Report a missing Secret name first. */ -}}
{{- $_ := include "bootlace.tlsSecretName" . -}}
{{- $given := .Values.tls.secret.caBundle | trim -}}
{{- if contains "-----BEGIN CERTIFICATE-----" $given -}}
{{- printf "%s\n" $given | b64enc -}}
{{- else if $given -}}
{{- $base64 := regexReplaceAll "\\s" $given "" -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" ($base64 | b64dec)) -}}
{{- fail "tls.secret.caBundle: must be a PEM certificate, or base64 of one; use --set-file tls.secret.caBundle=ca.crt" -}}
{{- end -}}
{{- $base64 -}}
{{- else -}}
{{- $injected := false -}}
{{- range $key, $value := .Values.webhook.annotations -}}
{{- if regexMatch "/inject-ca" $key -}}{{- $injected = true -}}{{- end -}}
{{- end -}}
{{- if not $injected -}}
{{- fail "tls.secret.caBundle: required; set the CA of tls.secret.name (--set-file tls.secret.caBundle=ca.crt), or name the controller that injects it in webhook.annotations" -}}
{{- end -}}
{{- end -}}
{{- end -}}
