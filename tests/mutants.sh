#!/bin/bash
# Do the tests notice it when a promise is broken?  Each patch of tests/mutants/ breaks one.  Its head names the promise,
# and the tests of which one has to fail then:
#
#	Breaks: a sentence
#	Test: tests/integration/FOLDER/test_FILE.py::test_NAME[PARAMETERS]
#	Test: tests/unit/FOLDER/test_FILE.c
#
# usage: tests/mutants.sh [NAME ...]     these mutants, or all
#        tests/mutants.sh --check        looks only whether the patches apply and their tests exist
# environment: JOBS      so many at once (default: one a processor)
#              BASELINE  no: the tests are not run on the unbroken code first
# Exit status: 0 all were noticed, 1 one survived, 2 one could not be judged.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
root=$PWD
scratch=$root/build/mutants
results=$scratch/results
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-/usr/bin/python3}
compiler=${CC:-$(command -v ccache >/dev/null && echo ccache cc || echo cc)}
export PYTHONDONTWRITEBYTECODE=1 RETENTION_WAYS=all # a test's parameters name its way
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 # the copies share what ccache has

head_of() { # KEY NAME: the values that the patch's head has
	sed -n "/^--- /q; s/^$1: *//p" "tests/mutants/$2.patch"
}

applies() { # TREE NAME
	patch -d "$1" -p1 -s -f -F0 --dry-run <"tests/mutants/$2.patch" >/dev/null 2>&1
}

# Says why a patch cannot be judged; nothing: it can.
fault_of() { # NAME
	local test file

	[ -f "tests/mutants/$1.patch" ] || { echo "there is no tests/mutants/$1.patch" && return; }
	[ -n "$(head_of Breaks "$1")" ] && [ -n "$(head_of Test "$1")" ] || echo "its head has no Breaks: or no Test:"
	applies . "$1" || echo "it no longer applies"
	while IFS= read -r test; do
		file=${test%%::*}
		test=${test#"$file"}
		test=${test#::}
		[ -f "$file" ] && grep -q "^def ${test%%[*}(\|^ *${test%%[*}()" "$file" || [ "${file##*.}" = c ] && [ -f "$file" ] ||
			echo "its test $file::$test does not exist"
	done < <(head_of Test "$1")
}

# Brings a copy of the tree up to date.  Writes only files that differ, so that make builds no more than it has to.
copy_tree() { # TREE
	local file

	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard | LC_ALL=C sort -zu >"$1.files"
	while IFS= read -r -d '' file; do
		[ ! -f "$file" ] || cmp -s "$file" "$1/$file" || { mkdir -p "$1/$(dirname "$file")" && cp "$file" "$1/$file"; }
	done <"$1.files"
	(cd "$1" && find . -path ./build -prune -o -type f -printf '%P\0') | LC_ALL=C sort -z |
		LC_ALL=C comm -z -13 "$1.files" - | (cd "$1" && xargs -0r rm --)
}

build() { # TREE PROCESSES TARGET...
	local tree=$1 processes=$2

	shift 2
	make -s -C "$tree" -j"$processes" --no-print-directory VARIANT=test CC="$compiler" "$@"
}

unit_of() { # TEST: what runs a unit test
	sed 's|^tests/unit/|build/test/unit/|; s|[.]c$|.passed|' <<<"$1"
}

# Runs tests in a tree.  Exit status as pytest's: 1 one has failed.
run_tests() { # TREE PROCESSES TEST...
	local tree=$1 processes=$2 test more=() integration=()

	shift 2
	for test; do
		case $test in
		*.c) build "$tree" 1 "$(unit_of "$test")" || return 1 ;;
		*) integration+=("$test") ;;
		esac
	done
	[ ${#integration[@]} -gt 0 ] || return 0
	[ "$processes" = 1 ] || more=(-n "$processes")
	env -C "$tree" RETENTION_BUILD=build/test timeout -s INT -k 30 600 \
		"$python" -m pytest -q -rfE --tb=short -p no:cacheprovider "${more[@]}" "${integration[@]}"
}

# What became of a mutant in a tree, as a line of results: STATE NAME REMARK.
judge() { # TREE NAME
	local tree=$1 name=$2 log=$scratch/$2.log tests status begun=$SECONDS

	mapfile -t tests < <(head_of Test "$name")
	patch -d "$tree" -p1 -s -f -F0 <"tests/mutants/$name.patch" >"$log"
	if ! build "$tree" 1 all >>"$log" 2>&1; then
		echo "unjudged $name it does not build: $log"
	else
		run_tests "$tree" 1 "${tests[@]}" >>"$log" 2>&1
		status=$?
		if [ $status = 0 ]; then
			echo "SURVIVED $name $(head_of Breaks "$name")"
		elif [ $status = 124 ] || grep -qE '^FAILED |ERROR at teardown|[.]passed[]]? Error' "$log"; then
			echo "noticed $name $((SECONDS - begun)) s"
		else
			echo "unjudged $name its test cannot be run (status $status): $log"
		fi
	fi
	patch -d "$tree" -p1 -s -f -F0 -R <"tests/mutants/$name.patch" >>"$log"
}

judge_share() { # NUMBER NAME...: each jobs-th
	local tree=$scratch/tree$1 i

	shift
	for ((i = ${tree##*tree} - 1; i < $#; i += jobs)); do
		judge "$tree" "${names[i]}" | tee -a "$results"
	done
}

check_only=
if [ "${1:-}" = --check ]; then
	check_only=yes
	shift
fi
if [ $# -gt 0 ]; then
	names=("$@")
else
	mapfile -t names < <(basename -s .patch tests/mutants/*.patch)
fi
[ ${#names[@]} -ge "$jobs" ] || jobs=${#names[@]}
mkdir -p "$scratch"
: >"$results"
whole=()
for name in "${names[@]}"; do
	fault=$(fault_of "$name" | head -1)
	if [ -n "$fault" ]; then
		echo "unjudged $name $fault" | tee -a "$results"
	else
		whole+=("$name")
	fi
done
names=("${whole[@]}")

if [ -z "$check_only" ] && [ ${#names[@]} -gt 0 ]; then
	copy_tree "$scratch/tree1"
	build "$scratch/tree1" "$(nproc)" all >"$scratch/build.log" 2>&1 || { tail -5 "$scratch/build.log" && exit 2; }
	if [ "${BASELINE:-yes}" != no ]; then
		mapfile -t tests < <(for name in "${names[@]}"; do head_of Test "$name"; done | sort -u)
		run_tests "$scratch/tree1" "$jobs" "${tests[@]}" >"$scratch/baseline.log" 2>&1 || {
			grep -E '^(FAILED|ERROR) |Error' "$scratch/baseline.log" || tail -5 "$scratch/baseline.log"
			echo "these tests fail on the unbroken code: no mutant can be judged"
			exit 2
		}
	fi
	for ((n = 2; n <= jobs; n++)); do
		if [ -d "$scratch/tree$n/build" ]; then copy_tree "$scratch/tree$n"; else cp -a "$scratch/tree1" "$scratch/tree$n"; fi
	done
	for ((n = 1; n <= jobs; n++)); do judge_share "$n" "${names[@]}" & done
	wait
fi
survived=$(grep -c '^SURVIVED ' "$results")
unjudged=$(grep -c '^unjudged ' "$results")
if [ -n "$check_only" ]; then
	echo "${#names[@]} mutants apply, $unjudged do not or lack a test"
else
	echo "$(grep -c '^noticed ' "$results") mutants were noticed, $survived survived, $unjudged could not be judged"
fi
[ "$unjudged" = 0 ] || exit 2
[ "$survived" = 0 ]
