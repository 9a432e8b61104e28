package daemon

import (
	_ "embed" // of the document
	"net/http"
)

//go:generate go test -run TestOpenAPI -update .

// openAPI describes the API of a director, of which the one of a proxy is a
// part. It is made of the routes and of the types of their bodies, with what
// their comments say.
//
//go:embed openapi.json
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // whoever asked may have gone
}
