{{/*
The models lie in a folder of the pod, also where they come from an object store. Triton reads s3:// itself, and copies
each model into a folder of its own under /tmp for its backend; but our models read one another's files (`recall` the
tokenizer of `embed_text`, `reason` that of `policy`, cache keys cover all manifests), and find them in
PIXELIS_REPOSITORY. Nor would anything hold what came against the manifests' digests before it runs, model.py included.
*/}}
{{- define "pixelis.models" -}}
- name: models
  mountPath: /models
  readOnly: true
  {{- with .Values.repository.persistentVolumeClaim }}
  {{- if and .claimName .subPath }}
  subPath: {{ .subPath }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* What is done before Triton starts. */}}
{{- define "pixelis.preparations" -}}
{{- $store := .Values.repository.objectStore -}}
{{- if $store.path }}
- name: fetch
  image: {{ include "pixelis.image" (list . $store.image) }}
  imagePullPolicy: {{ $store.image.pullPolicy }}
  {{- include "pixelis.container" . | nindent 2 }}
  command: [rclone]
  args: [copy, "store:{{ $store.path }}", /models, --checksum, --retries, "5", --config, "", --cache-dir, /tmp, --stats-one-line, --stats, 30s, --log-level, INFO]
  env:
    - {name: HOME, value: /tmp}
    {{- range $name, $value := $store.remote }}
    - {name: RCLONE_CONFIG_STORE_{{ upper $name }}, value: {{ $value | quote }}}
    {{- end }}
  {{- with $store.existingSecret }}
  envFrom:
    - secretRef: {name: {{ . }}}
  {{- end }}
  resources: {{- toYaml $store.resources | nindent 4 }}
  volumeMounts:
    - {name: models, mountPath: /models}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- if .Values.repository.verify }}
- name: verify
  image: {{ include "pixelis.image" (list . .Values.triton.image) }}
  imagePullPolicy: {{ .Values.triton.image.pullPolicy }}
  {{- include "pixelis.container" . | nindent 2 }}
  command: [python3, -I, /etc/pixelis/verify.py, /models]
  resources:
    requests: {cpu: 100m, memory: 64Mi}
    limits: {cpu: "1", memory: 256Mi}
  volumeMounts:
    {{- include "pixelis.models" . | nindent 4 }}
    - {name: scripts, mountPath: /etc/pixelis, readOnly: true}
{{- end }}
{{- end -}}

{{- define "pixelis.volumes" -}}
{{- $repository := .Values.repository -}}
- name: models
  {{- if $repository.objectStore.path }}
  emptyDir: {sizeLimit: {{ $repository.objectStore.size }}}
  {{- else }}
  persistentVolumeClaim: {claimName: {{ $repository.persistentVolumeClaim.claimName }}, readOnly: true}
  {{- end }}
- name: state
  emptyDir: {sizeLimit: {{ .Values.triton.stateSize }}}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .Values.triton.sharedMemory }}}
- name: tmp
  emptyDir: {sizeLimit: 2Gi}
- name: scripts
  configMap: {name: {{ include "pixelis.fullname" . }}-triton}
{{- end -}}
