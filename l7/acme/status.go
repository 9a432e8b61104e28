package acme

import "time"

// A Status describes a Manager.
type Status struct {
	CA      string        `json:"ca"`
	Storage StorageStatus `json:"storage"`
	Hosts   []HostStatus  `json:"hosts,omitempty"`
}

// A HostStatus describes the certificate of one host that is wanted.
type HostStatus struct {
	Host string `json:"host"`
	// NotAfter is zero where there is no certificate yet.
	NotAfter time.Time `json:"not_after,omitzero"`
	// Due is when it is ordered next; only the edge that orders can say.
	Due time.Time `json:"due,omitzero"`
	// Err is why the last order failed.
	Err string `json:"error,omitempty"`
}

// Status describes what is wanted, and what there is of it.
func (m *Manager) Status() Status {
	s := Status{CA: m.config.CA, Storage: m.storage.Status()}
	v := m.view.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, host := range *m.wanted.Load() {
		h := HostStatus{Host: host}
		var have held
		c, ok := v.certificates[host]
		if ok {
			h.NotAfter, have = c.leaf.NotAfter, c.held()
		}
		f := v.faults[host]
		h.Err = f.Text
		if m.leads {
			h.Due = jobs(host, m.config.CA, have, ok, f, m.records[host])[0].at
		}
		s.Hosts = append(s.Hosts, h)
	}
	return s
}
