{{/* Ports of probes and metrics, the same in every part. */}}
{{- define "septem.admin.port" -}}8081{{- end }}

{{/* An environment variable from a Secret: [variable, secret, key]. */}}
{{- define "septem.secret.env" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}
{{- end }}

{{/* A key and the one before it: [variable, {name, key, previousKey}]. */}}
{{- define "septem.rotated.env" -}}
{{- $secret := index . 1 -}}
{{ include "septem.secret.env" (list (index . 0) $secret.name $secret.key) }}
{{- with $secret.previousKey }}
{{ include "septem.secret.env" (list (printf "%s_PREVIOUS" (index $ 0)) $secret.name .) }}
{{- end }}
{{- end }}

{{/* What may call, and with which key, alike for proxy and dispatcher. */}}
{{- define "septem.hooks.env" -}}
- name: SEPTEM_HOOK_HOSTS
  value: {{ .Values.hooks.hosts | quote }}
{{- if .Values.hooks.keySecret.name }}
{{ include "septem.rotated.env" (list "SEPTEM_HOOK_KEY" .Values.hooks.keySecret) }}
{{- end }}
{{- end }}

{{/* The stores that sink and dispatcher share. */}}
{{- define "septem.events.env" -}}
{{- $secret := .Values.sink.databaseSecret -}}
{{ include "septem.secret.env" (list "SEPTEM_SINK_DATABASE_URL" $secret.name $secret.key) }}
- name: SEPTEM_SINK_KAFKA_BOOTSTRAP
  value: {{ required "kafka.bootstrap: say where Kafka is, such as kafka.data.svc:9092." .Values.kafka.bootstrap | quote }}
- name: SEPTEM_SINK_KAFKA_TOPIC
  value: {{ .Values.kafka.topic | quote }}
{{- end }}

{{/* What a container may do: nothing beyond its process. */}}
{{- define "septem.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "septem.pod.security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/*
The Deployment of one part, from a dict:
  root, part   whose and which; values of the part are found by its name
  image        values that name the image
  env          its variables, as YAML
  replicas     none where an autoscaler decides
  drain        seconds that the binary takes to end, at most
optional:
  args, strategy, account, http (a public port), preStop (seconds), volumes and mounts, as YAML
*/}}
{{- define "septem.deployment" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .part -}}
{{- $selector := include "septem.selector" (list $root .part) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "septem.metadata" (list $root .part) | nindent 2 }}
spec:
  {{- with .replicas }}
  replicas: {{ . }}
  {{- end }}
  strategy:
    {{- default "type: RollingUpdate\nrollingUpdate: {maxUnavailable: 0, maxSurge: 1}" .strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  template:
    metadata:
      {{- /* Without versions: a release that changes nothing of a part does not restart it. */}}
      labels:
        {{- $selector | nindent 8 }}
        {{- with $root.Values.commonLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- with .account }}
      serviceAccountName: {{ . }}
      {{- end }}
      automountServiceAccountToken: {{ not (empty .account) }}
      enableServiceLinks: false
      {{- /* A margin over the binary's own limit, so that it ends by itself. */}}
      terminationGracePeriodSeconds: {{ add .drain (default 0 .preStop) 10 }}
      securityContext:
        {{- include "septem.pod.security" $root | nindent 8 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .part }}
          {{- $at := ternary (printf "@%s" .image.digest) (printf ":%s" (default $root.Chart.AppVersion $root.Values.image.tag)) (ne .image.digest "") }}
          image: {{ printf "%s/%s%s" $root.Values.image.registry .image.repository $at | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          {{- with .args }}
          args: {{ toJson . }}
          {{- end }}
          env:
            - name: SEPTEM_LOG
              value: {{ $root.Values.log | quote }}
            {{- .env | nindent 12 }}
            {{- range $name, $value := $values.env }}
            - name: {{ $name }}
              value: {{ $value | quote }}
            {{- end }}
          ports:
            {{- with .http }}
            - {name: http, containerPort: {{ . }}}
            {{- end }}
            - {name: admin, containerPort: {{ include "septem.admin.port" $root }}}
          {{- /* Waiting for a store is not a reason to restart: /live says only that the process works. */}}
          startupProbe:
            httpGet: {path: /live, port: admin}
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            httpGet: {path: /live, port: admin}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /ready, port: admin}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          {{- with .preStop }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ . }}}
          {{- end }}
          securityContext:
            {{- include "septem.container.security" $root | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          {{- with .mounts }}
          volumeMounts:
            {{- . | nindent 12 }}
          {{- end }}
      {{- with .volumes }}
      volumes:
        {{- . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- $selector | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- with $values.scheduling }}
      {{- with .nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- end }}
{{- end }}
