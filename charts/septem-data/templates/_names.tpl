{{/* What the names of all objects start with; 40 characters, so that a part's name always fits behind. */}}
{{- define "septem.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that never change: [root, part]. */}}
{{- define "septem.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object: [root, part]. */}}
{{- define "septem.labels" -}}
{{- $root := index . 0 -}}
{{- include "septem.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: septem-data
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name and labels of an object: [root, part, what follows the part in the name]. */}}
{{- define "septem.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "septem.fullname" $root }}-{{ index . 1 }}{{ if gt (len .) 2 }}-{{ index . 2 }}{{ end }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "septem.labels" (list $root (index . 1)) | nindent 2 }}
{{- end }}

{{- define "septem.operator.account" -}}
{{- $account := .Values.operator.serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-operator" (include "septem.fullname" .)) $account.name -}}
{{- else -}}
{{- required "operator.serviceAccount.name: name an existing ServiceAccount, or leave create on." $account.name -}}
{{- end -}}
{{- end }}

{{- define "septem.secret.namespace" -}}
{{- default .Release.Namespace .Values.rbac.secretNamespace -}}
{{- end }}
