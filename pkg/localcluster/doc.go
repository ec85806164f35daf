// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localcluster runs a real Kubernetes control plane on this machine
// for demos and tests: etcd, kube-apiserver, kube-controller-manager, the stock
// kube-scheduler, kwok, which plays the kubelets of simulated nodes, and
// Prometheus, which reads node_exporter's series of these nodes from kwok.
//
//	Start ─ claim the folder (flock), write certificates and configurations
//	      ─ etcd ─> kube-apiserver ─┬─> kube-controller-manager
//	                                ├─> kube-scheduler
//	                                ├─> roles for kwok ─> kwok
//	                                └─> role for Prometheus ─> prometheus
//	      ─ ready: every component answers its health check, and the default
//	        ServiceAccount exists, so that pods can be created
//
// What goes in: Options, and three binaries: auriga-local, which contains the
// four components (they are started as "auriga-local component NAME"), kwok and
// prometheus. What comes out: a Cluster with the administrator's kubeconfig and
// Prometheus' URL.
//
// The data folder holds everything and nothing is written elsewhere:
//
//	lock              held (flock) by the supervisor, contains its pid
//	state.json        State, replaced atomically at every change
//	admin.kubeconfig  credentials of a member of system:masters
//	pki/ etc/         keys and certificates (mode 0600), configurations
//	etc/prometheus-targets/  what AddScrapeTarget adds
//	etcd/ prometheus/ tmp/  the stores' data, the components' temporary files
//	logs/             one file for each process, and supervisor.log
//
// Invariants:
//   - Only 127.0.0.1 is listened on, and nothing beyond it is contacted.
//   - One supervisor a folder. A folder that is not empty and was not made by
//     this package is never touched.
//   - All processes live and die together: if one ends, the others are ended
//     and Err says which it was, how it ended and the last lines of its log.
//   - No process outlives the supervisor, even if that is killed: on Linux the
//     kernel kills the children (parent-death signal), and on every system our
//     own components exit when the pipe that the supervisor holds is closed.
//   - A failed or cancelled Start leaves no process and no file. After Stop the
//     data folder is gone. After a crash it is kept for its logs until Stop,
//     Down or the next Start.
//
// It works on Linux; other Unix systems lack only the parent-death signal for
// kwok and for processes added by StartProcess.
package localcluster
