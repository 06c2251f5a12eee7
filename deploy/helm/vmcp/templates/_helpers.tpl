{{- define "vmcp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of every object; those with an ending have room for it. */}}
{{- define "vmcp.fullname" -}}
{{- $name := include "vmcp.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "vmcp.selector" -}}
app.kubernetes.io/name: {{ include "vmcp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "vmcp.redisSelector" -}}
app.kubernetes.io/name: {{ include "vmcp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end }}

{{- define "vmcp.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "vmcp.labels" -}}
{{ include "vmcp.selector" . }}
{{ include "vmcp.commonLabels" . }}
{{- end }}

{{- define "vmcp.redisLabels" -}}
{{ include "vmcp.redisSelector" . }}
{{ include "vmcp.commonLabels" . }}
{{- end }}

{{- define "vmcp.serviceAccount" -}}
{{- default (include "vmcp.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "vmcp.hmacSecret" -}}
{{- default (printf "%s-hmac-secret" (include "vmcp.fullname" .)) .Values.hmac.existingSecret }}
{{- end }}

{{/* The Secret with the password of Redis; empty if there is none. */}}
{{- define "vmcp.redisSecret" -}}
{{- $own := ternary (printf "%s-redis" (include "vmcp.fullname" .)) "" .Values.redis.bundled.enabled }}
{{- default $own .Values.redis.existingSecret }}
{{- end }}

{{/* The most replicas that there may be. */}}
{{- define "vmcp.replicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled | int }}
{{- end }}

{{/* A value of a Secret that is made once: the one that is there, or 32 random bytes in Base64. */}}
{{- define "vmcp.kept" -}}
{{- $there := lookup "v1" "Secret" .namespace .name }}
{{- $data := dict }}
{{- if $there }}{{ $data = default dict $there.data }}{{ end }}
{{- default (randBytes 32 | b64enc) (get $data .key) }}
{{- end }}
