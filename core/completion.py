"""``quantdg completion SHELL``: the script that makes a shell complete the words of quantdg.

The scripts ask ``quantdg completion --line LINE`` at each press of Tab. A command ``NAME`` is completed with the options
of the function ``NAME_parser`` beside it, and with what ``NAME_words`` says of all that is no option.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from .text import say

BASH = """\
# quantdg completion bash >> ~/.bashrc
_quantdg() {
    local line="${COMP_LINE:0:COMP_POINT}" word kept=""
    word="${line##* }"
    [[ $word == [!\\'\\"]*[=:]* ]] && kept="${word%"${word##*[=:]}"}"
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" completion --line "$line" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    [[ ${COMPREPLY[0]} == *[=.] || $word == *"["* ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o bashdefault -o default -F _quantdg quantdg
"""
ZSH = """\
#compdef quantdg
# quantdg completion zsh >> ~/.zshrc   (after compinit)
_quantdg() {
    local -a found
    local line="${(j: :)${(@Q)words[1,CURRENT]}}"
    found=("${(@f)$("${words[1]}" completion --line "$line" 2>/dev/null)}")
    local word="${line##* }" kept=""
    [[ $word == *[,=\\[]* ]] && kept="${word%${word##*[,=\\[]}}"
    compset -P '*[,=\\[]'
    if [[ -z ${found[1]} ]]; then _files; return; fi
    found=("${found[@]#$kept}")
    if [[ ${found[1]} == *[=.] || $word == *"["* ]]; then compadd -S '' -- $found; else compadd -- $found; fi
}
compdef _quantdg quantdg
"""
FISH = """\
# quantdg completion fish > ~/.config/fish/completions/quantdg.fish
function __quantdg
    set -l line (commandline -cp)
    set -l found (quantdg completion --line "$line" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c quantdg -f -a '(__quantdg)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(argv: Sequence[str]) -> int:
    """Print the script that lets a shell complete commands, options, settings and names."""
    options = completion_parser().parse_args(argv)
    if options.line is not None:
        from .cli import commands  # noqa: PLC0415 - the command line finds this command among others

        for word in candidates(options.line, commands()):
            say(word)
    elif options.shell is None:
        completion_parser().error(f"a shell is wanted, one of {', '.join(SCRIPTS)}")
    else:
        print(SCRIPTS[options.shell], end="")
    return 0


def completion_parser() -> argparse.ArgumentParser:
    """Make the parser of the options of ``quantdg completion``."""
    parser = argparse.ArgumentParser("quantdg completion", description=completion.__doc__)
    parser.add_argument("shell", nargs="?", choices=SCRIPTS)
    parser.add_argument("--line", help=argparse.SUPPRESS)
    return parser


def candidates(line: str, known: Mapping[str, Callable[[], Callable[[Sequence[str]], int]]]) -> list[str]:
    """Return whole words that may stand in place of the last one of a line; nothing where only a file can.

    Args:
        line: from ``quantdg`` to the cursor.
        known: loaders of the commands by name.
    """
    words = [*(word.lstrip("'\"") for word in line.split()), *([""] if line[-1:].isspace() else [])][1:]
    if len(words) < 2:
        return [word for word in (*sorted(known), "--help", "--version") if word.startswith("".join(words))]
    name, *rest = words
    if name not in known:
        return []
    command = known[name]()
    beside = vars(sys.modules[command.__module__])
    parser, others = beside.get(f"{command.__name__}_parser"), beside.get(f"{command.__name__}_words")
    if rest[-1].startswith("-") or others is None:
        return [word for word in _words_of(parser()) if word.startswith(rest[-1])] if parser else []
    return list(others(rest))


def _words_of(parser: argparse.ArgumentParser) -> list[str]:
    """Long options, and the choices of words that are no option."""
    found = []
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            found += [word for word in action.option_strings if word.startswith("--")]
            found += [] if action.option_strings else map(str, action.choices or ())
    return found
