package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/route"
)

func routesCommand(e env, path *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "routes [TEXT]",
		Short: "List the routes of this node's proxy",
		Long: "Routes lists every rule that answers, by host and path, with its backend, how many\n" +
			"endpoints that has, what is done to requests, and the object it comes from. With TEXT\n" +
			"only rules are listed in whose line it stands.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var all []l7.RouteStatus
			if err := askProxy(c, *path, "/api/v1/routes", &all); err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(r l7.RouteStatus) bool { return len(args) > 0 && !strings.Contains(routeRow(r), args[0]) })
			if asJSON {
				return printJSON(e.stdout, all)
			}
			rows := []string{row("HOST", "PATH", "MATCH", "BACKEND", "ENDPOINTS", "STEPS", "FROM")}
			for _, r := range all {
				rows = append(rows, routeRow(r))
			}
			table(e.stdout, rows...)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON")
	return c
}

func routeRow(r l7.RouteStatus) string {
	match := r.Match.String()
	if r.Priority != 0 {
		match += fmt.Sprintf(" %d", r.Priority)
	}
	if len(r.Entrypoints) > 0 {
		match += " at " + strings.Join(r.Entrypoints, ",")
	}
	return row(orAny(r.Host), r.Path, match, backendText(&r.Spec), r.Endpoints, steps(&r.Spec), r.Origin)
}

func orAny(host string) string {
	if host == "" {
		return "any"
	}
	return host
}

// backendText is where requests of a rule go, in one word.
func backendText(s *route.Spec) string {
	text := s.Backend.String()
	if s.Backend == (route.Backend{}) {
		text = "503"
	}
	if n := len(s.Choices); n > 0 {
		text += fmt.Sprintf(" +%d", n)
	}
	return text
}

// steps are the kinds of what is done to requests of a rule.
func steps(s *route.Spec) string {
	if len(s.Steps) == 0 {
		return "-"
	}
	kinds := make([]string, len(s.Steps))
	for i, step := range s.Steps {
		kinds[i] = step.Kind()
	}
	return strings.Join(kinds, ",")
}

// askProxy asks this node's proxy, or the process that runs it as well.
func askProxy(c *cobra.Command, path, question string, v any) error {
	socket, err := proxySocket(c, path)
	if err != nil {
		return err
	}
	return admin.Get(c.Context(), socket, question, v)
}

// proxySocket is where the proxy of this node answers.
func proxySocket(c *cobra.Command, path string) (string, error) {
	conf, err := config.Load(path, func(string) bool { return false })
	if err != nil {
		if conf, err = config.Defaults(); err != nil {
			return "", err
		}
	}
	var s daemon.Status
	if admin.Get(c.Context(), conf.Admin.Socket, "/api/v1/status", &s) == nil && s.L7 != nil {
		return conf.Admin.Socket, nil
	}
	return conf.Admin.L7Socket, nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
