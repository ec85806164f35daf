{{/* Name of the release's objects. */}}
{{- define "auriga.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the scheduler's objects. */}}
{{- define "auriga.scheduler" -}}
{{- include "auriga.fullname" . }}-scheduler
{{- end -}}

{{- define "auriga.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: scheduler
{{- end -}}

{{- define "auriga.labels" -}}
{{ include "auriga.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "auriga.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "auriga.scheduler" .) -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false: name an existing ServiceAccount" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "auriga.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A list of plugins in the form of a KubeSchedulerConfiguration. */}}
{{- define "auriga.pluginList" -}}
{{- range . }}
{{- if kindIs "string" . }}
- name: {{ . | quote }}
{{- else }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where the Secret of prometheus.httpConfigSecret is in both containers; "" without one. */}}
{{- define "auriga.prometheusConfig" -}}
{{- if and .Values.prometheus.address .Values.prometheus.httpConfigSecret.name -}}
/etc/auriga-prometheus/http_config.yaml
{{- end -}}
{{- end -}}

{{/*
The profiles, as a YAML list. RealCapacity is told which Prometheus to ask,
where it is on and its arguments do not say.
*/}}
{{- define "auriga.profiles" -}}
{{- $address := .Values.prometheus.address -}}
{{- if not $address -}}
{{- include "auriga.givenProfiles" . -}}
{{- else -}}
{{- $prometheus := dict "address" $address -}}
{{- with include "auriga.prometheusConfig" . -}}
  {{- $_ := set $prometheus "httpConfigFile" . -}}
{{- end -}}
{{- $profiles := list -}}
{{- range (include "auriga.givenProfiles" . | fromYamlArray) -}}
  {{- $on := false -}}
  {{- range (.plugins | default dict) -}}
    {{- range .enabled -}}{{- if eq .name "RealCapacity" -}}{{- $on = true -}}{{- end -}}{{- end -}}
  {{- end -}}
  {{- if $on -}}
    {{- $found := false -}}
    {{- range .pluginConfig -}}
      {{- if eq .name "RealCapacity" -}}
        {{- $found = true -}}
        {{- if not (hasKey .args "prometheus") -}}{{- $_ := set .args "prometheus" $prometheus -}}{{- end -}}
      {{- end -}}
    {{- end -}}
    {{- if not $found -}}
      {{- $_ := set . "pluginConfig" (append (.pluginConfig | default list) (dict "name" "RealCapacity" "args" (dict "prometheus" $prometheus))) -}}
    {{- end -}}
  {{- end -}}
  {{- $profiles = append $profiles . -}}
{{- end -}}
{{- toYaml $profiles -}}
{{- end -}}
{{- end -}}

{{/* The profiles as the values give them. */}}
{{- define "auriga.givenProfiles" -}}
{{- if .Values.profiles -}}
{{- toYaml .Values.profiles -}}
{{- else -}}
{{- $disabled := .Values.plugins.disabled -}}
{{- range .Values.plugins.enabled -}}
  {{- $name := kindIs "string" . | ternary (toString .) (get (kindIs "map" . | ternary . dict) "name") -}}
  {{- if has $name $disabled -}}
    {{- fail (printf "plugins.enabled and plugins.disabled both name %s, and then it stays enabled: take it out of one of them" $name) -}}
  {{- end -}}
  {{- if and (eq $name "Coscheduling") (not (or (has "PrioritySort" $disabled) (has "*" $disabled))) -}}
    {{- fail "plugins.enabled has Coscheduling, which orders the queue itself, and a queue has one order: add PrioritySort to plugins.disabled" -}}
  {{- end -}}
{{- end -}}
- schedulerName: {{ .Values.scheduler.name | quote }}
  {{- with .Values.plugins }}
  {{- if or .enabled .disabled .points }}
  plugins:
    {{- with .points }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if or .enabled .disabled }}
    multiPoint:
      {{- with .enabled }}
      enabled:
        {{- include "auriga.pluginList" . | trim | nindent 8 }}
      {{- end }}
      {{- with .disabled }}
      disabled:
        {{- include "auriga.pluginList" . | trim | nindent 8 }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- end }}
  {{- with .Values.pluginConfig }}
  pluginConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/*
The plugins that are on in any profile, as a JSON list: Kubernetes' defaults
without those that multiPoint disables, and every plugin enabled at any point.
The scheduler starts exactly these.
*/}}
{{- define "auriga.enabledPlugins" -}}
{{- $known := .Files.Get "files/rbac.yaml" | fromYaml -}}
{{- $on := dict -}}
{{- range (include "auriga.profiles" . | fromYamlArray) -}}
  {{- $plugins := .plugins | default dict -}}
  {{- $off := dict -}}
  {{- range ($plugins.multiPoint | default dict).disabled -}}
    {{- $_ := set $off .name true -}}
  {{- end -}}
  {{- if not (hasKey $off "*") -}}
    {{- range $known.defaults -}}
      {{- if not (hasKey $off .) -}}{{- $_ := set $on . true -}}{{- end -}}
    {{- end -}}
  {{- end -}}
  {{- range $plugins -}}
    {{- range .enabled -}}{{- $_ := set $on .name true -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- range (keys $on | sortAlpha) -}}
  {{- if not (or (hasKey $known.plugins .) (hasKey $.Values.rbac.plugins .)) -}}
    {{- fail (printf "unknown plugin %q: this chart knows %s; for a plugin of your own build, say in rbac.plugins what it may do" . (keys $known.plugins | sortAlpha | join ", ")) -}}
  {{- end -}}
{{- end -}}
{{- keys $on | sortAlpha | toJson -}}
{{- end -}}

{{/*
The rules of the ClusterRole: the sum of what files/rbac.yaml says for the base,
the controller, the enabled plugins and the enabled feature gates, one rule per resource.
*/}}
{{- define "auriga.rules" -}}
{{- $known := .Files.Get "files/rbac.yaml" | fromYaml -}}
{{- $on := include "auriga.enabledPlugins" . | fromJsonArray -}}
{{- $parts := list $known.base -}}
{{- if .Values.controller.enabled -}}
  {{- $parts = append $parts $known.controller -}}
{{- end -}}
{{- range $on -}}
  {{- $parts = append $parts (get $known.plugins . | default dict) -}}
{{- end -}}
{{- range $gate, $enabled := .Values.scheduler.featureGates -}}
  {{- if $enabled -}}
    {{- $parts = append $parts (get $known.featureGates $gate | default dict) -}}
  {{- end -}}
{{- end -}}
{{- $sum := dict -}}
{{- range $parts -}}
  {{- range $resource, $verbs := . -}}
    {{- $_ := set $sum $resource (concat (get $sum $resource | default list) $verbs | uniq) -}}
  {{- end -}}
{{- end -}}
{{- range (keys $sum | sortAlpha) }}
{{- $name := splitn "/" 2 . }}
- apiGroups: [{{ eq $name._0 "core" | ternary "" $name._0 | quote }}]
  resources: [{{ $name._1 | quote }}]
  verbs: {{ get $sum . | toJson }}
{{- end }}
{{- range $on }}
{{- with get $.Values.rbac.plugins . }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- if .Values.controller.enabled }}
{{- with .Values.controller.rules }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The "restricted" Pod Security Standard, and no writable root. */}}
{{- define "auriga.containerSecurityContext" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}
