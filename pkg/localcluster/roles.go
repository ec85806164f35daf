// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	// accountPrometheus is Prometheus' ServiceAccount, in kube-system.
	accountPrometheus = "auriga-local-prometheus"
	// tokenLifetime is longer than a local cluster is of use.
	tokenLifetime = 30 * 24 * time.Hour
)

// pollInterval is how often Start asks the API server whether it is so far.
const pollInterval = 50 * time.Millisecond

// createKwokRoles lets kwok do what kubelets do, and no more: read nodes and
// pods, write their status, remove pods that are being deleted, hold node
// leases. It returns when the permissions are in force.
func createKwokRoles(ctx context.Context, admin, asKwok kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Name: userKwok}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: userKwok}}
	rule := func(group string, resources, verbs []string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}

	if _, err := admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: meta,
		Rules: []rbacv1.PolicyRule{
			rule("", []string{"nodes", "pods"}, []string{"get", "list", "watch"}),
			rule("", []string{"nodes/status", "pods/status"}, []string{"patch"}),
			rule("", []string{"pods"}, []string{"delete"}),
		},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create kwok's ClusterRole: %w", err)
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		Subjects:   subjects,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: userKwok},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create kwok's ClusterRoleBinding: %w", err)
	}
	// The namespace of the leases appears a moment after the API server is ready.
	if err := poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := admin.RbacV1().Roles(corev1.NamespaceNodeLease).Create(ctx, &rbacv1.Role{
			ObjectMeta: meta,
			Rules: []rbacv1.PolicyRule{
				rule("coordination.k8s.io", []string{"leases"}, []string{"get", "list", "watch", "create", "update"}),
			},
		}, metav1.CreateOptions{})
		return err == nil, ignore(err, apierrors.IsNotFound)
	}); err != nil {
		return fmt.Errorf("create kwok's Role: %w", err)
	}
	if _, err := admin.RbacV1().RoleBindings(corev1.NamespaceNodeLease).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		Subjects:   subjects,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: userKwok},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create kwok's RoleBinding: %w", err)
	}

	if err := poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := asKwok.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil, ignore(err, apierrors.IsForbidden)
	}); err != nil {
		return fmt.Errorf("wait for kwok's permissions: %w", err)
	}
	return nil
}

// createPrometheusRoles lets Prometheus read the metrics of whoever asks the API
// server about its users, and nothing else. Some take client certificates, some
// only tokens: it returns a ServiceAccount's.
func createPrometheusRoles(ctx context.Context, admin kubernetes.Interface) (token string, err error) {
	meta := metav1.ObjectMeta{Name: userPrometheus}
	if _, err := admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("create Prometheus' ClusterRole: %w", err)
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		Subjects: []rbacv1.Subject{
			{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: userPrometheus},
			{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: accountPrometheus},
		},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: userPrometheus},
	}, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("create Prometheus' ClusterRoleBinding: %w", err)
	}
	accounts := admin.CoreV1().ServiceAccounts(metav1.NamespaceSystem)
	// The namespace appears a moment after the API server is ready.
	if err := poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: accountPrometheus}}, metav1.CreateOptions{})
		return err == nil, ignore(err, apierrors.IsNotFound)
	}); err != nil {
		return "", fmt.Errorf("create Prometheus' ServiceAccount: %w", err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLifetime.Seconds()))}}
	response, err := accounts.CreateToken(ctx, accountPrometheus, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("get a token for Prometheus: %w", err)
	}
	return response.Status.Token, nil
}

// waitServiceAccount waits for the default ServiceAccount: no pod can be
// created before kube-controller-manager has made it.
func waitServiceAccount(ctx context.Context, admin kubernetes.Interface) error {
	if err := poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := admin.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignore(err, apierrors.IsNotFound)
	}); err != nil {
		return fmt.Errorf("wait for the ServiceAccount default/default: %w", err)
	}
	return nil
}

func poll(ctx context.Context, condition wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, condition)
}

// ignore drops an error that passes.
func ignore(err error, passes func(error) bool) error {
	if passes(err) {
		return nil
	}
	return err
}
