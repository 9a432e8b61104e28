package admin

import (
	"expvar"
	"net/http"
	"net/http/pprof"
)

// debug answers /debug/ with profiles and variables of the process, while the
// configuration says so.
func debug(config func() WebConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/vars", expvar.Handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !config().Debug {
			http.Error(w, "not open: set admin.debug = true and reload", http.StatusNotFound)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
