"""Code with its parts marked for colour. Languages are named by the writer, never guessed.

pygments' lexers are lists of regular expressions, and none was written for a hostile text.
So each language here was measured on such texts, and what makes them slow is left without
colour: very long lines, gaps, many beginnings of what never ends, and code over a bound.
C, C++, Java and C# are not here: their lexers are quadratic in ordinary lines, and took two
seconds for 4,000 characters. All lexers together take 20 ms to import; each takes 1 to 30 ms
more when it is first used.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from pygments.lexer import Lexer
from pygments.lexers.configs import DockerLexer, IniLexer, NginxConfLexer, TOMLLexer
from pygments.lexers.css import CssLexer
from pygments.lexers.data import JsonLexer, YamlLexer
from pygments.lexers.diff import DiffLexer
from pygments.lexers.go import GoLexer
from pygments.lexers.graphql import GraphQLLexer
from pygments.lexers.html import HtmlLexer, XmlLexer
from pygments.lexers.javascript import DartLexer, JavascriptLexer, TypeScriptLexer
from pygments.lexers.jvm import KotlinLexer
from pygments.lexers.objective import SwiftLexer
from pygments.lexers.perl import PerlLexer
from pygments.lexers.php import PhpLexer
from pygments.lexers.python import PythonConsoleLexer, PythonLexer
from pygments.lexers.ruby import RubyLexer
from pygments.lexers.rust import RustLexer
from pygments.lexers.scripting import LuaLexer
from pygments.lexers.shell import BashLexer, PowerShellLexer
from pygments.lexers.sql import SqlLexer
from pygments.token import STANDARD_TYPES

from agentgather.page.spelling import spell

MAX_COLOURED_CHARS: Final = 4_000
"""Code of one text that gets colours: a hundred lines."""
COLOUR_US: Final = 5
"""What a character of code costs at most, in microseconds; ordinary code costs 1.5."""
MAX_CODE_LINE_CHARS: Final = 200
"""Lines that no lexer needs a millisecond for, even where it is quadratic in the line."""
MAX_OPENERS: Final = 20
"""Comments and strings over many lines: a lexer looks for the end of each, to the last."""

# Twenty line ends with nothing but white space between them.
_GAP: Final = re.compile(r"(?:[ \t]*\n){20}")
_OPENER: Final = re.compile(r"/\*|<!|<\?|'''|\"\"\"|\[\[|<<|=begin|\(\*|\{-|%|`|\$\(")
# Names, punctuation and errors are most of a text, and have no colour.
_NO_COLOUR: Final = frozenset({"", "n", "p", "w", "x", "err", "esc"})

_LEXERS: Final[dict[str, Callable[..., Lexer]]] = {
    "bash": BashLexer,
    "css": CssLexer,
    "dart": DartLexer,
    "diff": DiffLexer,
    "dockerfile": DockerLexer,
    "go": GoLexer,
    "graphql": GraphQLLexer,
    "html": HtmlLexer,
    "ini": IniLexer,
    "javascript": JavascriptLexer,
    "json": JsonLexer,
    "kotlin": KotlinLexer,
    "lua": LuaLexer,
    "nginx": NginxConfLexer,
    "perl": PerlLexer,
    "php": PhpLexer,
    "powershell": PowerShellLexer,
    "pycon": PythonConsoleLexer,
    "python": PythonLexer,
    "ruby": RubyLexer,
    "rust": RustLexer,
    "sql": SqlLexer,
    "swift": SwiftLexer,
    "toml": TOMLLexer,
    "typescript": TypeScriptLexer,
    "xml": XmlLexer,
    "yaml": YamlLexer,
}
_OTHER_NAMES: Final = {
    "cjs": "javascript",
    "docker": "dockerfile",
    "golang": "go",
    "js": "javascript",
    "jsonc": "json",
    "jsx": "javascript",
    "kt": "kotlin",
    "mjs": "javascript",
    "patch": "diff",
    "ps1": "powershell",
    "py": "python",
    "python3": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "bash",
    "shell": "bash",
    "svg": "xml",
    "ts": "typescript",
    "tsx": "typescript",
    "yml": "yaml",
    "zsh": "bash",
}


def language_of(name: str) -> str:
    """Give a language's own name; "" if it is none of ours."""
    name = _OTHER_NAMES.get(name.lower(), name.lower())
    return name if name in _LEXERS else ""


def is_colourable(code: str) -> bool:
    """Say whether no lexer takes long for it."""
    if max(map(len, code.split("\n"))) > MAX_CODE_LINE_CHARS:
        return False
    return len(_OPENER.findall(code)) <= MAX_OPENERS and _GAP.search(code) is None


def colour(code: str, language: str) -> str:
    """Give code in a language of ours as HTML."""
    return "".join(
        f'<span class="{name}">{spell(text)}</span>' if name else spell(text)
        for name, text in _runs(_lexer(language).get_tokens_unprocessed(code))
    )


def _runs(tokens: Iterator[tuple[int, Any, str]]) -> Iterator[tuple[str, str]]:
    """Join neighbours of one colour."""
    before = ""
    texts: list[str] = []
    for _, kind, text in tokens:
        name = _short_name(kind)
        if name != before and texts:
            yield before, "".join(texts)
            texts.clear()
        before = name
        texts.append(text)
    if texts:
        yield before, "".join(texts)


@lru_cache(maxsize=len(_LEXERS))
def _lexer(language: str) -> Lexer:
    return _LEXERS[language](stripnl=False, ensurenl=False)


@lru_cache(maxsize=256)
def _short_name(kind: Any) -> str:
    while kind not in STANDARD_TYPES:
        kind = kind.parent
    name = STANDARD_TYPES[kind]
    return "" if name in _NO_COLOUR else name
