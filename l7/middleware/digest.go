package middleware

// DigestAuth lets those pass that prove to know a user's password without
// sending it (RFC 7616), with MD5 or SHA-256 and qop=auth.
type DigestAuth struct {
	// Users are the H(name:realm:password) by name, as Htdigest reads them: 32
	// hexadecimal digits of MD5 or 64 of SHA-256, all of the same kind. Nobody
	// passes where there are none.
	Users map[string]string `json:"-"`
	// Realm is that of the hashes.
	Realm string `json:"realm"`
	// RemoveHeader keeps the Authorization field from the endpoint.
	RemoveHeader bool `json:"remove_header,omitempty"`
	// UserHeader is the field that tells the endpoint who asks, "" for none.
	UserHeader string `json:"user_header,omitempty"`
}

// Kind is its name in the configuration.
func (DigestAuth) Kind() string { return "digest_auth" }
