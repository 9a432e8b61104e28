package kube

import "k8s.io/client-go/kubernetes"

// NewClient returns a client of the API server that o names, for those who write
// there, and what ends its connections. It connects to nothing yet.
func NewClient(o WatchOptions) (c *kubernetes.Clientset, end func(), err error) {
	s, err := newServer(o)
	if err != nil {
		return nil, nil, err
	}
	if c, err = kubernetes.NewForConfigAndClient(s.config, s.http); err != nil {
		return nil, nil, err
	}
	return c, s.close, nil
}
