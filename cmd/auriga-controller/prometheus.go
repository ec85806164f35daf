// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	promconfig "github.com/prometheus/common/config"

	"auriga.dev/auriga/pkg/controllers/nodeprofile"
)

// maxAnswer bounds one answer of Prometheus, in bytes: about 200,000 series.
const maxAnswer = 64 << 20

// newQuerier connects to Prometheus; nil without an address. It sends nothing yet.
func newQuerier(address, configFile string) (nodeprofile.Querier, error) {
	if address == "" {
		return nil, nil
	}
	config := &promconfig.DefaultHTTPClientConfig
	if configFile != "" {
		var err error
		if config, _, err = promconfig.LoadHTTPConfigFile(configFile); err != nil {
			return nil, fmt.Errorf("--prometheus-http-config-file=%s: %w: it must be in the format of Prometheus' http_config", configFile, err)
		}
	}
	transport, err := promconfig.NewRoundTripperFromConfig(*config, "prometheus")
	if err != nil {
		return nil, fmt.Errorf("--prometheus-http-config-file=%s: %w", configFile, err)
	}
	client, err := api.NewClient(api.Config{Address: address, RoundTripper: limited{transport, maxAnswer}})
	if err != nil {
		return nil, fmt.Errorf("--prometheus-address=%s: %w", address, err)
	}
	return promv1.NewAPI(client), nil
}

// limited refuses answers of more than max bytes.
type limited struct {
	http.RoundTripper
	max int64
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &limitedBody{ReadCloser: response.Body, left: l.max, max: l.max}
	}
	return response, err
}

type limitedBody struct {
	io.ReadCloser
	left, max int64
}

// Read fails, rather than ends, at the limit: half an answer is none.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes: narrow the query", b.max)
	}
	return n, err
}
