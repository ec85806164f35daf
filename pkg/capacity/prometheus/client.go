// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Reasons for which a query fails: values of a metric's label.
const (
	reasonTimeout     = "timeout"
	reasonUnreachable = "unreachable"
	reasonTooLarge    = "too_large"
	reasonBadQuery    = "bad_query"
	reasonBadAnswer   = "bad_answer"
	reasonServerError = "server_error"
)

func queryErrorReasons() []string {
	return []string{reasonTimeout, reasonUnreachable, reasonTooLarge, reasonBadQuery, reasonBadAnswer, reasonServerError}
}

// queryError is a query that brought no answer.
type queryError struct {
	query  string // The query's name.
	reason string
	err    error
}

func (e *queryError) Error() string { return fmt.Sprintf("query %s: %v", e.query, e.err) }

func (e *queryError) Unwrap() error { return e.err }

// client asks one source.
type client struct {
	http    *http.Client
	api     promv1.API
	timeout time.Duration
	clock   clock.PassiveClock
	logger  klog.Logger
	metrics *informerMetrics
}

func newClient(config Config, deps Deps, m *informerMetrics) (*client, error) {
	httpConfig := promconfig.DefaultHTTPClientConfig
	if file := config.HTTPConfigFile; file != "" {
		loaded, err := loadHTTPConfig(file)
		if err != nil {
			return nil, fmt.Errorf("httpConfigFile: %q: %w: want a file in Prometheus' http_config format", file, err)
		}
		httpConfig = *loaded
	}
	httpClient, err := promconfig.NewClientFromConfig(httpConfig, "auriga-capacity", promconfig.WithUserAgent("auriga-capacity"))
	if err != nil {
		return nil, fmt.Errorf("httpConfigFile: %q: %w", config.HTTPConfigFile, err)
	}
	httpClient.Transport = &limitedTransport{httpClient.Transport, config.MaxResponseBytes}
	apiClient, err := api.NewClient(api.Config{Address: config.Address, Client: httpClient})
	if err != nil {
		return nil, fmt.Errorf("address: %q: %w", config.Address, err)
	}
	return &client{
		http: httpClient, api: promv1.NewAPI(apiClient), timeout: config.QueryTimeout,
		clock: deps.Clock, logger: deps.Logger, metrics: m,
	}, nil
}

// loadHTTPConfig reads a file. Files that it names are, as in Prometheus' own
// configuration, relative to its folder.
func loadHTTPConfig(file string) (*promconfig.HTTPClientConfig, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	loaded, err := promconfig.LoadHTTPConfig(string(content))
	if err != nil {
		return nil, err
	}
	loaded.SetDirectory(filepath.Dir(file))
	return loaded, nil
}

// answer is what a query brought: a vector or an error.
type answer struct {
	query    string
	vector   model.Vector
	received time.Time
	err      *queryError
}

// ask sends a query, for the source's present, and counts its failure. It
// returns after the client's timeout at the latest.
func (c *client) ask(ctx context.Context, name, query string) answer {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	value, warnings, err := c.api.Query(limited, query, time.Time{})
	a := answer{query: name, received: c.clock.Now()}
	if len(warnings) > 0 {
		c.logger.V(4).Info("Prometheus warns of a query", "query", name, "warnings", warnings)
	}
	vector, isVector := value.(model.Vector)
	switch {
	case ctx.Err() != nil: // We were told to stop.
		a.err = &queryError{name, reasonUnreachable, ctx.Err()}
		return a
	case limited.Err() != nil:
		a.err = &queryError{name, reasonTimeout, fmt.Errorf("no answer within %v (queryTimeout)", c.timeout)}
	case err != nil:
		a.err = classify(name, err)
	case !isVector:
		a.err = &queryError{name, reasonBadAnswer, fmt.Errorf("it answers a %v: want an instant vector", value.Type())}
	default:
		a.vector = vector
		return a
	}
	c.metrics.queryErrors.WithLabelValues(name, a.err.reason).Inc()
	return a
}

// classify finds the reason of a failure, and what to do about it.
func classify(query string, err error) *queryError {
	var tooLarge *tooLargeError
	var answered *promv1.Error
	var network *url.Error
	var netError net.Error
	switch {
	case errors.As(err, &tooLarge):
		return &queryError{query, reasonTooLarge, tooLarge}
	case errors.As(err, &answered):
		reason, err := classifyAnswer(answered)
		return &queryError{query, reason, err}
	case errors.As(err, &netError) && netError.Timeout():
		return &queryError{query, reasonTimeout, err}
	case errors.As(err, &network), errors.As(err, &netError), errors.Is(err, io.ErrUnexpectedEOF):
		return &queryError{query, reasonUnreachable, err}
	default:
		return &queryError{query, reasonBadAnswer, notPrometheus(err.Error())}
	}
}

func classifyAnswer(answered *promv1.Error) (string, error) {
	switch answered.Type {
	case promv1.ErrBadData, promv1.ErrExec:
		return reasonBadQuery, answered
	case promv1.ErrTimeout, promv1.ErrCanceled:
		return reasonTimeout, answered
	case promv1.ErrServer, promv1.ErrClient:
		var status int
		if _, err := fmt.Sscanf(answered.Msg[strings.LastIndex(answered.Msg, " ")+1:], "%d", &status); err != nil {
			return reasonServerError, answered
		}
		return classifyStatus(status, answered.Detail)
	case promv1.ErrBadResponse:
		return reasonBadAnswer, notPrometheus(answered.Msg)
	default: // Prometheus' own "internal", "unavailable", "not_found".
		return reasonServerError, answered
	}
}

// classifyStatus is of answers that are neither 2xx nor 400 nor 422.
func classifyStatus(status int, body string) (string, error) {
	said := fmt.Errorf("HTTP status %d %s", status, http.StatusText(status))
	var own struct{ ErrorType, Error string }
	if json.Unmarshal([]byte(body), &own) == nil && own.Error != "" {
		said = fmt.Errorf("%w: %s: %s", said, own.ErrorType, own.Error)
	}
	switch {
	case own.ErrorType == string(promv1.ErrTimeout):
		return reasonTimeout, said
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return reasonBadAnswer, fmt.Errorf("%w: credentials belong into httpConfigFile", said)
	case status == http.StatusNotFound:
		return reasonBadAnswer, fmt.Errorf("%w: is the path of address right? It is what comes before /api/v1", said)
	case status == http.StatusTooManyRequests || status >= 500:
		return reasonServerError, said
	}
	return reasonBadAnswer, said
}

func notPrometheus(message string) error {
	return fmt.Errorf("the answer is not of Prometheus' HTTP API (is address right?): %s", shorten(message, 200))
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// tooLargeError is of an answer longer than limit bytes.
type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("the answer is longer than %d bytes (maxResponseBytes): want one series a node; "+
		"aggregate the query by the node's label, or raise maxResponseBytes", e.limit)
}

// limitedTransport lets nobody read more than limit bytes of a response's body,
// unpacked.
type limitedTransport struct {
	next  http.RoundTripper
	limit int64
}

func (t *limitedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	left := t.limit
	if response.ContentLength > t.limit {
		left = -1
	}
	response.Body = &limitedBody{response.Body, t.limit, left}
	return response, nil
}

// CloseIdleConnections is what http.Client looks for.
func (t *limitedTransport) CloseIdleConnections() {
	if next, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

type limitedBody struct {
	io.ReadCloser
	limit int64
	left  int64 // How much may still be read; negative once it was more.
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &tooLargeError{b.limit}
	}
	// One byte more than is left tells the limit from the end.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, &tooLargeError{b.limit}
	}
	return n, err
}
