# SPDX-License-Identifier: MIT
#
# Completion of broodctl's command line for bash. What fits is asked of `broodctl complete line`,
# which knows its verbs and options, and asks the daemon for names; see daemon/ctl/complete.c.

# bash takes words apart at each character of COMP_WORDBREAKS; this puts together again what no
# blank stands between. Sets `words`, up to the one that is to be completed, and `before`: what
# stands in that before the part that bash will replace (to which it counts an @ in front).
_broodctl_words() {
        local i apart line=$COMP_LINE part
        words=()
        for ((i = 0; i <= COMP_CWORD; i++)); do
                part=${COMP_WORDS[i]}
                apart=${line%%[![:blank:]]*}
                line=${line#"$apart"}
                line=${line#"$part"}
                if [[ -n $apart || $i == 0 ]]; then
                        words+=("$part")
                else
                        words[-1]+=$part
                fi
        done
        words=("${words[@]:1}")
        [[ $part == ["$COMP_WORDBREAKS"] ]] && part=
        before=${words[-1]%"$part"}
        before=${before%@}
}

# Takes what was offered, one a line, as the answer.
_broodctl_take() {
        local word
        while IFS= read -r word; do
                COMPREPLY+=("${word#"$before"}")
        done
}

_broodctl_offer() {
        local line word
        while IFS= read -r line; do
                word=${line%%$'\t'*}
                word=${word#"$before"}
                [[ -z $word ]] || printf -v word %q "$word"
                COMPREPLY+=("$word")
        done
        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == --*= ]] && compopt -o nospace
}

# Files behind $prefix, which bash itself would take for a part of their names, and quote.
_broodctl_prefixed_files() {
        local file
        while IFS= read -r file; do
                [[ -d $file ]] && file+=/ && compopt -o nospace
                printf -v file %q "$file"
                COMPREPLY+=("$prefix$file")
        done < <(compgen -f -- "${typed#"$prefix"}")
}

# A command behind broodctl's own words, of which the first is the $1-th word.
_broodctl_command() {
        if declare -F _command_offset >/dev/null; then
                _command_offset "$((COMP_CWORD - (${#words[@]} - 1) + $1))"
        elif (($1 == ${#words[@]} - 1)); then
                _broodctl_take < <(compgen -c -- "${words[-1]}")
        else
                compopt -o filenames
                _broodctl_take < <(compgen -f -- "${words[-1]}")
        fi
}

_broodctl() {
        local words before kind prefix option= typed
        COMPREPLY=()
        _broodctl_words
        typed=${words[-1]}
        [[ $typed == --*=* ]] && option=${typed%%=*}= && typed=${typed#*=}
        {
                read -r kind prefix
                case $kind in
                words) _broodctl_offer ;;
                files)
                        if [[ -n $prefix ]]; then
                                _broodctl_prefixed_files
                        else
                                compopt -o filenames
                                _broodctl_take < <(compgen -P "$option" -f -- "$typed")
                        fi
                        ;;
                directories)
                        compopt -o filenames
                        _broodctl_take < <(compgen -P "$option" -d -- "$typed")
                        ;;
                command) _broodctl_command "$prefix" ;;
                esac
        } < <("${COMP_WORDS[0]/#\~/$HOME}" complete line -- "${words[@]}" 2>/dev/null)
} 2>/dev/null

complete -F _broodctl broodctl
