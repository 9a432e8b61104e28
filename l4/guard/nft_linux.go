package guard

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// atOnce is how many members of a set go into one message: their list is an
// attribute, of 64 KiB at most, and one with IPv6 takes some 60 bytes.
const atOnce = 500

func ourTable() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

// read returns what the kernel has of our table.
func read() (State, error) {
	s, err := readTable()
	if err != nil {
		s, err = readTable() // another tool's change may have fallen in between
	}
	if err != nil {
		return State{}, fmt.Errorf("read table %s: %w", tableName, err)
	}
	return s, nil
}

func readTable() (s State, err error) {
	c, err := nftables.New()
	if err != nil {
		return s, err
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return s, cure(err)
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName })
	if i < 0 {
		return s, nil
	}
	s.Stands = true
	found, err := readChains(c)
	if err != nil {
		return s, err
	}
	for _, r := range found[hide].Rules {
		s.Packets += takeCount(r)
	}
	s.Whole = len(found) == len(chains()) && tables[i].Flags == 0 // a dormant one does nothing
	for _, want := range chains() {
		s.Whole = s.Whole && reflect.DeepEqual(found[want.Name], want)
	}
	members, err := readSets(c)
	if err != nil {
		return s, err
	}
	s.Whole = s.Whole && s.take(members)
	return s, nil
}

// readChains returns the chains of our table by their names.
func readChains(c *nftables.Conn) (map[string]chain, error) {
	all, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	found := map[string]chain{}
	for _, have := range all {
		if have.Table.Name != tableName {
			continue
		}
		made := chain{Name: have.Name}
		if have.Hooknum != nil && have.Priority != nil && have.Policy != nil &&
			*have.Hooknum == *nftables.ChainHookInput && *have.Policy == nftables.ChainPolicyAccept {
			made.Hooked, made.Priority = true, int32(*have.Priority)
		}
		rules, err := c.GetRules(ourTable(), have)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			made.Rules = append(made.Rules, r.Exprs)
		}
		found[made.Name] = made
	}
	return found, nil
}

// takeCount returns what the counter of a rule says, and leaves it as it was
// made.
func takeCount(rule []expr.Any) (packets uint64) {
	for _, e := range rule {
		if c, ok := e.(*expr.Counter); ok {
			packets += c.Packets
			*c = expr.Counter{}
		}
	}
	return packets
}

// readSets returns the members of each set of our table.
func readSets(c *nftables.Conn) (map[string][]nftables.SetElement, error) {
	found, err := c.GetSets(ourTable())
	if err != nil {
		return nil, err
	}
	members := map[string][]nftables.SetElement{}
	for _, set := range found {
		if members[set.Name], err = c.GetSetElements(set); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// take takes in the members of the sets, and reports whether they are ours.
func (s *State) take(members map[string][]nftables.SetElement) bool {
	all, back := sets(ourTable())
	if len(members) != len(all) {
		return false
	}
	for _, set := range all {
		if _, ok := members[set.Name]; !ok {
			return false
		}
	}
	for _, e := range members[setPeers] {
		if len(e.Key) != len(MAC{}) {
			return false
		}
		s.Peers = append(s.Peers, MAC(e.Key))
	}
	for _, e := range slices.Concat(members[mapV4], members[mapV6]) {
		service, ok := parseService(e)
		if !ok {
			return false
		}
		s.Services = append(s.Services, service)
	}
	slices.SortFunc(s.Peers, MAC.compare)
	slices.SortFunc(s.Services, Service.compare)
	return maps.Equal(translation(members[mapBack]), translation(back))
}

func translation(elements []nftables.SetElement) map[byte]byte {
	t := map[byte]byte{}
	for _, e := range elements {
		t[e.Key[0]] = e.Val[0]
	}
	return t
}

// apply makes a change, all of it or nothing.
func apply(change Change) error {
	c, err := nftables.New()
	if err == nil {
		err = batch(c, change)
	}
	if err == nil {
		err = cure(c.Flush())
	}
	if err != nil {
		return fmt.Errorf("change table %s: %w", tableName, err)
	}
	return nil
}

// batch gathers the messages of a change.
func batch(c *nftables.Conn, change Change) error {
	t := ourTable()
	all, back := sets(t)
	if change.Delete {
		// Gone meanwhile it may be: what is made first can be deleted.
		c.AddTable(t)
		c.DelTable(t)
	}
	if change.Create {
		c.AddTable(t)
		for _, set := range all {
			var members []nftables.SetElement
			if set.Name == mapBack {
				members = back
			}
			if err := c.AddSet(set, members); err != nil {
				return err
			}
		}
		addRules(c, t)
	}
	for _, set := range all {
		if err := inParts(change.Remove.elements(set.Name), func(part []nftables.SetElement) error {
			return c.SetDeleteElements(set, part)
		}); err != nil {
			return err
		}
		if err := inParts(change.Add.elements(set.Name), func(part []nftables.SetElement) error {
			return c.SetAddElements(set, part)
		}); err != nil {
			return err
		}
	}
	return nil
}

func addRules(c *nftables.Conn, t *nftables.Table) {
	for _, want := range chains() {
		made := &nftables.Chain{Table: t, Name: want.Name}
		if want.Hooked {
			policy := nftables.ChainPolicyAccept
			made.Type, made.Policy = nftables.ChainTypeFilter, &policy
			made.Hooknum, made.Priority = nftables.ChainHookInput, nftables.ChainPriorityRef(nftables.ChainPriority(want.Priority))
		}
		c.AddChain(made)
		for _, r := range want.Rules {
			c.AddRule(&nftables.Rule{Table: t, Chain: made, Exprs: r})
		}
	}
}

// elements returns the members of one set of the table.
func (t Table) elements(set string) (members []nftables.SetElement) {
	if set == setPeers {
		for _, m := range t.Peers {
			members = append(members, nftables.SetElement{Key: m[:]})
		}
		return members
	}
	for _, s := range t.Services {
		if (set == mapV4 && s.Addr.Addr().Is4()) || (set == mapV6 && s.Addr.Addr().Is6()) {
			members = append(members, s.element())
		}
	}
	return members
}

func inParts(members []nftables.SetElement, do func([]nftables.SetElement) error) error {
	for part := range slices.Chunk(members, atOnce) {
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

// cure adds what to do about it to an error of the kernel.
func cure(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: run as root, or with the capability CAP_NET_ADMIN", err)
	case lacking(err):
		return fmt.Errorf("%w: does this kernel have nf_tables? It needs CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET: modprobe nf_tables, or set guard = false in [l4]", err)
	}
	return err
}

// lacking reports whether an error is what a kernel without nf_tables answers:
// nfnetlink for a subsystem that is not there, the socket for a protocol, and
// nf_tables for a family.
func lacking(err error) bool {
	return slices.ContainsFunc([]error{unix.EINVAL, unix.EPROTONOSUPPORT, unix.EOPNOTSUPP, unix.EAFNOSUPPORT},
		func(errno error) bool { return errors.Is(err, errno) })
}
