{{/* Seconds between a pod's leaving the Service and its SIGTERM. */}}
{{- define "pixelis.leave" -}}
{{- add (div (mul .Values.triton.connectionAgeSeconds 11) 10) 5 -}}
{{- end -}}

{{/*
Triton's command line, as server/launch.py has it for the embedded server; tests/deploy holds the two together.
Kubernetes puts the key in for $(PIXELIS_REPOSITORY_KEY); Triton takes it on its command line only.
*/}}
{{- define "pixelis.arguments" -}}
{{- $closed := "model-repository,shared-memory,trace,logging:pixelis-repository-key=$(PIXELIS_REPOSITORY_KEY)" -}}
- --model-repository=/models
- --model-control-mode=explicit
- --disable-auto-complete-config
- --exit-timeout-secs={{ .Values.triton.drainSeconds }}
- --http-restricted-api={{ $closed }}
- --grpc-restricted-protocol={{ $closed }}
- --backend-config=python,shm-region-prefix-name=pixelis-
- --backend-config=python,shm-default-byte-size=1048576
- --backend-config=python,stub-timeout-seconds=120
- --allow-gpu-metrics={{ hasKey .Values.triton.resources.limits "nvidia.com/gpu" }}
- --allow-sagemaker=false
- --allow-vertex-ai=false
- --repoagent-directory=/nowhere
- --log-format=ISO8601
- --http-address=0.0.0.0
- --http-port=8000
- --grpc-address=0.0.0.0
- --grpc-port=8001
- --metrics-address=0.0.0.0
- --metrics-port=8002
# A Service gives a connection to one pod for as long as it lasts, and gRPC keeps it: without an end of it new pods
# would get nothing. What is under way on it goes on.
- --grpc-max-connection-age={{ mul .Values.triton.connectionAgeSeconds 1000 }}
{{- if not .Values.triton.strictReadiness }}
- --strict-readiness=false
{{- end }}
{{- range .Values.triton.models | default (list "*") }}
- {{ printf "--load-model=%s" . | quote }}
{{- end }}
{{- range .Values.triton.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What Triton and its models' processes read. */}}
{{- define "pixelis.environment" -}}
{{- $triton := .Values.triton -}}
- {name: PIXELIS_REPOSITORY, value: /models}
- {name: PIXELIS_STATE, value: /state}
# Names of shared pictures begin with it, as those of Triton's regions do; /dev/shm is the pod's own.
- {name: PIXELIS_SERVER_ID, value: pixelis-}
# Where `residency` has models loaded, and by which key.
- {name: PIXELIS_CONTROL_URL, value: "127.0.0.1:8000"}
- name: PIXELIS_REPOSITORY_KEY
  valueFrom:
    secretKeyRef: {name: {{ $triton.repositoryKey.existingSecret }}, key: {{ $triton.repositoryKey.key }}}
# A process sees the node's cores, and not what the pod may use of them.
- name: PIXELIS_THREADS__TOTAL
  valueFrom:
    resourceFieldRef: {containerName: triton, resource: limits.cpu, divisor: "1"}
- {name: OMP_NUM_THREADS, value: {{ get (merge (dict) $triton.settings .Values.settings) "PIXELIS_THREADS__INTRA_OP" | default "1" | quote }}}
- {name: OMP_WAIT_POLICY, value: PASSIVE}
- {name: MALLOC_ARENA_MAX, value: "2"}
- {name: HF_HUB_OFFLINE, value: "1"}
- {name: WATCH_SECONDS, value: {{ $triton.watchSeconds | quote }}}
- {name: HOME, value: /tmp}
- {name: PYTHONUNBUFFERED, value: "1"}
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
{{- include "pixelis.redis.environment" . }}
{{- include "pixelis.settings" (list . $triton.settings) }}
{{- end -}}
