# ctaskctl.fish - completion for fish.

function __ctaskctl_pids
    ctaskctl ls -l --color=never 2>/dev/null | string match -rg '^ *(\d+ .*)$' | string replace -r '^(\d+) +' '$1\t'
end

set -l commands cancels help ls ps pstree run
set -l looks '__fish_seen_subcommand_from ps pstree'
set -l any '__fish_seen_subcommand_from cancels ls ps pstree'
set -l asked '__fish_seen_subcommand_from cancels'

complete -c ctaskctl -f
complete -c ctaskctl -n "not __fish_seen_subcommand_from $commands" -a cancels -d 'Tell who asked which tasks to stop, why, and how it ended'
complete -c ctaskctl -n "not __fish_seen_subcommand_from $commands" -a help -d 'Show help'
complete -c ctaskctl -n "not __fish_seen_subcommand_from $commands" -a ls -d 'Show the processes that can be looked into'
complete -c ctaskctl -n "not __fish_seen_subcommand_from $commands" -a ps -d 'List the async tasks of a process, one a line'
complete -c ctaskctl -n "not __fish_seen_subcommand_from $commands" -a pstree -d 'Draw who awaits whom in a process'
complete -c ctaskctl -n "not __fish_seen_subcommand_from $commands" -a run -d 'Start a program with the agent in it'
complete -c ctaskctl -n '__fish_seen_subcommand_from help' -a 'cancels ls ps pstree run'
complete -c ctaskctl -n $looks -a '(__ctaskctl_pids)'
complete -c ctaskctl -n $asked -a '(__ctaskctl_pids)'

complete -c ctaskctl -n $any -s A -l ascii -d 'Print ASCII only'
complete -c ctaskctl -n $any -s U -l utf-8 -d 'Print UTF-8, whatever the locale says'
complete -c ctaskctl -n $any -s l -l long -d 'Do not cut lines to the width of the terminal'
complete -c ctaskctl -n $any -l color -x -a 'always auto never' -d Colour
complete -c ctaskctl -n $any -l json -d 'Print JSON'
complete -c ctaskctl -l help -d 'Show help'
complete -c ctaskctl -l usage -d 'Show usage in short'
complete -c ctaskctl -l version -d 'Show the version'

complete -c ctaskctl -n $looks -l task -x -d 'Only these tasks, what they wait for, and who waits for them'
complete -c ctaskctl -n $looks -l system -d 'The tasks of the runtime itself too'
complete -c ctaskctl -n $looks -l thread -x -d 'Only the tasks of the event loop of this thread'
complete -c ctaskctl -n $looks -l core -r -F -d 'Read a core file'
complete -c ctaskctl -n $looks -l exe -r -F -d 'The executable that the core file came from'
complete -c ctaskctl -n $looks -l max-pause -x -d 'Stop the process no longer than this, in milliseconds'
complete -c ctaskctl -n $looks -l source -x -a 'agent memory' -d 'Read memory, or ask the agent'
complete -c ctaskctl -n $looks -l no-pause -d 'Never stop the process'
complete -c ctaskctl -n '__fish_seen_subcommand_from ps' -l format -x -a 'csv json text' -d Format
complete -c ctaskctl -n '__fish_seen_subcommand_from pstree' -l format -x -a 'json text' -d Format
complete -c ctaskctl -n '__fish_seen_subcommand_from pstree' -s a -l all -d 'Show every frame'
complete -c ctaskctl -n '__fish_seen_subcommand_from ps' -s a -l all -d 'Show by whom and where each task was made'
complete -c ctaskctl -n '__fish_seen_subcommand_from pstree' -s c -l no-fold -d 'Show each of several identical tasks'
complete -c ctaskctl -n '__fish_seen_subcommand_from pstree' -s p -l ids -d 'Show ids'

complete -c ctaskctl -n $asked -l format -x -a 'json text' -d Format
complete -c ctaskctl -n $asked -s a -l frames -d 'Show every frame'
complete -c ctaskctl -n $asked -l all -d 'Every Python process of this host'
complete -c ctaskctl -n $asked -s c -l no-fold -d 'Show each task and each event'
complete -c ctaskctl -n $asked -s p -l ids -d 'Show ids'
complete -c ctaskctl -n $asked -s f -l follow -d 'Go on with what happens'
complete -c ctaskctl -n $asked -l duration -x -d 'Follow for so long: 30s, 10m, 2h'
complete -c ctaskctl -n $asked -l source -x -a 'agent bpf' -d 'What an agent recorded, or probes from now on'
complete -c ctaskctl -n $asked -l since -x -d 'Only from then on: 30s, 10m, 2h ago, 14:03'
complete -c ctaskctl -n $asked -l task -x -d 'Only what this task asked for or was asked'
complete -c ctaskctl -n $asked -l origin -x -a 'timeout sibling_failed owner_failed owner_cancelled shutdown interrupt explicit unknown' -d 'Only of this origin'
complete -c ctaskctl -n $asked -s n -l last -x -d 'Only the last events'
complete -c ctaskctl -n '__fish_seen_subcommand_from run' -l agent -r -F -d 'The agent'
complete -c ctaskctl -n '__fish_seen_subcommand_from run' -l dir -x -a '(__fish_complete_directories)' -d 'Where the agent makes its socket'
complete -c ctaskctl -n '__fish_seen_subcommand_from run' -l history-size -x -d 'Memory for what is recorded, in bytes'
complete -c ctaskctl -n '__fish_seen_subcommand_from run' -a '(__fish_complete_subcommand)'
