{{/* Egress to DNS. */}}
{{- define "pixelis.policy.dns" -}}
{{- with .Values.networkPolicy.dns -}}
- to: {{- toYaml .to | nindent 4 }}
  ports: [{protocol: UDP, port: {{ .port }}}, {protocol: TCP, port: {{ .port }}}]
{{- end -}}
{{- end -}}

{{/* Egress to networks: a list of cidr and port. */}}
{{- define "pixelis.policy.networks" -}}
{{- range $at, $one := . -}}
{{- if $at }}{{ "\n" }}{{ end -}}
- to: [{ipBlock: {cidr: {{ $one.cidr }}}}]
  ports: [{protocol: TCP, port: {{ $one.port }}}]
{{- end -}}
{{- end -}}
