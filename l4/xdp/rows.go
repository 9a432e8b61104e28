package xdp

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4/xdp/mh"
)

// Rows returns how many rows IPVS's tables have in this kernel, as far as its
// configuration can be read; else as many as in most kernels.
func Rows() int {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return mh.Size
	}
	release := unix.ByteSliceToString(name.Release[:])
	for _, path := range []string{"/proc/config.gz", "/boot/config-" + release, "/lib/modules/" + release + "/config"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				continue
			}
		}
		return rowsIn(r)
	}
	return mh.Size
}

// rowsIn looks for CONFIG_IP_VS_MH_TAB_INDEX in a kernel's configuration.
func rowsIn(config io.Reader) int {
	lines := bufio.NewScanner(config)
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), "CONFIG_IP_VS_MH_TAB_INDEX=")
		if !ok {
			continue
		}
		index, err := strconv.Atoi(value)
		if err != nil {
			break
		}
		if size, ok := mh.SizeOf(index); ok {
			return size
		}
	}
	return mh.Size
}
