{{/* Takes (list $ component port). */}}
{{- define "pixelis.monitor" -}}
{{- $root := index . 0 -}}
{{- $monitor := $root.Values.metrics.serviceMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "pixelis.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "pixelis.labels" . | nindent 4 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels: {{- include "pixelis.selector" . | nindent 6 }}
  endpoints:
    - port: {{ index . 2 }}
      path: /metrics
      interval: {{ $monitor.interval }}
{{- end -}}
