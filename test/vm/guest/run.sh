# Runs the program, leaves its exit status in the job's directory and ends the
# guest. The program itself is started by the root's own shell: busybox would
# run its applets in place of the root's programs.
job=/run/vm/job

# port NAME: the device of a virtio serial port, once the kernel knows its name.
port() {
	for try in 1 2 3 4 5 6 7 8 9 10; do
		for p in /sys/class/virtio-ports/*; do
			if [ "$(cat "$p/name" 2>/dev/null)" = "$1" ]; then
				echo "/dev/${p##*/}"
				return
			fi
		done
		sleep 0.2
	done
	echo "virtio port $1 is missing" >/dev/console
}

if [ -e $job/tty ]; then
	exec 3<>/dev/hvc0 # held open, or the terminal forgets its size
	stty $(cat $job/tty) <&3
	: >$job/started
	setsid -c /bin/sh $job/program.sh <&3 >&3 2>&3 3>&-
	status=$?
else
	# Through pipes, because a port can be opened once only, and programs
	# may open /dev/stderr.
	mkfifo /run/vm/stdout /run/vm/stderr
	cat /run/vm/stdout >"$(port stdout)" &
	cats=$!
	cat /run/vm/stderr >"$(port stderr)" &
	cats="$cats $!"
	: >$job/started
	/bin/sh $job/program.sh </dev/null >/run/vm/stdout 2>/run/vm/stderr
	status=$?
	# A daemon left behind holds the pipes open; it is given two seconds.
	for try in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 $cats 2>/dev/null || break
		sleep 0.2
	done
fi

mkdir -p $job/kept
n=0
while read -r path; do
	cp "$path" $job/kept/$n 2>/dev/null
	n=$((n + 1))
done <$job/keep
echo $status >$job/status.new && mv $job/status.new $job/status
sync
poweroff -f
