package l4

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// memory is what a Reconciler knows from one pass to the next.
type memory struct {
	// rec is nil until it was read from the state file.
	rec *record
	// bases are the latest weights that were not 0, as seen and as set.
	bases map[ServerKey]int
	// want is what the latest pass wanted that could read the dataplane.
	want State
	// missing are the wanted sysctls this kernel has not.
	missing map[string]bool
	// fault is the text of the latest error, logged once and not again
	// until it changes.
	fault string
}

// reconcile makes one pass and publishes its outcome.
func (r *Reconciler) reconcile() error {
	r.mu.Lock()
	cfg := r.cfg
	r.mu.Unlock()

	have, want, err := r.apply(cfg)
	r.publish(cfg, have, want, err)

	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == r.known.fault:
	case text != "":
		r.opt.Log.Error("reconcile", "err", err)
	default:
		r.opt.Log.Info("reconcile works again")
	}
	r.known.fault = text
	return err
}

// apply turns what the dataplane holds into what it should hold and returns
// both. It does not look again: a take-over waits for it.
func (r *Reconciler) apply(cfg Config) (have, want State, err error) {
	if r.known.rec == nil {
		rec, err := readRecord(r.opt.StateFile)
		if err != nil {
			// Worse than no record is no service: what was programmed before
			// and is not in it stays in the kernel until someone removes it.
			r.opt.Log.Warn("state file cannot be read whole", "err", err)
		}
		r.known.rec = &rec
	}
	if len(cfg.Services) == 0 && r.known.rec.settled(cfg) {
		return have, want, r.accelerate(want) // a machine without the kernel modules is fine, then
	}
	if have, err = r.read(); err != nil {
		// Whatever is wrong with the dataplane, what carries packets before it
		// must let go of an address that went to another node.
		err = fmt.Errorf("read: %w", err)
		return have, want, errors.Join(err, r.accelerate(Plan(cfg, r.inputs(cfg, r.known.want))))
	}
	r.recall(&have)
	in := r.inputs(cfg, have)
	want = Plan(cfg, in)
	in.stay(want)
	r.known.rec.disown(&want, have)
	r.warnMissing(have, want)
	// Behind the dataplane, which has all servers by then for what falls
	// through to it.
	defer func() { err = errors.Join(err, r.accelerate(want)) }()
	ops := Diff(have, want, r.ours(cfg))
	if len(ops) == 0 {
		r.remember(cfg, have, want, in.Leaving, false)
		r.known.want = want
		return have, want, nil
	}
	log := r.opt.Log.With("ops", len(ops), "first", ops[0].String())
	switch {
	case !reflect.DeepEqual(want, r.known.want):
		log.Info("dataplane changes")
	case r.known.fault != "":
		log.Debug("dataplane changes, what was refused is tried again")
	default:
		log.Warn("dataplane was changed by another tool, putting it right")
	}

	// Before, and with what is to come: a crash in the middle leaves nothing
	// that is not known for ours.
	r.remember(cfg, have, want, in.Leaving, true)
	if err = r.run(ops); err == nil {
		r.remember(cfg, have, want, in.Leaving, false)
	}
	// Also where something was refused: what stands of it is ours.
	r.known.want = want
	return have, want, err
}

// read returns what the dataplane holds, with what an accelerator has carried
// of it.
func (r *Reconciler) read() (State, error) {
	have, err := r.opt.Dataplane.Read()
	if err == nil && r.opt.Accelerator != nil {
		r.opt.Accelerator.Count(&have)
	}
	return have, err
}

// accelerate has an accelerator carry what it can of want.
func (r *Reconciler) accelerate(want State) error {
	if r.opt.Accelerator == nil {
		return nil
	}
	if err := r.opt.Accelerator.Follow(want); err != nil {
		return fmt.Errorf("accelerate: %w", err)
	}
	return nil
}

// inputs gathers what a plan follows, and goes on with who is leaving.
func (r *Reconciler) inputs(cfg Config, have State) Inputs {
	in := Inputs{
		Now: time.Now(), Health: r.opt.Health(), Owned: r.opt.Owned, Have: have, Drains: r.drained(),
		Removed: r.known.rec.removed(cfg, r.opt.Owned),
	}
	in.Leaving = Leaving(cfg, in, r.known.want, r.known.rec.leaving)
	return in
}

// run applies ops in order. An operation that is refused ends the work on its
// service, not on the others.
func (r *Reconciler) run(ops []Op) error {
	var errs []error
	broken := map[Key]bool{}
	for _, op := range ops {
		key := op.Service.Key
		if broken[key] {
			continue
		}
		if err := r.opt.Dataplane.Apply(op); err != nil {
			errs = append(errs, fmt.Errorf("apply %s: %w", op, err))
			// Settings have the zero key; one that is refused stops no other.
			broken[key] = key != Key{}
			continue
		}
		r.opt.Log.Debug("applied", "op", op.String())
		for _, d := range op.Service.Destinations {
			r.known.bases[ServerKey{key, d.Addr}] = d.Weight
		}
		set := op.Service.Destinations
		if op.Kind == AddDest || op.Kind == SetDest {
			set = []Destination{op.Dest}
		}
		for _, d := range set {
			if d.Weight != 0 {
				r.known.bases[ServerKey{key, d.Addr}] = d.Weight
			}
		}
	}
	return errors.Join(errs...)
}

// ours reports which services may be touched: those that are configured,
// owned or not, and those that were programmed before.
func (r *Reconciler) ours(cfg Config) func(Key) bool {
	configured, keys := cfg.byKey(), r.known.rec.keys
	return func(k Key) bool {
		_, programmed := keys[k]
		return programmed || configured[k] != nil
	}
}

// warnMissing says once which settings this kernel does not know.
func (r *Reconciler) warnMissing(have, want State) {
	for name := range want.Sysctls {
		if _, ok := have.Sysctls[name]; !ok && !r.known.missing[name] {
			r.known.missing[name] = true
			r.opt.Log.Warn("this kernel lacks a setting, going on without", "sysctl", "net.ipv4.vs."+name)
		}
	}
}

// recall fills in the bases, which the kernel does not tell: a weight other
// than 0 is the base, and with 0 it is the latest other weight this process
// saw. One that it never saw stays unknown, and Diff then sets it anew.
func (r *Reconciler) recall(have *State) {
	bases := map[ServerKey]int{}
	for _, v := range have.Services {
		for i := range v.Destinations {
			d := &v.Destinations[i]
			k := ServerKey{v.Key, d.Addr}
			d.Base = d.Weight
			if d.Weight == 0 {
				d.Base = r.known.bases[k]
			}
			bases[k] = d.Base
		}
	}
	r.known.bases = bases
}

// remember writes the keys of want to the state file, beside those it has or
// in place of them, who is leaving, and what have holds of the sysctls and
// timeouts that change.
func (r *Reconciler) remember(cfg Config, have, want State, leaving map[ServerKey]time.Time, beside bool) {
	rec := newRecord()
	rec.leaving = leaving
	if beside {
		maps.Copy(rec.keys, r.known.rec.keys)
		maps.Copy(rec.daemons, r.known.rec.daemons)
	}
	for role, d := range want.Daemons {
		if d != (Daemon{}) {
			rec.daemons[role] = d
		}
	}
	configured := cfg.byKey()
	for _, v := range want.Services {
		if s := configured[v.Key]; s != nil {
			rec.keys[v.Key] = s.past()
		} else {
			rec.keys[v.Key] = r.known.rec.keys[v.Key]
		}
	}
	for name, value := range want.Sysctls {
		if found, ok := have.Sysctls[name]; ok && found != value {
			rec.found[name] = found
		}
	}
	maps.Copy(rec.found, r.known.rec.found) // the oldest value counts
	rec.timeouts = r.known.rec.timeouts.or(have.Timeouts.replacing(cfg.Timeouts))
	if !beside {
		rec.timeouts = rec.timeouts.under(cfg.Timeouts) // the others stand as they did before
	}
	if rec.equal(*r.known.rec) {
		return
	}
	r.known.rec = &rec
	if err := rec.write(r.opt.StateFile); err != nil {
		r.opt.Log.Warn("state file not written", "err", err)
	}
}

// view is what the latest pass found, wanted, and came to.
type view struct {
	cfg        Config
	have, want State
	leaving    map[ServerKey]time.Time
	removed    map[Key]Service
	// names are those of the leaving, as far as this process knew them.
	names map[ServerKey]string
	at    time.Time
	err   error
}

func (r *Reconciler) publish(cfg Config, have, want State, err error) {
	removed := r.known.rec.removed(cfg, r.opt.Owned)
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.view.left(r.known.rec.leaving)
	r.view = view{cfg, have, want, r.known.rec.leaving, removed, names, time.Now(), err}
}
