"""Texts that somebody wrote to break a page, or to keep a room busy."""

import random

MOST = 24_000
BIDI, ZERO = "\u202e", "\u200b"

MARKUP = [
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "</script><script>alert(1)</script>",
    "<script>alert(1)</script>",
    "<ScRiPt >alert(1)</sCrIpT>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "<body onload=alert(1)>",
    "<style>*{background:url(https://evil)}</style>",
    "<link rel=stylesheet href=https://evil>",
    "<base href=https://evil>",
    "<meta http-equiv=refresh content=0;url=https://evil>",
    "<form action=https://evil><input name=x></form>",
    "<object data=https://evil></object>",
    "<embed src=https://evil>",
    "<template><img src=x onerror=alert(1)></template>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext><table><mglyph><style><!--</style>"
    "<img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<select><style></select><img src=x onerror=alert(1)></style>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[><img src=x onerror=alert(1)>]]>",
    "<?xml version='1.0'?><x/>",
    "<!DOCTYPE html>",
    "<div onclick=alert(1)>\n\n*x*\n\n</div>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "&amp;lt;script&amp;gt;",
    "\\<img src=x onerror=alert(1)\\>",
    "`<img src=x onerror=alert(1)>`",
    "    <img src=x onerror=alert(1)>",
    "```html\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    '```python" onmouseover="alert(1)\nx\n```',
    "```python class=x id=y onload=z\nx\n```",
    "~~~ <script>\nx\n~~~",
    "```&quot;&gt;&lt;img&gt;\nx\n```",
    "```\n``` <img src=x onerror=alert(1)>\n```",
    "> ```\n<img src=x onerror=alert(1)>",
    "- ```\n<img src=x onerror=alert(1)>\n- ```",
    "``` `\n<img src=x onerror=alert(1)>\n```",
    "|<img src=x onerror=alert(1)>|\n|:-:|\n|<script>|",
    "# <img src=x onerror=alert(1)>",
    "![<img src=x onerror=alert(1)>](https://a.b/x.png)",
    "[<img src=x onerror=alert(1)>](https://a.b/)",
    "<b\x00 onload=alert(1)>",
    "<img src=`x` onerror=alert(1)>",
    "<a\u2028href=javascript:alert(1)>x</a>",
    '@ada" onmouseover="alert(1)',
    "@<script>alert(1)</script>",
]

# Each is no link: its text stays.
NO_LINKS = [
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](JaVa\tScript:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](java\nscript:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](<\x01javascript:alert(1)>)",
    "[x](javascript&colon;alert(1))",
    "[x](javascript&#58;alert(1))",
    "[x](javascript&#x3a;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61&#x76&#x61script:alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](java&NewLine;script:alert(1))",
    "[x](\\javascript:alert(1))",
    "[x](javascript\\:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](data:image/png;base64,AAAA)",
    "[x](vbscript:msgbox)",
    "[x](file:///etc/passwd)",
    "[x](ftp://a.b/)",
    "[x](tel:1)",
    "[x](//evil.example)",
    "[x](\\\\evil.example)",
    "[x](/messages)",
    "[x](assets/x.js)",
    "[x](?token=1)",
    "[x](#token=agp_x)",
    "[x](https:evil.example)",
    "[x](https:/evil.example)",
    "[x](http:///evil)",
    "[x](https://)",
    "[x](https://\u202eevil)",
    "[x](x:y)",
    "[x](:)",
    "<javascript:alert(1)>",
    "<JAVASCRIPT:alert(1)>",
    "<data:text/html,x>",
    "<javascript&colon;alert(1)>",
    "<file:///etc/passwd>",
    "[x]\n\n[x]: javascript:alert(1)",
    "[x][y]\n\n[y]: data:text/html,x",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "javascript://a.b/%0aalert(1)",
    "xhttps://a.b/",
    "http://",
    'https://"onmouseover=alert(1)',
]

LINKS = [
    ("https://a.b/c_d_e", "https://a.b/c_d_e"),
    ("(https://a.b/(c))", "https://a.b/(c)"),
    ("see https://a.b/.", "https://a.b/"),
    ("*https://a.b/*", "https://a.b/"),
    ("HTTPS://A.b/", "HTTPS://A.b/"),
    ('https://e.x/"onmouseover=alert(1)', "https://e.x/"),
    ("https://e.x/'onmouseover=alert(1)", "https://e.x/'onmouseover=alert(1)"),
    ("https://e.x/<script>", "https://e.x/"),
    ("看https://a.b/。", "https://a.b/"),
    ("[x](https://a.b/?q=1&r=2)", "https://a.b/?q=1&r=2"),
    ('[x](https://a.b/ "a title")', "https://a.b/"),
    ("[x](<https://a.b/c d>)", "https://a.b/c%20d"),
    ('[x](https://a.b/")', "https://a.b/%22"),
    ("[x](https://a.b/\u202ec)", "https://a.b/%E2%80%AEc"),
    ("[x](https://bücher.example/)", "https://xn--bcher-kva.example/"),
    ("[x](mailto:a@b.c)", "mailto:a@b.c"),
    ("<a@b.c>", "mailto:a@b.c"),
    ("<https://a.b/>", "https://a.b/"),
    ("[x]\n\n[x]: https://a.b/", "https://a.b/"),
    ("[](https://a.b/)", "https://a.b/"),
    ("![](https://a.b/x.png)", "https://a.b/x.png"),
]

