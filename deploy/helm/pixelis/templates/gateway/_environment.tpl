{{- define "pixelis.gateway.environment" -}}
{{- $gateway := .Values.gateway -}}
- {name: PIXELIS_STATE, value: /state}
- {name: PIXELIS_GATEWAY__HOST, value: 0.0.0.0}
- {name: PIXELIS_GATEWAY__PORT, value: "8080"}
- {name: PIXELIS_GATEWAY__TRITON, value: "{{ include "pixelis.fullname" . }}-triton:8001"}
- {name: PIXELIS_GATEWAY__WORKERS, value: {{ $gateway.workers | quote }}}
- {name: PIXELIS_GATEWAY__IN_FLIGHT, value: {{ $gateway.inFlight | quote }}}
- {name: PIXELIS_GATEWAY__DRAIN_S, value: {{ $gateway.drainSeconds | quote }}}
{{- if $gateway.keys.existingSecret }}
- {name: PIXELIS_GATEWAY__KEYS, value: /etc/pixelis/keys.json}
{{- end }}
{{- with $gateway.requestsPerMinute }}
- {name: PIXELIS_GATEWAY__REQUESTS_PER_MINUTE, value: {{ . | quote }}}
{{- end }}
{{- with $gateway.imageHosts }}
- {name: PIXELIS_GATEWAY__IMAGE_HOSTS, value: {{ toJson . | quote }}}
{{- end }}
- {name: OMP_NUM_THREADS, value: "1"}
- {name: HOME, value: /tmp}
- {name: PYTHONUNBUFFERED, value: "1"}
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
{{- include "pixelis.settings" (list . $gateway.settings) }}
{{- end -}}
