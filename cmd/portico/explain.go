package main

import (
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/route"
)

func explainCommand(e env, path *string) *cobra.Command {
	var asJSON bool
	var headers []string
	var entrypoint string
	c := &cobra.Command{
		Use:   "explain URL",
		Short: "Say which route answers a request, and why",
		Long: "Explain asks this node's proxy what would become of a request: which rule of which\n" +
			"object wins and why, what else matches, what is done to the request, which endpoints\n" +
			"may get it, which certificate the client is shown, and what the other dialects of\n" +
			"annotations would do. No request is made. It exits 1 where no endpoint would answer.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errUsage{fmt.Errorf("%s takes one URL", c.CommandPath())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			header, err := parseHeaders(headers)
			if err != nil {
				return err
			}
			socket, err := proxySocket(c, *path)
			if err != nil {
				return err
			}
			var x l7.Explanation
			q := l7.Question{URL: args[0], Header: header, Entrypoint: entrypoint}
			if err := admin.Ask(c.Context(), socket, "/api/v1/explain", q, &x); err != nil {
				return err
			}
			if asJSON {
				err = printJSON(e.stdout, x)
			} else {
				printExplanation(e.stdout, x, time.Now())
			}
			if err == nil && !answered(x) {
				return errSilent
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON")
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "a `field` of the request, as \"Name: value\"; may be given again")
	c.Flags().StringVar(&entrypoint, "entrypoint", "", "the `name` of the entrypoint; default: the one for the URL's scheme and port")
	return c
}

func parseHeaders(lines []string) (http.Header, error) {
	h := http.Header{}
	for _, l := range lines {
		name, value, ok := strings.Cut(l, ":")
		if !ok || name == "" {
			return nil, errUsage{fmt.Errorf("--header %q: want \"Name: value\"", l)}
		}
		h.Add(textproto.TrimString(name), textproto.TrimString(value))
	}
	return h, nil
}

// answered reports whether an endpoint would get the request.
func answered(x l7.Explanation) bool {
	for _, b := range x.Backends {
		if len(b.Endpoints) > 0 {
			return true
		}
	}
	return false
}

func printExplanation(w io.Writer, x l7.Explanation, now time.Time) {
	fmt.Fprintf(w, "%s%s at entrypoint %s\n", x.Host, x.Path, x.Entrypoint)
	if x.Route != nil {
		fmt.Fprintf(w, "\n  won by %s: %s\n", x.Route.Origin, ruleText(x.Route))
		for _, s := range x.Route.Steps {
			if t, ok := s.(route.Told); ok {
				fmt.Fprintf(w, "    %s %s\n", t.Name, t.Settings)
			}
		}
	}
	if x.Answer != "" {
		fmt.Fprintf(w, "\n  answered %s\n", x.Answer)
	}
	for _, b := range x.Backends {
		printChoice(w, b)
	}
	for _, p := range x.Problems {
		fmt.Fprintf(w, "  ! %s\n", p)
	}
	printOthers(w, x)
	switch c := x.Certificate; {
	case c != nil:
		fmt.Fprintf(w, "\n  certificate %s for %s, valid until %s (%s)\n", c.Name, strings.Join(c.Hosts, " "),
			c.NotAfter.Format(time.DateOnly), days(c.NotAfter.Sub(now)))
	case strings.HasPrefix(x.Entrypoint, "https"):
		fmt.Fprintln(w, "\n  certificate: none for this host, clients are shown a self-signed one")
	}
	printDialects(w, x)
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d.Hours()/24)) }

// ruleText is what a rule matches and where it leads.
func ruleText(s *route.Spec) string {
	text := fmt.Sprintf("%s %s %s -> %s", orAny(s.Host), s.Match, s.Path, backendText(s))
	if s.Priority != 0 {
		text += fmt.Sprintf(", priority %d", s.Priority)
	}
	return text
}

func printChoice(w io.Writer, b l7.BackendChoice) {
	switch {
	case b.Because != "":
		fmt.Fprintf(w, "\n  to %s, by its %s\n", b.Backend, b.Because)
	case b.Share < 1:
		fmt.Fprintf(w, "\n  to %s, %.4g %% of such requests\n", b.Backend, 100*b.Share)
	default:
		fmt.Fprintf(w, "\n  to %s\n", b.Backend)
	}
	if len(b.Endpoints) == 0 {
		fmt.Fprintln(w, "  ! it has no endpoint: the answer is 503")
	}
	for _, e := range b.Endpoints {
		text := fmt.Sprintf("    %s  %d requests, %d in flight", e.Addr, e.Requests, e.InFlight)
		if e.Leaving {
			text += ", leaving"
		}
		if e.Ejected != nil {
			text += ", ejected: " + e.Ejected.Why
		}
		fmt.Fprintln(w, text)
	}
}

func printOthers(w io.Writer, x l7.Explanation) {
	if len(x.Others)+len(x.Conflicts) > 0 {
		fmt.Fprintln(w, "\n  also matches")
	}
	for _, o := range x.Others {
		fmt.Fprintf(w, "    %s: %s: %s\n", o.Route.Origin, ruleText(&o.Route), o.Why)
	}
	for _, c := range x.Conflicts {
		fmt.Fprintf(w, "    %s: %s: the very same rule, the older object has it\n", c.Origin, ruleText(&c))
	}
}

func printDialects(w io.Writer, x l7.Explanation) {
	for _, d := range x.Dialects {
		switch {
		case d.Same:
			fmt.Fprintf(w, "\n  dialect %q would do the same\n", d.Dialect)
		case d.Route == nil:
			fmt.Fprintf(w, "\n  dialect %q would have no route\n", d.Dialect)
		default:
			fmt.Fprintf(w, "\n  dialect %q: %s: %s, steps %s\n", d.Dialect, d.Route.Origin, ruleText(d.Route), steps(d.Route))
		}
	}
}
