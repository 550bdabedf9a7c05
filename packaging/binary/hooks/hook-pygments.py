"""In the place of PyInstaller's own, which takes all 500 lexers: the page names those it uses."""

hiddenimports: list[str] = []