UNITS = [
    *"*_[](!`~<>&@|-#\\ \n:/\t\"'.=+^${}\r",
    *("[a](", "*a_", "![[", "a|", "- ", "> ", "https://", "@a", "<a", "&amp", "&amp;", "[x]: y\n"),
    *("**a **b", "_a*b_c*", "http://a(", "> - ", "[x][y]", "[x]", "a*", "*a ", "a**", "~~a ~~"),
    *("`a", "``a`", "<http://a>", "<x@y.z>", "<!--", "<?", "]( ", "[a](<b", '[a](b "', "![a](b)"),
    *("[a](http://b/)", "![a](http://b/)", "\\*", "\r\n", "a\n", "\n\n", "- a\n", "1. a\n"),
    *("- [ ] a\n", "# a\n", "---\n", "a\n---\n", "|a|b|\n", "|-|-|\n", "```\n", "```py\n", "~~~\n"),
    *(
        "    a\n",
        "\ta\n",
        "@ada ",
        '"@ada"',
        "https://a.b/ ",
        "https://a_b_",
        "https://a.b/(",
        "中",
    ),
    *(
        BIDI,
        BIDI + "a",
        ZERO + "@ada",
        "😀",
        "&#x202e;",
        "<svg/onload=x>",
        "*_",
        "***",
        "[[]",
        "[(",
    ),
    *("- - - - a\n", "[a](https://中.文/)", "<https://é.中>", "a.b@c.d ", "=>", "\x00", "\u3164"),
]


def repeated(unit: str) -> str:
    return (unit * MOST)[: fit(unit)]


def fit(unit: str) -> int:
    """Give how many characters of a text of these are 24,000 UTF-16 code units."""
    return MOST * len(unit) // (len(unit.encode("utf-16-le")) // 2)


SHAPES = {
    "quotes, 24,000 deep": ">" * MOST,
    "quotes, 12,000 deep": "> " * (MOST // 2),
    "quotes, each deeper": "\n".join(">" * depth + " a" for depth in range(1, 210)),
    "lists, 12,000 deep": "- " * (MOST // 2),
    "lists, each deeper": "\n".join("  " * depth + "- a" for depth in range(150)),
    "numbers": "1. " * (MOST // 3),
    "backticks, longer and longer": " ".join("`" * length for length in range(1, 217)),
    "backticks, shorter and shorter": " ".join("`" * length for length in range(216, 0, -1)),
    "a wide table": f"{'a|' * 2000}\n{'-|' * 2000}\n{'a|' * 2000}\n",
    "a wide table of short rows": f"{'a|' * 3000}\n{'-|' * 3000}\n" + "|\n" * 5900,
    "a table of short rows": f"{'a|' * 100}\n{'-|' * 100}\n" + "|\n" * 11_700,
    "a long table": "|a|\n|-|\n" + "|a|\n" * 5900,
    "references": "".join(f"[{number}]: y\n" for number in range(2300)),
    "uses of a reference": "[x]: https://a.b/\n\n" + "[x]" * 7900,
    "uses of a long reference": f"[x]: https://a.b/{'c' * 12_000}\n\n" + "[x]" * 3900,
    "open and closed brackets": "[" * 12_000 + "]" * 12_000,
    "images in images": "![" * 6000 + "](b)" * 3000,
    "few images in images": "![" * 400 + "](b)" * 400,
    "links in links": "[" * 400 + "](b)" * 400,
    "emphasis": "*a " * 6000 + "b* " * 2000,
    "one emphasis": "*" * 11_999 + "a" + "*" * 12_000,
    "emphasis of all lengths": "".join("*" * (n % 7 + 1) + "a" for n in range(4800)),
    "one word": "a" * MOST,
    "an open fence": "```python\n" + "(" * 23_900,
    "elements": "<div><b><i>" * 2100,
    "a heading of 12,000 lines": "a\n" * 11_990 + "---",
    "a lazy quote": "> a\n" + "a\n" * 11_900,
    "a lazy list": "- a\n" + "a\n" * 11_900,
    "three lists": "- a\n+ b\n* c\n" * 2000,
    "hidden in every second place": (BIDI + "a") * 12_000,
    "a tag block": "\U000e0041" * 12_000,
}


def code(language: str) -> list[str]:
    """Give texts with as much code as gets colours, of everything that is hard on a lexer."""
    units = [
        *UNITS,
        "/*",
        "/*a",
        "'''a",
        '"""',
        "f'{a",
        "${a",
        "a(b ",
        "a.b.",
        "\\\n",
        "<T>",
        "'\\",
    ]
    texts = []
    for unit in units:
        body = (unit * 4000)[:3900].replace("\r", "\n").replace("```", "``")
        lines = [
            line[at : at + 190] for line in body.split("\n") for at in range(0, len(line) or 1, 190)
        ]
        texts.append(f"```{language}\n" + "\n".join(lines)[:3900] + "\n```")
    return texts


def mixtures(count: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        units = chance.sample(UNITS, chance.randint(2, 5))
        if chance.random() < 0.5:
            text = "".join(units) * MOST
        else:
            text = "".join(
                chance.choice(units) * chance.choice([1, 1, 2, 3, 10, 100]) for _ in range(MOST)
            )
        text = text[:MOST]
        while len(text.encode("utf-16-le")) // 2 > MOST:
            text = text[:-1000]
        texts.append(text)
    return texts
