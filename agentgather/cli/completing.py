"""Answer a shell that asks how a command line goes on, in the way of click.

The script of ``agentgather completion`` asks the program itself at each TAB: it sets
``_AGENTGATHER_COMPLETE`` to ``<shell>_complete``, and ``COMP_WORDS`` and ``COMP_CWORD`` to
what has been typed. An answer is lines of ``plain,WORD``, or of ``file,`` and ``dir,`` where
the shell knows better than we do.
"""

import os
import re
from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from agentgather.cli.candidates import VARIABLE
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused

# Readline ends a word at these too, and bash then hands them over as words of their own.
_BREAKS: Final = re.compile("[=:@]+")
_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' line
    COMPREPLY=()
    for line in $(env COMP_WORDS="${COMP_WORDS[*]:0:COMP_CWORD+1}" COMP_CWORD="$COMP_CWORD" \\
        %(complete_var)s=bash_complete "${1:-%(prog_name)s}" 2>/dev/null); do
        case $line in
            plain,*) COMPREPLY+=("${line#plain,}") ;;
            file,*) compopt -o default ;;
            dir,*) compopt -o dirnames ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""
_ZSH: Final = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local type key help
    local -a response described bare
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type key help in ${response}; do
        case $type in
            plain) [[ $help == _ ]] && bare+=("$key") || described+=("$key:$help") ;;
            file) compset -P '--*='; _files ;;
            dir) compset -P '--*='; _files -/ ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#bare )) && compadd -U -V unsorted -a bare
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH: Final = """\
function %(complete_func)s
    for line in (env COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -ct) \\
            %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l answer (string split --max 1 , -- $line)
        set -l flag (string match --regex '^--[^=]*=' -- $answer[2])
        set -l path (string replace --regex '^--[^=]*=' '' -- $answer[2])
        switch $answer[1]
            case file
                string replace --regex -- '^' "$flag" (__fish_complete_path $path)
            case dir
                string replace --regex -- '^' "$flag" (__fish_complete_directories $path)
            case plain
                echo $answer[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Whole(ShellComplete):
    """Gives the word as a whole: of ``--kind=a`` click gives ``agent`` alone."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Give what may stand there."""
        flag, equals, _ = incomplete.partition("=")
        items = super().get_completions(args, incomplete)
        if equals and flag.startswith("--"):
            for item in items:
                item.value = f"{flag}={item.value}"
        return items


class _Bash(_Whole, BashComplete):
    """Puts together what readline took apart, and gives what comes after the last break."""

    source_template = _BASH
    _before = ""

    @staticmethod
    def _check_version() -> None:
        """Ask no bash: the script does with what an older one has."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Give the words before the one that is asked for, and what there is of it."""
        words = os.environ["COMP_WORDS"].split("\n")
        number = int(os.environ["COMP_CWORD"])
        typed = words[number] if number < len(words) else ""
        *before, joined = _joined([*words[:number], typed])
        # An `@` at the beginning readline gives back with the word.
        if not joined.startswith("@"):
            self._before = joined.removesuffix("" if _BREAKS.fullmatch(typed) else typed)
        return split_arg_string("\n".join(before[1:])), "".join(split_arg_string(joined)[:1])

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Leave out what readline keeps."""
        return f"{item.type},{item.value.removeprefix(self._before)}"


class _Zsh(_Whole, ZshComplete):
    source_template = _ZSH


class _Fish(_Whole, FishComplete):
    source_template = _FISH


SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def script_for(shell: str, group: click.Command) -> str:
    """Give the script that makes a shell ask."""
    return SHELLS[shell](group, {}, "agentgather", VARIABLE).source()


def answer_shell(group: click.Group, context: Context) -> None:
    """Print how the command line of ``COMP_WORDS`` can go on.

    Raises:
        Misused: this is no question that a script of ours asks.

    """
    ways = {f"{shell}_complete": way for shell, way in SHELLS.items()}
    try:
        completer = ways[os.environ[VARIABLE]](group, {"obj": context}, "agentgather", VARIABLE)
        completer.get_completion_args()
    except (KeyError, ValueError):
        raise Misused(
            f"{VARIABLE} is for the scripts of `agentgather completion`; unset it"
        ) from None
    answer = completer.complete()
    if answer:
        context.write(answer)
        context.flush()


def _joined(words: list[str]) -> list[str]:
    joined: list[str] = []
    glued = False
    for word in words:
        is_break = _BREAKS.fullmatch(word) is not None
        # `@rev` is a word of its own; `--kind=` and `http:` go on.
        if joined and (glued or (is_break and word[0] != "@")):
            joined[-1] += word
        else:
            joined.append(word)
        glued = is_break
    return joined
