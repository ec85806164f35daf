// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	frameworkplugins "k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	pluginsconfig "sigs.k8s.io/scheduler-plugins/apis/config"
	pluginsvalidation "sigs.k8s.io/scheduler-plugins/apis/config/validation"
	"sigs.k8s.io/scheduler-plugins/pkg/capacityscheduling"
	"sigs.k8s.io/scheduler-plugins/pkg/coscheduling"

	"auriga.dev/auriga/pkg/apis/config"
)

// online lists the plugins whose constructor waits for an API server. They are
// judged by a nil pointer of their type and by their arguments' validation.
var online = map[string]struct {
	plugin   fwk.Plugin
	validate func(args runtime.Object) error
}{
	coscheduling.Name: {
		plugin: (*coscheduling.Coscheduling)(nil),
		validate: func(args runtime.Object) error {
			a, ok := args.(*pluginsconfig.CoschedulingArgs)
			if !ok {
				return fmt.Errorf("the arguments are %T, want CoschedulingArgs", args)
			}
			return pluginsvalidation.ValidateCoschedulingArgs(a, nil)
		},
	},
	capacityscheduling.Name: {
		plugin:   (*capacityscheduling.CapacityScheduling)(nil),
		validate: func(runtime.Object) error { return nil }, // it takes none
	},
}

// points maps the extension points, as files name them, to what a plugin
// implements to be enabled there. multiPoint stands for all of them.
var points = map[string]reflect.Type{
	"preEnqueue": reflect.TypeFor[fwk.PreEnqueuePlugin](),
	"queueSort":  reflect.TypeFor[fwk.QueueSortPlugin](),
	"preFilter":  reflect.TypeFor[fwk.PreFilterPlugin](),
	"filter":     reflect.TypeFor[fwk.FilterPlugin](),
	"postFilter": reflect.TypeFor[fwk.PostFilterPlugin](),
	"preScore":   reflect.TypeFor[fwk.PreScorePlugin](),
	"score":      reflect.TypeFor[fwk.ScorePlugin](),
	"reserve":    reflect.TypeFor[fwk.ReservePlugin](),
	"permit":     reflect.TypeFor[fwk.PermitPlugin](),
	"preBind":    reflect.TypeFor[fwk.PreBindPlugin](),
	"bind":       reflect.TypeFor[fwk.BindPlugin](),
	"postBind":   reflect.TypeFor[fwk.PostBindPlugin](),
	"multiPoint": reflect.TypeFor[fwk.Plugin](),
}

// catalog knows every plugin of a scheduler without running one.
type catalog struct {
	registry frameworkruntime.Registry
	handle   fwk.Handle
	options  []frameworkruntime.Option
	types    map[string]reflect.Type // by plugin name
}

// newCatalog builds each plugin once with its default arguments. ctx ends the
// little that this starts (a recorder of metrics).
func newCatalog(ctx context.Context, scheme *runtime.Scheme, outOfTree frameworkruntime.Registry) (*catalog, error) {
	c := &catalog{registry: frameworkplugins.NewInTreeRegistry(), types: map[string]reflect.Type{}}
	if err := c.registry.Merge(outOfTree); err != nil {
		return nil, fmt.Errorf("a plugin has the name of an in-tree one: %w", err)
	}

	// Clients and informers that are never started.
	kubeConfig := &rest.Config{Host: "http://127.0.0.1:0"}
	client, err := kubernetes.NewForConfig(kubeConfig)
	if err != nil {
		return nil, fmt.Errorf("building a client that is never used: %w", err)
	}
	c.options = []frameworkruntime.Option{
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithKubeConfig(kubeConfig),
		frameworkruntime.WithInformerFactory(informers.NewSharedInformerFactory(client, 0)),
		frameworkruntime.WithSnapshotSharedLister(internalcache.NewEmptySnapshot()),
	}
	c.handle, err = frameworkruntime.NewFramework(ctx, nil, nil, c.options...)
	if err != nil {
		return nil, fmt.Errorf("building an empty scheduling framework: %w", err)
	}

	for name := range c.registry {
		args, err := defaultArgs(scheme, name)
		if err != nil {
			return nil, err
		}
		plugin, err := c.build(ctx, name, args)
		if err != nil {
			return nil, fmt.Errorf("plugin %s does not accept its own default arguments: %w", name, err)
		}
		c.types[name] = reflect.TypeOf(plugin)
	}
	return c, nil
}

// defaultArgs returns what a plugin gets when a file says nothing about it.
func defaultArgs(scheme *runtime.Scheme, name string) (runtime.Object, error) {
	versioned, err := scheme.New(schedconfigv1.SchemeGroupVersion.WithKind(name + "Args"))
	if runtime.IsNotRegisteredError(err) {
		return nil, nil // it takes none
	}
	if err != nil {
		return nil, fmt.Errorf("default arguments of plugin %s: %w", name, err)
	}
	scheme.Default(versioned)
	args, err := scheme.ConvertToVersion(versioned, schedconfig.SchemeGroupVersion)
	if err != nil {
		return nil, fmt.Errorf("default arguments of plugin %s: %w", name, err)
	}
	return args, nil
}

// build constructs a plugin as the scheduler would, or comes as near to it as
// is possible without a cluster.
func (c *catalog) build(ctx context.Context, name string, args runtime.Object) (fwk.Plugin, error) {
	if o, ok := online[name]; ok {
		return o.plugin, o.validate(args)
	}
	return c.registry[name](ctx, withoutFiles(args), c.handle)
}

// withoutFiles are the arguments without the names of files that are on the
// scheduler's machine, not necessarily on this one.
func withoutFiles(args runtime.Object) runtime.Object {
	if a, ok := args.(*config.RealCapacityArgs); ok {
		a = a.DeepCopy()
		a.Prometheus.HTTPConfigFile = ""
		return a
	}
	return args
}

// implements tells whether a plugin can be enabled at an extension point.
func (c *catalog) implements(name, point string) bool {
	t := c.types[name]
	return t != nil && t.Implements(points[point])
}

// at lists the plugins that can be enabled at an extension point.
func (c *catalog) at(point string) []string {
	var names []string
	for _, name := range sortedKeys(c.types) {
		if c.implements(name, point) {
			names = append(names, name)
		}
	}
	return names
}

// pointsOf lists the extension points at which a plugin can be enabled.
func (c *catalog) pointsOf(name string) []string {
	var list []string
	for _, point := range sortedKeys(points) {
		if point != "multiPoint" && c.implements(name, point) {
			list = append(list, point)
		}
	}
	return list
}
