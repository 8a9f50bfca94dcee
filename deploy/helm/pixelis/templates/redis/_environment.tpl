{{/* Where Triton's models find the two, with the passwords out of Secrets; another Redis's whole URL is one. */}}
{{- define "pixelis.redis.environment" -}}
{{- $urls := dict "cache" "PIXELIS_CACHE__REDIS_URL" "log" "PIXELIS_RETRIEVAL__REPLICAS__URL" -}}
{{- range $store, $variable := $urls -}}
{{- with index $.Values.redis $store -}}
{{- if .enabled }}
- name: REDIS_{{ upper $store }}_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}
- name: {{ $variable }}
  value: redis://:$(REDIS_{{ upper $store }}_PASSWORD)@{{ include "pixelis.fullname" $ }}-redis-{{ $store }}:6379/0
{{- else if .external.existingSecret }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ .external.existingSecret }}, key: {{ .external.urlKey }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.redis.cache }}
{{- if or .enabled .external.existingSecret }}
- {name: PIXELIS_CACHE__ENABLE_REDIS, value: "true"}
{{- end }}
{{- end }}
{{- end -}}
