# Completion of retentionctl(1) for bash.

# The words of the command that was begun, without options and their values.
_retentionctl_words() {
	local i word skip=0
	words=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((skip)); then
			skip=0
		elif [[ $word == -[cd] || $word == --config || $word == --database ]]; then
			skip=1
		elif [[ $word != -* ]]; then
			words+=("$word")
		fi
	done
}

# Numbers of actions (of a status, where one is named), or names of policies: asked of the program
# itself, under the options that were given, and silently nothing where it cannot answer.
_retentionctl_ask() {
	local -a options=()
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config | -d | --database) options+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]-}") ;;
		esac
	done
	LC_ALL=C "${COMP_WORDS[0]}" "${options[@]}" "$@" 2>/dev/null
}

# The daemons of a fleet by their names: each has a file.  The page's file is none of them.
_retentionctl_instances() {
	local file
	for file in /etc/retentiond/*.conf; do
		file=${file##*/}
		[[ $file == web.conf || $file == web@*.conf || $file == '*.conf' ]] || echo "${file%.conf}"
	done
}

_retentionctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local actions='export delete_contacts anonymize_contacts anonymize_requests' choices='' status=''
	local -a words
	_retentionctl_words
	COMPREPLY=()
	case $previous in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -W "$(_retentionctl_instances)" -- "$cur"; compgen -f -- "$cur")
		return
		;;
	--identity)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--archive) choices='none listed full' ;;
	--action) choices=$actions ;;
	--format) choices='text html json' ;;
	--schedule) choices='hourly daily weekly monthly yearly' ;;
	--contact | --request | --request-by | --date | --role | --from | --to | --as-of | --expires | --review | --reason | --note | --seen | --last-hash | --depth | --version | -d | --database) return ;;
	*)
		case "${words[0]-} ${words[1]-}" in
		' ') choices='-c -d --help --version setup migrate model grants policies run policy save validate cancel abandon pause resume preview journal show report
			archive hold health verify residue replay waive adopt subject' ;;
		setup\ *) choices='--contact --request --depth --action --date --role --apply' ;;
		grants\ *) choices='--auditor --operator' ;;
		'model ') choices='draft check' ;;
		'model draft') choices='--contact --request --request-by --date --samples' ;;
		'archive ') choices='list verify restore delete' ;;
		'run ') choices=$(_retentionctl_ask policies | awk 'NR > 1 { print $1 }') ;;
		'policy ') choices='save validate retire' ;;
		'policy save') choices='--action --depth --schedule --archive --note' ;;
		'policy validate') choices="$(_retentionctl_ask policies | awk '/ saved$/ { print $1 }') --version --seen" ;;
		'policy retire') choices="$(_retentionctl_ask policies | awk '/ page, / { print $1 }') --version" ;;
		'hold ') choices='add remove list' ;;
		'subject ') choices='export status anonymize delete' ;;
		'save ') choices=$actions ;;
		save\ *) choices='--from --to --archive --note --json' ;;
		'preview ') choices="$actions $(_retentionctl_ask policies | awk 'NR > 1 { print $1 }')" ;;
		preview\ *) choices='--as-of --from --to --archive --json' ;;
		'validate ') status=saved ;;
		validate\ *) choices='--seen' ;;
		'cancel ') status='saved|validated' ;;
		'abandon ') status='validated|running' ;;
		abandon\ * | waive\ *) choices='--reason' ;;
		'pause ') status='saved|validated|running' ;;
		'resume ') status='paused by|a pause by' ;;
		'show ') status=. ;;
		show\ *) choices='--follow --configuration --verbose --json' ;;
		'migrate ') choices='--dry-run' ;;
		'report ') choices="$(_retentionctl_ask policies | awk 'NR > 1 { print $1 }')
			$(_retentionctl_ask journal | awk 'NR > 1 { print $1 }')" ;;
		report\ *) choices='--from --to --as-of --format --keys' ;;
		'archive verify' | 'archive delete' | 'archive restore') ((${#words[@]} == 2)) && status='done' ;;
		'hold add') choices='--reason --expires --review' ;;
		'policies ' | 'journal ' | 'archive list' | 'hold list' | 'subject export' | 'subject status' | 'model check') choices='--json' ;;
		residue\ *) choices='--sample --values --action --timeout --record --json' ;;
		adopt\ *) choices='--new --replace --reason' ;;
		'health ') choices='--alive' ;;
		'replay ') choices='--yes' ;;
		'verify ') choices='--last-hash --json' ;;
		esac
		;;
	esac
	if [[ -n $status ]]; then
		choices=$(_retentionctl_ask journal | awk -v status="$status" 'NR > 1 && $0 ~ status { print $1 }')
	fi
	if [[ "${words[*]}" == 'archive restore '* ]]; then
		choices='--dry-run --disable-triggers --identity'
	elif [[ "${words[*]}" == 'archive verify '* ]]; then
		choices='--ask --json'
	fi
	mapfile -t COMPREPLY < <(compgen -W "$choices --help" -- "$cur")
}
complete -F _retentionctl retentionctl
