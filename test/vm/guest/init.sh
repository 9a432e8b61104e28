#!/bin/busybox sh
# First program of the guest, in the initial RAM disk: builds the root file
# system out of the shares and hands over to its first program. /conf says
# which; it is shell, and calls share for each further directory.
set -e
trap '/bin/busybox poweroff -f' EXIT # quieter than the panic of a lost init

/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do
	insmod "$module"
done

# mount9p TAG DIRECTORY MODE CACHE
mount9p() {
	mkdir -p "$2"
	mount -t 9p -o "$3,trans=virtio,version=9p2000.L,msize=512000,cache=$4" "$1" "$2"
}

# The real files stay as they are: whatever is written goes to memory.
mount9p root /lower ro loose
mkdir -p /upper /new
mount -t tmpfs -o size=75%,mode=755 upper /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /new

mount -t tmpfs -o mode=755 run /new/run
mkdir -p /new/run/lock /new/run/netns /new/run/vm
cp /bin/busybox /new/run/vm/busybox
mount9p job /new/run/vm/job rw none
mount9p modules "/new/lib/modules/$(uname -r)" ro loose

# share TAG PATH MODE
share() {
	mount9p "$1" "/new$2" "$3" none
}
. /conf

if [ -n "$INIT" ]; then
	cp /new/run/vm/job/vm.target /new/run/vm/job/vm-job.service /new/etc/systemd/system/
	set -- "$INIT"
else
	set -- /run/vm/busybox sh /run/vm/job/start.sh
fi
for dir in proc sys dev; do
	mount -o move "/$dir" "/new/$dir"
done
exec switch_root /new "$@"
