# ctaskctl.bash - completion for bash.

# Ids of the processes that ctask can look into.
_ctaskctl_pids() {
	ctaskctl ls -l --color=never 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_ctaskctl() {
	local cur prev command word
	COMPREPLY=()
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	# bash takes "--option=value" for three words.
	if [[ $cur == "=" ]]; then
		cur=
	elif [[ $prev == "=" ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		cancels | ls | ps | pstree | run | help)
			command=$word
			break
			;;
		esac
	done

	local display="--ascii --utf-8 --long --color= --help --usage --version"
	local look="--task= --system --thread= --core= --exe= --max-pause= --no-pause --source= --format= --json"
	case $command:$prev in
	run:--dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		compopt -o filenames
		return
		;;
	*:--core | *:--exe | run:--agent)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames
		return
		;;
	*:--color)
		mapfile -t COMPREPLY < <(compgen -W "always auto never" -- "$cur")
		return
		;;
	cancels:--source)
		mapfile -t COMPREPLY < <(compgen -W "agent bpf" -- "$cur")
		return
		;;
	*:--source)
		mapfile -t COMPREPLY < <(compgen -W "agent memory" -- "$cur")
		return
		;;
	ps:--format)
		mapfile -t COMPREPLY < <(compgen -W "csv json text" -- "$cur")
		return
		;;
	cancels:--format | pstree:--format)
		mapfile -t COMPREPLY < <(compgen -W "json text" -- "$cur")
		return
		;;
	*:--origin)
		mapfile -t COMPREPLY < <(compgen -W "timeout sibling_failed owner_failed owner_cancelled shutdown interrupt explicit unknown" -- "$cur")
		return
		;;
	*:--task | *:--thread | *:--max-pause | *:--since | *:--last | *:-n | *:--duration | *:--history-size)
		return
		;;
	:*)
		mapfile -t COMPREPLY < <(compgen -W "cancels help ls ps pstree run --help --usage --version" -- "$cur")
		return
		;;
	help:*)
		mapfile -t COMPREPLY < <(compgen -W "cancels ls ps pstree run" -- "$cur")
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		case $command in
		cancels)
			mapfile -t COMPREPLY < <(compgen -W "--all --frames --no-fold --ids --follow --duration= --since= --source= --task= --origin= --last= --format= --json $display" -- "$cur")
			;;
		ls) mapfile -t COMPREPLY < <(compgen -W "--json $display" -- "$cur") ;;
		ps) mapfile -t COMPREPLY < <(compgen -W "--all $look $display" -- "$cur") ;;
		pstree)
			mapfile -t COMPREPLY < <(compgen -W "--all --no-fold --ids $look $display" -- "$cur")
			;;
		run)
			mapfile -t COMPREPLY < <(compgen -W "--agent= --dir= --history-size= --help --usage --version" -- "$cur")
			;;
		esac
		[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
	elif [[ $command == run ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	elif [[ $command != ls ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_ctaskctl_pids)" -- "$cur")
	fi
}

complete -F _ctaskctl ctaskctl
