{{/* What the user wrote, as a map in JSON. */}}
{{- define "vmcp.given" -}}
{{- $config := .Values.config }}
{{- if kindIs "string" $config }}
{{- $config = fromYaml $config }}
{{- if hasKey $config "Error" }}{{ fail (printf "config is no YAML: %s" $config.Error) }}{{ end }}
{{- end }}
{{- toJson $config }}
{{- end }}

{{/* The configuration: what the user wrote, and what follows from other values where that says nothing. */}}
{{- define "vmcp.config" -}}
{{- $config := include "vmcp.given" . | fromJson }}
{{- $name := include "vmcp.fullname" . }}
{{- if not (hasKey $config "name") }}{{ $_ := set $config "name" .Release.Name }}{{ end }}
{{- if not (hasKey $config "aggregation") }}
{{- $prefix := dict "prefixFormat" "{workload}_" }}
{{- $_ := set $config "aggregation" (dict "conflictResolution" "prefix" "conflictResolutionConfig" $prefix) }}
{{- end }}

{{- $service := printf "%s.%s" $name .Release.Namespace }}
{{- $hosts := list $name $service (printf "%s.svc" $service) (printf "%s.svc.%s" $service .Values.clusterDomain) }}
{{- if .Values.admin.existingSecret }}
{{- $admin := printf "%s-admin.%s" $name .Release.Namespace }}
{{- $hosts = concat $hosts (list (printf "%s-admin" $name) $admin (printf "%s.svc" $admin) (printf "%s.svc.%s" $admin .Values.clusterDomain)) }}
{{- end }}
{{- $_ := set $config "allowedHosts" (concat (default list $config.allowedHosts) $hosts | uniq) }}

{{- $sessions := default dict $config.sessions }}
{{- $_ := set $sessions "drainTimeout" (printf "%ds" (int .Values.drain.timeoutSeconds)) }}
{{- $_ := set $config "sessions" $sessions }}

{{- $storage := default dict $config.sessionStorage }}
{{- $address := ternary (printf "%s-redis:6379" $name) .Values.redis.address .Values.redis.bundled.enabled }}
{{- if and $address (not (hasKey $storage "address")) }}{{ $_ := set $storage "address" $address }}{{ end }}
{{- $redis := or $storage.address $storage.sentinel $storage.cluster }}
{{- if not (hasKey $storage "provider") }}{{ $_ := set $storage "provider" (ternary "redis" "memory" (not (empty $redis))) }}{{ end }}
{{- if and (include "vmcp.redisSecret" .) (not (or (hasKey $storage "passwordFile") (hasKey $storage "passwordEnv"))) }}
{{- $_ := set $storage "passwordFile" "/etc/vmcp-redis/password" }}
{{- end }}
{{- $_ := set $config "sessionStorage" $storage }}

{{- if .Values.metrics.enabled }}
{{- $telemetry := default dict $config.telemetry }}
{{- $_ := set $telemetry "enablePrometheusMetricsPath" true }}
{{- $_ := set $telemetry "metricsOnTransportPort" false }}
{{- $_ := set $telemetry "prometheusPort" (int .Values.metrics.port) }}
{{- $_ := set $config "telemetry" $telemetry }}
{{- end }}

{{- if not (hasKey $config "admin") }}
{{- $open := not (empty .Values.admin.existingSecret) }}
{{- $all := ternary (printf "[%s]" .Values.listen) .Values.listen (contains ":" .Values.listen) }}
{{- $admin := dict "listen" (printf "%s:%d" (ternary $all "127.0.0.1" $open) (int .Values.admin.port)) }}
{{- if $open }}{{ $_ := set $admin "auth" (dict "type" "token" "tokenFile" "/etc/vmcp-admin/token") }}{{ end }}
{{- $_ := set $config "admin" $admin }}
{{- end }}
{{- toYaml $config }}
{{- end }}
