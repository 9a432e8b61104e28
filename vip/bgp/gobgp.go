package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// The names of the policies. gobgp asks the import policy about our own routes
// too, so it lets in these and no others.
const (
	importPolicy = "own"
	exportPolicy = "to-neighbors"
)

// connectRetry is how often gobgp dials a router that does not answer; its
// least is 2 s. resetHold is how long it waits after a session that we reset.
const (
	connectRetry = 5 * time.Second
	resetHold    = 1 * time.Second
)

// process is a running gobgp. It listens on no port: routers are dialled.
type process struct {
	*server.BgpServer
	deaf func() // ends what listens to it
}

// newProcess starts gobgp under the identity of p, with no neighbors. Nothing
// that a neighbor says gets into its table.
func newProcess(ctx context.Context, log *slog.Logger, p plan) (process, error) {
	s := process{server.NewBgpServer(server.LoggerOption(slog.New(demote{log.Handler()}), nil)), func() {}}
	go s.Serve() // Stop waits for it
	err := s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: p.as, RouterId: p.routerID.String(), ListenPort: -1}})
	if err == nil {
		err = s.assign(ctx, api.PolicyDirection_POLICY_DIRECTION_IMPORT)
	}
	if err == nil {
		err = s.assign(ctx, api.PolicyDirection_POLICY_DIRECTION_EXPORT)
	}
	if err != nil {
		s.Stop()
		return process{}, fmt.Errorf("start bgp: %w", err)
	}
	return s, nil
}

// assign makes the direction refuse what no policy accepts.
func (s process) assign(ctx context.Context, d api.PolicyDirection, policies ...*api.Policy) error {
	return s.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Direction: d, Policies: policies, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}})
}

// apply makes the changes that lead to want, and goes on after a fault:
// a neighbor must not miss what another one cannot be told.
func (s process) apply(ctx context.Context, c changes, want plan) (errs []error) {
	note := func(err error, format string, args ...any) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err))
		}
	}
	for _, prefix := range c.withdraw {
		path := &apiutil.Path{Family: family(prefix), Nlri: nlri(prefix), Withdrawal: true}
		note(s.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{path}}), "withdraw %v", prefix)
	}
	for _, a := range c.leave {
		note(s.DeletePeer(ctx, &api.DeletePeerRequest{Address: a.String()}), "leave %v", a)
	}
	if c.exports {
		note(s.export(ctx, want), "choose what neighbors hear")
	}
	for _, r := range c.announce {
		_, err := s.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{path(r)}})
		note(err, "announce %v", r.Prefix)
	}
	for _, n := range c.join {
		note(s.AddPeer(ctx, &api.AddPeerRequest{Peer: peer(n, want.restart)}), "join %v", n.Address)
	}
	return errs
}

// renew ends the session with the neighbor, and begins another. A reset is no
// way to do so: gobgp keeps its notification when the session has just ended
// by itself, and ends the next one with it.
func (s process) renew(ctx context.Context, n Neighbor, restart time.Duration) error {
	err := s.DeletePeer(ctx, &api.DeletePeerRequest{Address: n.Address.String()})
	if err == nil {
		err = s.AddPeer(ctx, &api.AddPeerRequest{Peer: peer(n, restart)})
	}
	if err != nil {
		return fmt.Errorf("join %v again: %w", n.Address, err)
	}
	return nil
}

