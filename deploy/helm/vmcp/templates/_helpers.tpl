{{- define "vmcp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of every object, as Services take it. With an ending, and what a StatefulSet adds to the labels of
its pods, it still fits into a label's 63 characters. */}}
{{- define "vmcp.fullname" -}}
{{- $name := include "vmcp.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | replace "." "-" | trunc 46 | trimSuffix "-" }}
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

{{/* Whether the cluster has a Secret of this name; empty if not, and where nobody can be asked. */}}
{{- define "vmcp.there" -}}
{{- if lookup "v1" "Secret" .root.Release.Namespace .name }}yes{{ end }}
{{- end }}

{{/* The port of the listener for operators; empty if there is none. */}}
{{- define "vmcp.adminPort" -}}
{{- $config := include "vmcp.config" . | fromYaml }}
{{- regexFind "[0-9]+$" (get (default dict $config.admin) "listen" | default "") }}
{{- end }}

{{/* The port of the channel between replicas; empty without one. */}}
{{- define "vmcp.peerPort" -}}
{{- $config := include "vmcp.config" . | fromYaml }}
{{- $peer := default dict $config.peer }}
{{- if and (eq (dig "sessionStorage" "provider" "" $config) "redis") (ne (toString $peer.enabled) "false") }}
{{- default "4484" (regexFind "[0-9]+$" ($peer.listen | default "")) }}
{{- end }}
{{- end }}

{{/* The replicas that there are, while they are Helm's; empty if there are none. Once the autoscaler has set them,
an apply leaves them alone, and would be refused where it names another number. Helm 3 does not apply, but removes
what it had named. */}}
{{- define "vmcp.live" -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "vmcp.fullname" .) }}
{{- $applied := false }}
{{- $scaled := false }}
{{- range default list .metadata.managedFields }}
{{- if eq .operation "Apply" }}
{{- $applied = true }}
{{- else if dig "f:spec" "f:replicas" false (default dict .fieldsV1) | kindIs "map" }}
{{- $scaled = true }}
{{- end }}
{{- end }}
{{- if not (and $applied $scaled) }}{{ .spec.replicas }}{{ end }}
{{- end }}
{{- end }}
