{{/* Refuses what cannot work, with what to do. */}}
{{- define "vmcp.refused" -}}
{{- $given := include "vmcp.given" . | fromJson }}
{{- $storage := default dict $given.sessionStorage }}
{{- $replicas := include "vmcp.replicas" . | int }}
{{- $redis := .Values.redis }}
{{- $several := gt $replicas 1 }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas: lower the one or raise the other" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (not (or (dig "requests" "cpu" "" .Values.resources) (dig "limits" "cpu" "" .Values.resources))) }}
{{- fail "autoscaling goes by the CPU that pods ask for: set resources.requests.cpu" }}
{{- end }}

{{- if and $redis.bundled.enabled $redis.address }}
{{- fail "redis.address names your Redis beside the chart's own: set redis.bundled.enabled: false to use yours" }}
{{- end }}
{{- if and (or $redis.bundled.enabled $redis.address) (or $storage.address $storage.sentinel $storage.cluster) }}
{{- fail "config.sessionStorage names a Redis beside the one of `redis`: set redis.bundled.enabled: false and leave redis.address empty to use that of config.sessionStorage" }}
{{- end }}
{{- if and (or $redis.bundled.enabled $redis.address) (eq (default "redis" $storage.provider) "memory") }}
{{- fail "config.sessionStorage.provider is memory beside a Redis: remove it, or set redis.bundled.enabled: false and leave redis.address empty" }}
{{- end }}
{{- $any := or $redis.bundled.enabled $redis.address $storage.address $storage.sentinel $storage.cluster }}
{{- if and $several (not $any) }}
{{- fail (printf "%d replicas need a Redis that they share, as the next request of a session may go to any of them: give redis.address, set redis.bundled.enabled: true, or replicas: 1 without autoscaling" $replicas) }}
{{- end }}
{{- if and $redis.existingSecret (not $any) }}
{{- fail "redis.existingSecret is the password of a Redis, and there is none: give redis.address, or leave it out" }}
{{- end }}
{{- if and $redis.bundled.enabled (hasKey $storage "passwordEnv") }}
{{- fail "config.sessionStorage.passwordEnv stands beside the chart's own Redis, whose password is a file: leave it out" }}
{{- end }}

{{- $keys := dict }}
{{- $_ := set $keys (include "vmcp.hmacSecret" .) .Values.hmac.secretKey }}
{{- with include "vmcp.redisSecret" . }}{{ $_ := set $keys . $redis.secretKey }}{{ end }}
{{- range $secret, $key := $keys }}
{{- with lookup "v1" "Secret" $.Release.Namespace $secret }}
{{- if not (hasKey (default dict .data) $key) }}
{{- fail (printf "the Secret %s is there without the key %s: add the key, or name the one that it has (hmac.secretKey, redis.secretKey)" $secret $key) }}
{{- end }}
{{- end }}
{{- end }}

{{- range $backend := default list $given.backends }}
{{- $transport := default (ternary "stdio" "" (hasKey $backend "command")) $backend.transport }}
{{- if and $several (has $transport (list "stdio" "sse")) (not (include "vmcp.peerPort" $)) }}
{{- fail (printf "backend %s (%s) is held by the replica that opened it, and calls on other replicas fail without the channel between them: leave config.peer.enabled out, set replicas: 1, or put a bridge to Streamable HTTP before it" $backend.name $transport) }}
{{- end }}
{{- end }}
{{- if hasKey (default dict $given.sessions) "drainTimeout" }}
{{- fail "config.sessions.drainTimeout is set by drain.timeoutSeconds, by which the pod is given its time, too: set that" }}
{{- end }}

{{- if and .Values.admin.existingSecret (hasKey $given "admin") }}
{{- fail "config.admin stands beside admin.existingSecret: leave one of them out" }}
{{- end }}
{{- range $key := list "enablePrometheusMetricsPath" "metricsOnTransportPort" "prometheusPort" }}
{{- if and $.Values.metrics.enabled (hasKey (default dict $given.telemetry) $key) }}
{{- fail (printf "config.telemetry.%s is set by metrics.enabled: leave one of them out" $key) }}
{{- end }}
{{- end }}
{{- $telemetry := default dict $given.telemetry }}
{{- $ports := list "4483" (include "vmcp.adminPort" .) (ternary .Values.metrics.port (default 0 $telemetry.prometheusPort) .Values.metrics.enabled | int | toString) (include "vmcp.peerPort" .) }}
{{- $ports = without $ports "" "0" }}
{{- if ne (len $ports) (len (uniq $ports)) }}
{{- fail (printf "two listeners cannot have one port, and these are wanted: %s (the endpoint, the listener for operators by admin.port or config.admin.listen, metrics.port, the channel between replicas by config.peer.listen): change one" (join ", " $ports)) }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) }}
{{- fail "metrics.serviceMonitor.enabled needs metrics: set metrics.enabled: true" }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.create: false needs serviceAccount.name, one that exists" }}
{{- end }}
{{- if and (eq (default "" (default dict $given.outgoingAuth).source) "discovered") (not .Values.serviceAccount.automountToken) }}
{{- fail "config.outgoingAuth.source: discovered asks the cluster for backends, which takes a token: set serviceAccount.automountToken: true and rbac.create: true" }}
{{- end }}

{{- $policy := .Values.networkPolicy }}
{{- if and $policy.enabled (ne .Values.service.type "ClusterIP") (eq (toJson $policy.from) `[{"podSelector":{}}]`) }}
{{- fail (printf "service.type: %s is for clients outside the namespace, whom networkPolicy.from keeps out: name them there" .Values.service.type) }}
{{- end }}
{{- if and $policy.egress.enabled (not $policy.enabled) }}
{{- fail "networkPolicy.egress.enabled needs networkPolicy.enabled: true" }}
{{- end }}
{{- if and $policy.egress.enabled (eq (default "" (default dict $given.outgoingAuth).source) "discovered") (not $policy.egress.apiServer) }}
{{- fail "config.outgoingAuth.source: discovered asks the API server, which networkPolicy.egress keeps vmcp from: name its addresses in networkPolicy.egress.apiServer" }}
{{- end }}
{{- if and $policy.egress.enabled (not $policy.egress.rules) }}
{{- fail "networkPolicy.egress.rules is empty, so no backend could be reached: name your backends there, or set networkPolicy.egress.enabled: false" }}
{{- end }}
{{- end }}
