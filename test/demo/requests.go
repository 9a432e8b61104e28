package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// A rule of the Ingress, and the Pods that must answer for it.
type rule struct {
	host, path string
	pods       []string
}

func rules() []rule {
	web, api := []string{"web-1", "web-2", "web-3"}, []string{"api-1", "api-2"}
	return []rule{{shopHost, "/", web}, {shopHost, "/api/orders", api}, {apiHost, "/", api}}
}

// burst is how many requests are sent for each rule.
const burst = 60

func (d *demo) whoAnswers() {
	d.section("Who answers")
	d.say("A client sends requests to the VIP. A Pod answers with its name and that of the edge node that asked it.")
	for _, r := range rules() {
		out := d.shell(fmt.Sprintf("ip netns exec client curl -sS -H 'Host: %s' http://%s%s", r.host, d.edge.VIP(), r.path))
		if pod, _, _ := strings.Cut(out, " "); !slices.Contains(r.pods, pod) {
			d.t.Fatalf("%s%s: answered by %q, want one of %v", r.host, r.path, pod, r.pods)
		}
	}
	d.gap()
	d.say("%d more connections for each rule, each from a new port:", burst)
	answered := 0
	for _, r := range rules() {
		tally := d.edge.Client.Burst(burst, 4, lab.Request{
			URL: "http://" + d.edge.VIP() + r.path, Host: r.host, Server: byBoth,
		})
		rows, missing := matrix(tally.By, d.names(), r.pods)
		rows[0][0] = r.host + r.path
		d.table(rows...)
		if tally.Answered != burst {
			d.t.Fatalf("%s%s: %v", r.host, r.path, tally)
		}
		if len(missing) > 0 {
			d.t.Fatalf("%s%s: nothing came through %v: %v", r.host, r.path, missing, tally)
		}
		answered += tally.Answered
	}
	total := burst * len(rules())
	d.good("%d of %d answered, through all edge nodes, by the Pods of the right Service", answered, total)
	d.sum("requests", "%d of %d answered, through 3 edge nodes, by 5 Pods", answered, total)
	status := d.shell(fmt.Sprintf("ip netns exec client curl -sS -o /dev/null -w '%%{http_code}' -H 'Host: unknown.example.test' http://%s/", d.edge.VIP()))
	if status != "404" {
		d.t.Fatalf("a host without a route: status %s, want 404", status)
	}
	d.good("a host that no Ingress has is 404")
}

// byBoth counts an answer for edge node and Pod.
func byBoth(r *http.Response, _ []byte) string {
	return r.Header.Get("X-Edge") + " " + r.Header.Get("X-Pod")
}

func (d *demo) names() []string {
	var names []string
	for _, n := range d.edge.Nodes {
		names = append(names, n.Name())
	}
	return names
}

// matrix lays out counts by "edge pod" as a table. It returns the edges and
// Pods that nothing came through, and any that are not of those named.
func matrix(by map[string]int, edges, pods []string) (rows [][]string, wrong []string) {
	byEdge, byPod := map[string]int{}, map[string]int{}
	for key, n := range by {
		edge, pod, _ := strings.Cut(key, " ")
		byEdge[edge] += n
		byPod[pod] += n
		if !slices.Contains(edges, edge) || !slices.Contains(pods, pod) {
			wrong = append(wrong, key)
		}
	}
	rows = append(rows, append([]string{""}, pods...))
	for _, edge := range edges {
		row := []string{edge}
		for _, pod := range pods {
			row = append(row, fmt.Sprint(by[edge+" "+pod]))
		}
		rows = append(rows, row)
		if byEdge[edge] == 0 {
			wrong = append(wrong, edge)
		}
	}
	for _, pod := range pods {
		if byPod[pod] == 0 {
			wrong = append(wrong, pod)
		}
	}
	return rows, wrong
}

func (d *demo) whichCertificate() {
	d.section("HTTPS, by name")
	d.say("The certificates come from Secrets of the Ingress. curl trusts the authority that signed them, and no other.")
	for _, host := range []string{shopHost, apiHost} {
		d.shell(fmt.Sprintf("ip netns exec client curl -sS --cacert ca.crt --resolve %[1]s:443:%[2]s https://%[1]s/", host, d.edge.VIP()))
	}
	rows := [][]string{{"NAME ASKED FOR", "CERTIFICATE", "SIGNED BY"}}
	for _, host := range []string{shopHost, apiHost, "unknown.example.test"} {
		cert, err := d.certificate(host)
		d.check(err)
		rows = append(rows, []string{host, certName(cert), cert.Issuer.CommonName})
		if known := host == shopHost || host == apiHost; known != (certName(cert) == host) {
			d.t.Fatalf("a client that asks for %s gets the certificate of %s", host, certName(cert))
		}
	}
	d.table(rows...)
	d.good("each host shows its own certificate, and an unknown one none of theirs")
	d.sum("HTTPS", "a certificate for each of 2 hosts, chosen by SNI")
}

func certName(cert *x509.Certificate) string {
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames[0]
	}
	return cert.Subject.CommonName
}

// certificate is what the VIP shows to a client that asks for host.
func (d *demo) certificate(host string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := d.edge.Client.DialContext(ctx, "tcp", d.edge.VIP()+":443")
	if err != nil {
		return nil, fmt.Errorf("https: %w", err)
	}
	defer conn.Close()
	// Which certificate it is, is the question here; curl has judged it.
	session := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := session.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("https for %s: %w", host, err)
	}
	return session.ConnectionState().PeerCertificates[0], nil
}

// request is what a client sends during changes: the shop's first page.
func (d *demo) request() lab.Request {
	return lab.Request{URL: "http://" + d.edge.VIP() + "/", Host: shopHost, Server: edge.ByEdge}
}
