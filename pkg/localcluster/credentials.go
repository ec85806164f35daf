// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// etcd has its own authority: a certificate that the API server accepts
	// must not open the store behind it.
	clusterCA = "cluster-ca"
	etcdCA    = "etcd-ca"
	// Of requests that the API server passes on to an aggregated API.
	frontProxyCA = "front-proxy-ca"
	// Key pairs in the folder pki, NAME.crt and NAME.key.
	servingPair    = "serving"
	frontProxyPair = "front-proxy"
	etcdPair       = "etcd"
	adminPair      = "admin"
	serviceAccount = "service-account"

	userKwok       = "auriga-local:kwok"
	userPrometheus = "auriga-local:prometheus"
	userFrontProxy = "auriga-local:front-proxy"

	certificateLife = 365 * 24 * time.Hour
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// keyPair is a certificate and its private key, PEM.
type keyPair struct{ cert, key []byte }

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: name}, key)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

// issue signs a certificate for this machine's components: they are servers
// and clients, on 127.0.0.1.
func (a *authority) issue(user string, groups ...string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return keyPair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		DNSNames:     []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    a.cert.NotBefore,
		NotAfter:     a.cert.NotBefore.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return keyPair{}, err
	}
	return encodePair(cert, key)
}

func encodePair(cert *x509.Certificate, key crypto.Signer) (keyPair, error) {
	certPEM, err := certutil.EncodeCertificates(cert)
	if err != nil {
		return keyPair{}, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{cert: certPEM, key: keyPEM}, nil
}

// writeCredentials makes the authorities, certificates, keys and kubeconfigs
// of a cluster whose API server is at url, all readable by the user only.
func writeCredentials(f files, url string) error {
	content := map[string][]byte{}
	authorities := map[string]*authority{}
	for _, name := range []string{clusterCA, etcdCA, frontProxyCA} {
		made, err := newAuthority("auriga-local-" + name)
		if err != nil {
			return fmt.Errorf("make the certificate authority %s: %w", name, err)
		}
		if content[f.cert(name)], err = certutil.EncodeCertificates(made.cert); err != nil {
			return fmt.Errorf("make the certificate authority %s: %w", name, err)
		}
		authorities[name] = made
	}
	tokenKey, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return err
	}
	content[f.key(serviceAccount)] = tokenKey

	for _, c := range []struct {
		by     string
		name   string
		user   string
		groups []string
		kube   bool // a kubeconfig too
	}{
		{etcdCA, etcdPair, "auriga-local-etcd", nil, false},
		{frontProxyCA, frontProxyPair, userFrontProxy, nil, false},
		{clusterCA, servingPair, "auriga-local", nil, false},
		{clusterCA, adminPair, "auriga-local:admin", []string{"system:masters"}, true},
		{clusterCA, kubeControllerManager, "system:kube-controller-manager", nil, true},
		{clusterCA, kubeScheduler, "system:kube-scheduler", nil, true},
		{clusterCA, kwok, userKwok, nil, true},
		{clusterCA, prometheus, userPrometheus, nil, false},
	} {
		pair, err := authorities[c.by].issue(c.user, c.groups...)
		if err != nil {
			return fmt.Errorf("make the certificate of %s: %w", c.user, err)
		}
		content[f.cert(c.name)], content[f.key(c.name)] = pair.cert, pair.key
		if c.kube {
			if content[f.kubeconfig(c.name)], err = kubeconfig(url, content[f.cert(clusterCA)], c.user, pair); err != nil {
				return fmt.Errorf("make the kubeconfig of %s: %w", c.user, err)
			}
		}
	}
	return writeFiles(content)
}

// writeFiles writes each file, mode 0600.
func writeFiles(content map[string][]byte) error {
	for path, data := range content {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfig contains its certificates, so that it can be copied elsewhere.
func kubeconfig(url string, ca []byte, user string, pair keyPair) ([]byte, error) {
	const name = "auriga-local"
	c := clientcmdapi.NewConfig()
	c.Clusters[name] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: ca}
	c.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key}
	c.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	c.CurrentContext = name
	return clientcmd.Write(*c)
}

// healthClient asks components for their health, as the administrator. TLS
// chooses the certificate that the asked component's authority has signed.
func healthClient(f files) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	for _, name := range []string{clusterCA, etcdCA} {
		pem, err := os.ReadFile(f.cert(name))
		if err != nil {
			return nil, fmt.Errorf("read a certificate authority: %w", err)
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s contains no certificate", f.cert(name))
		}
	}
	for _, name := range []string{adminPair, etcdPair} {
		pair, err := tls.LoadX509KeyPair(f.cert(name), f.key(name))
		if err != nil {
			return nil, fmt.Errorf("read a client certificate: %w", err)
		}
		config.Certificates = append(config.Certificates, pair)
	}
	return &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}, nil
}

// files names the files of a data folder.
type files struct{ dir string }

func (f files) cert(name string) string   { return filepath.Join(f.dir, "pki", name+".crt") }
func (f files) key(name string) string    { return filepath.Join(f.dir, "pki", name+".key") }
func (f files) config(name string) string { return filepath.Join(f.dir, "etc", name+".yaml") }
func (f files) token(name string) string  { return filepath.Join(f.dir, "pki", name+".token") }
func (f files) targets() string           { return filepath.Join(f.dir, "etc", "prometheus-targets") }
func (f files) log(name string) string    { return filepath.Join(f.dir, "logs", name+".log") }

func (f files) kubeconfig(name string) string {
	if name == adminPair {
		return filepath.Join(f.dir, "admin.kubeconfig")
	}
	return filepath.Join(f.dir, "etc", name+".kubeconfig")
}

// mkdirs makes the subfolders.
func (f files) mkdirs() error {
	for _, d := range []string{"pki", "etc", "etc/prometheus-targets", "etcd", "prometheus", "tmp", "logs"} {
		if err := os.MkdirAll(filepath.Join(f.dir, d), 0o700); err != nil {
			return err
		}
	}
	return nil
}
