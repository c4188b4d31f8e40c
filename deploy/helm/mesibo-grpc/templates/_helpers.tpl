{{/* The name of every object of a release. */}}
{{- define "mesibo-grpc.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects the pods of the facade. */}}
{{- define "mesibo-grpc.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What selects the pod of the PostgreSQL that the chart brings along. */}}
{{- define "mesibo-grpc.postgresqlSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-postgresql
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mesibo-grpc.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "mesibo-grpc.labels" -}}
{{ include "mesibo-grpc.selectorLabels" . }}
{{ include "mesibo-grpc.commonLabels" . }}
{{- end }}

{{- define "mesibo-grpc.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Selectors of namespaces by their names, as peers of a NetworkPolicy. */}}
{{- define "mesibo-grpc.namespaces" -}}
{{- range . }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . | quote }}
{{- end }}
{{- end }}