// export replaces the export policy and has the neighbors hear the difference.
func (s process) export(ctx context.Context, want plan) error {
	own := &api.Policy{Name: importPolicy, Statements: []*api.Statement{{
		Name:       importPolicy,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	policy := &api.Policy{Name: exportPolicy}
	r := &api.SetPoliciesRequest{Policies: []*api.Policy{own, policy}}
	for i, a := range sorted(want.exports, netip.Addr.Compare) {
		neighbor := fmt.Sprintf("neighbor-%d", i)
		r.DefinedSets = append(r.DefinedSets, &api.DefinedSet{
			DefinedType: api.DefinedType_DEFINED_TYPE_NEIGHBOR, Name: neighbor, List: []string{netip.PrefixFrom(a, a.BitLen()).String()},
		})
		byFamily := map[bgp.Family][]*api.Prefix{} // a set holds one family only
		for _, p := range want.exports[a] {
			bits := uint32(p.Bits())
			byFamily[family(p)] = append(byFamily[family(p)], &api.Prefix{IpPrefix: p.String(), MaskLengthMin: bits, MaskLengthMax: bits})
		}
		for f, prefixes := range byFamily {
			name := fmt.Sprintf("%s-%v", neighbor, f)
			r.DefinedSets = append(r.DefinedSets, &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_PREFIX, Name: name, Prefixes: prefixes})
			policy.Statements = append(policy.Statements, &api.Statement{
				Name: name,
				Conditions: &api.Conditions{
					NeighborSet: &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: neighbor},
					PrefixSet:   &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: name},
				},
				Actions: &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
			})
		}
	}
	if err := s.SetPolicies(ctx, r); err != nil {
		return err
	}
	if err := s.assign(ctx, api.PolicyDirection_POLICY_DIRECTION_IMPORT, own); err != nil {
		return err
	}
	if err := s.assign(ctx, api.PolicyDirection_POLICY_DIRECTION_EXPORT, policy); err != nil {
		return err
	}
	return s.ResetPeer(ctx, &api.ResetPeerRequest{Address: "all", Soft: true, Direction: api.ResetPeerRequest_DIRECTION_OUT})
}

// path is the route as gobgp takes it.
func path(r Route) *apiutil.Path {
	// Unspecified stands for our address in each session.
	hop := r.NextHop
	if !hop.IsValid() {
		hop = netip.IPv4Unspecified()
		if r.Prefix.Addr().Is6() {
			hop = netip.IPv6Unspecified()
		}
	}
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP)}
	if r.Prefix.Addr().Is4() {
		a, _ := bgp.NewPathAttributeNextHop(hop) // an address it is
		attrs = append(attrs, a)
	} else {
		a, _ := bgp.NewPathAttributeMpReachNLRI(family(r.Prefix), []bgp.PathNLRI{{NLRI: nlri(r.Prefix)}}, hop)
		attrs = append(attrs, a)
	}
	if r.MED != 0 {
		attrs = append(attrs, bgp.NewPathAttributeMultiExitDisc(r.MED))
	}
	if len(r.Communities) > 0 {
		attrs = append(attrs, bgp.NewPathAttributeCommunities(r.Communities))
	}
	return &apiutil.Path{Family: family(r.Prefix), Nlri: nlri(r.Prefix), Attrs: attrs, Age: time.Now().Unix()}
}

func family(p netip.Prefix) bgp.Family {
	if p.Addr().Is6() {
		return bgp.RF_IPv6_UC
	}
	return bgp.RF_IPv4_UC
}

func nlri(p netip.Prefix) bgp.NLRI {
	n, _ := bgp.NewIPAddrPrefix(p) // a prefix it is
	return n
}

// peer is the neighbor as gobgp takes it. Both families are offered in every
// session, and those that the router wants too are used.
func peer(n Neighbor, restart time.Duration) *api.Peer {
	p := &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: n.Address.String(), PeerAsn: n.AS, AuthPassword: string(n.Password)},
		Transport: &api.Transport{RemotePort: uint32(n.Port)},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: seconds(n.HoldTime), KeepaliveInterval: seconds(n.HoldTime) / 3,
			ConnectRetry: seconds(connectRetry), IdleHoldTimeAfterReset: seconds(resetHold),
		}},
	}
	if n.Hops > 1 {
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(n.Hops)}
	}
	for _, afi := range []api.Family_Afi{api.Family_AFI_IP, api.Family_AFI_IP6} {
		p.AfiSafis = append(p.AfiSafis, &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: &api.Family{Afi: afi, Safi: api.Family_SAFI_UNICAST}, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: restart > 0}},
		})
	}
	if restart > 0 {
		// A new process always says that it restarts and that its kernel went on
		// forwarding: where that is not so, the router holds no route of ours.
		// The deferral is for routers that send no end-of-RIB.
		p.GracefulRestart = &api.GracefulRestart{Enabled: true, RestartTime: uint32(seconds(restart)), DeferralTime: 1, LocalRestarting: true}
	}
	return p
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }
