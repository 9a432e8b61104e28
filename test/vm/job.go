package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed guest/*.sh guest/*.target guest/*.service
var guestFiles embed.FS

// A job is the directory through which a guest and its caller talk:
//
//	start.sh, run.sh, program.sh   what the guest runs
//	keep                           files the caller wants back, one a line
//	started                        appears when the program is started
//	status                         its exit status, appears when it has ended
//	kept/N                         the file in line N of keep
type job struct {
	dir  string
	keep []string
}

// newJob writes the job of running the program with env in directory dir.
func newJob(program, environ []string, dir, tty string) (*job, error) {
	tmp, err := os.MkdirTemp("", "portico-vm-")
	if err != nil {
		return nil, err
	}
	j := &job{tmp, outputFiles(program, dir)}
	files := map[string]string{
		"program.sh": programScript(program, environ, dir),
		"keep":       lines(j.keep),
	}
	if tty != "" {
		files["tty"] = tty
	}
	for _, name := range []string{"start.sh", "run.sh", "vm.target", "vm-job.service"} {
		b, err := guestFiles.ReadFile("guest/" + name)
		if err != nil {
			return nil, err
		}
		files[name] = string(b)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o644); err != nil {
			j.remove()
			return nil, err
		}
	}
	return j, nil
}

func (j *job) remove() { os.RemoveAll(j.dir) }

func (j *job) started() bool {
	_, err := os.Stat(filepath.Join(j.dir, "started"))
	return err == nil
}

// status returns the program's exit status; ok is false if it left none.
func (j *job) status() (status int, ok bool) {
	b, err := os.ReadFile(filepath.Join(j.dir, "status"))
	if err != nil {
		return 0, false
	}
	status, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return status, err == nil
}

// fetchKept copies what the program wrote for its caller to where the caller
// looks for it. A file the program did not write is no error.
func (j *job) fetchKept() error {
	for i, path := range j.keep {
		b, err := os.ReadFile(filepath.Join(j.dir, "kept", strconv.Itoa(i)))
		if err != nil {
			continue
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// outputFiles are the files a go test binary was told to write, such as its
// coverage profile. They lie outside of -out, and would be lost. The log that
// go keeps its cache by is left out, so that go never takes the result of an
// earlier guest for this one's.
func outputFiles(program []string, dir string) []string {
	var files []string
	base := dir
	for _, arg := range program[1:] {
		name, path, ok := strings.Cut(strings.TrimPrefix(arg, "-test."), "=")
		if !ok || !strings.HasPrefix(arg, "-test.") || path == "" {
			continue
		}
		switch name {
		case "outputdir":
			base = path
		case "coverprofile", "cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace":
			files = append(files, path)
		}
	}
	for i, f := range files {
		if !filepath.IsAbs(f) {
			files[i] = filepath.Join(base, f)
		}
	}
	return files
}

// guestEnv is what the program sees of the caller's environment.
func guestEnv(environ []string, out string) []string {
	env := []string{"PORTICO_VM=1"}
	have := map[string]bool{"PORTICO_VM": true, "PORTICO_OUT": true}
	for _, kv := range environ {
		key, _, _ := strings.Cut(kv, "=")
		if !have[key] && (key == "PATH" || key == "HOME" || key == "TERM" || strings.HasPrefix(key, "PORTICO_")) {
			have[key] = true
			env = append(env, kv)
		}
	}
	if out != "" {
		env = append(env, "PORTICO_OUT="+out)
	}
	for _, kv := range []string{"PORTICO_LAB=1", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} {
		if key, _, _ := strings.Cut(kv, "="); !have[key] {
			env = append(env, kv)
		}
	}
	return env
}

// programScript starts the program in dir, or in / where the guest has no dir.
func programScript(program, environ []string, dir string) string {
	return fmt.Sprintf("cd %s 2>/dev/null || cd /\nexec /usr/bin/env -i \\\n\t%s \\\n\t%s\n",
		quote(dir), quoteAll(environ), quoteAll(program))
}

// confScript is the part of the guest's first script that differs between
// guests: which first program, and which directories to mount.
func confScript(init string, shares []share) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INIT=%s\n", quote(init))
	for _, s := range shares {
		mode := "ro"
		if s.writable {
			mode = "rw"
		}
		fmt.Fprintf(&b, "share %s %s %s\n", s.tag, quote(s.path), mode)
	}
	return b.String()
}

// quote makes one word of s for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

func lines(l []string) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s + "\n")
	}
	return b.String()
}
