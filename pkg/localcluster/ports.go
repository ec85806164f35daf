// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"net"
)

// FreePorts returns n different TCP ports of 127.0.0.1 that were free a moment
// ago. Another process may take one before it is used; Start then tries again.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
		}
		// All stay open until the last is found, so that they differ.
		defer l.Close() //nolint:errcheck // nothing was sent
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
