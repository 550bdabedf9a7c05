"""In the place of PyInstaller's own: the machine's certificates are used, never those here."""

datas: list[tuple[str, str]] = []
