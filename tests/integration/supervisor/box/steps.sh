# shellcheck shell=bash disable=SC2034 # failed is read by the scripts that read this
# The functions with which a script of a box tells what it found: a line "ok - NAME" or "not ok - NAME" for each step.
failed=0
ok() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >/tmp/ok.log 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		sed 's/^/    /' /tmp/ok.log
		failed=1
	fi
}
until_true() { # SECONDS COMMAND...
	local n=$(($1 * 10))
	shift
	while [ "$n" -gt 0 ]; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
		n=$((n - 1))
	done
	"$@"
}
is() { [ "$1" = "$2" ] || { echo "\"$1\" is not \"$2\""; return 1; }; }
