{{/*
What the schema of the values cannot say: names of Secrets that are needed, and values that contradict one another.
Included by templates/triton/deployment.yaml, so nothing is rendered before it has passed.
*/}}
{{- define "pixelis.validate" -}}
{{- include "pixelis.validate.secrets" . -}}
{{- include "pixelis.validate.repository" . -}}
{{- include "pixelis.validate.redis" . -}}
{{- include "pixelis.validate.settings" . -}}
{{- include "pixelis.validate.network" . -}}
{{- with .Values.triton.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "triton.autoscaling.minReplicas (%v) is more than maxReplicas (%v)." .minReplicas .maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host: without a host it would take everybody's requests." -}}
{{- end -}}
{{- end -}}

{{- define "pixelis.validate.secrets" -}}
{{- if not .Values.triton.repositoryKey.existingSecret -}}
{{- fail "triton.repositoryKey.existingSecret is missing: the Secret whose key opens Triton's model-repository API. Make one: kubectl create secret generic pixelis-repository-key --from-literal=key=$(openssl rand -hex 24)" -}}
{{- end -}}
{{- with .Values.gateway.keys -}}
{{- if and .open .existingSecret -}}
{{- fail "gateway.keys.open is true, and gateway.keys.existingSecret names API keys: say one of the two." -}}
{{- end -}}
{{- if not (or .open .existingSecret) -}}
{{- fail "gateway.keys.existingSecret is missing: the Secret with the API keys of the gateway's callers. Make one: pixelis gateway --keys keys.json --add-key NAME; kubectl create secret generic pixelis-keys --from-file=keys.json. Or let everybody ask: gateway.keys.open=true" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pixelis.validate.repository" -}}
{{- $claim := .Values.repository.persistentVolumeClaim.claimName -}}
{{- $store := .Values.repository.objectStore -}}
{{- if and $claim $store.path -}}
{{- fail "repository.persistentVolumeClaim.claimName and repository.objectStore.path are both set: the models are in one of the two." -}}
{{- end -}}
{{- if not (or $claim $store.path) -}}
{{- fail "There is no model repository: set repository.persistentVolumeClaim.claimName to an existing claim, or repository.objectStore.path to bucket/prefix." -}}
{{- end -}}
{{- if $store.path -}}
{{- if and (not $store.existingSecret) (not $store.workloadIdentity) -}}
{{- fail "repository.objectStore.existingSecret is missing: the Secret whose keys are the store's credentials as environment (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY). Or repository.objectStore.workloadIdentity=true" -}}
{{- end -}}
{{- range $name, $value := $store.remote -}}
{{- if regexMatch "(secret|password|pass|token|credentials|access_key_id|(^|_)key)($|_)" $name -}}
{{- fail (printf "repository.objectStore.remote.%s is secret: put RCLONE_CONFIG_STORE_%s into the Secret that repository.objectStore.existingSecret names." $name (upper $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pixelis.validate.redis" -}}
{{- range $name := list "cache" "log" -}}
{{- with index $.Values.redis $name -}}
{{- if and .enabled .external.existingSecret -}}
{{- fail (printf "redis.%s.enabled is true, and redis.%s.external.existingSecret names another Redis: say redis.%s.enabled=false to use that one." $name $name $name) -}}
{{- end -}}
{{- if and .enabled (not .existingSecret) -}}
{{- fail (printf "redis.%s.existingSecret is missing: the Secret with the password of that Redis. Make one: kubectl create secret generic pixelis-redis-%s --from-literal=password=$(openssl rand -hex 24). Or redis.%s.enabled=false" $name $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the chart sets itself, or may only come out of a Secret, is no setting. */}}
{{- define "pixelis.validate.settings" -}}
{{- $own := dict
  "PIXELIS_REPOSITORY" "`repository`" "PIXELIS_STATE" "`triton.stateSize`" "PIXELIS_THREADS__TOTAL" "`triton.resources.limits.cpu`"
  "PIXELIS_REPOSITORY_KEY" "`triton.repositoryKey`" "PIXELIS_CACHE__REDIS_URL" "`redis.cache`" "PIXELIS_CACHE__ENABLE_REDIS" "`redis.cache`"
  "PIXELIS_RETRIEVAL__REPLICAS__URL" "`redis.log`" "PIXELIS_SERVER_ID" "nothing" "PIXELIS_CONTROL_URL" "nothing"
  "PIXELIS_GATEWAY__HOST" "nothing" "PIXELIS_GATEWAY__PORT" "nothing" "PIXELIS_GATEWAY__TRITON" "nothing"
  "PIXELIS_GATEWAY__KEYS" "`gateway.keys`" "PIXELIS_GATEWAY__WORKERS" "`gateway.workers`" "PIXELIS_GATEWAY__IN_FLIGHT" "`gateway.inFlight`"
  "PIXELIS_GATEWAY__DRAIN_S" "`gateway.drainSeconds`" "PIXELIS_GATEWAY__IMAGE_HOSTS" "`gateway.imageHosts`"
  "PIXELIS_GATEWAY__REQUESTS_PER_MINUTE" "`gateway.requestsPerMinute`" -}}
{{- range $where, $settings := dict "settings" .Values.settings "triton.settings" .Values.triton.settings "gateway.settings" .Values.gateway.settings -}}
{{- range $name, $value := $settings -}}
{{- if hasKey $own $name -}}
{{- fail (printf "%s.%s is set by the chart; what changes it: %s." $where $name (get $own $name)) -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" (toString $value) -}}
{{- fail (printf "%s.%s has a password in it, which belongs into a Secret." $where $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Policies that would cut off what other values ask for. */}}
{{- define "pixelis.validate.network" -}}
{{- $policy := .Values.networkPolicy -}}
{{- if $policy.enabled -}}
{{- if and .Values.repository.objectStore.path (not $policy.objectStoreNetworks) -}}
{{- fail "networkPolicy.objectStoreNetworks is missing: the repository is in an object store, and nothing may leave Triton's pods but to where this says, as [{cidr: 10.0.4.0/24, port: 443}]." -}}
{{- end -}}
{{- if and (or .Values.redis.cache.external.existingSecret .Values.redis.log.external.existingSecret) (not $policy.redisNetworks) -}}
{{- fail "networkPolicy.redisNetworks is missing: a Redis is elsewhere, and nothing may leave Triton's pods but to where this says, as [{cidr: 10.0.3.4/32, port: 6379}]." -}}
{{- end -}}
{{- if and .Values.gateway.imageHosts (not $policy.gatewayTo) -}}
{{- fail "networkPolicy.gatewayTo is missing: gateway.imageHosts names hosts that the gateway may not reach. For instance [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]}}], ports: [{port: 443}]}]" -}}
{{- end -}}
{{- end -}}
{{- end -}}
