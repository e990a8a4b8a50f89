"""Media types: the tables `detection` looks things up in.

Data only. A row here is a claim about the world ("files that begin with these bytes are PDF"), so a missing format is
one more row and no code. Order matters in `MAGIC` only: the first that fits wins.
"""

from __future__ import annotations

PDF = "application/pdf"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPENDOCUMENT = "application/vnd.oasis.opendocument"

DOCX = f"{_OFFICE}.wordprocessingml.document"
PPTX = f"{_OFFICE}.presentationml.presentation"
XLSX = f"{_OFFICE}.spreadsheetml.sheet"
ODT, ODP, ODS = (f"{_OPENDOCUMENT}.{kind}" for kind in ("text", "presentation", "spreadsheet"))
XLS, XLSB = "application/vnd.ms-excel", "application/vnd.ms-excel.sheet.binary.macroenabled.12"
ENCRYPTED_OFFICE = "application/x-encrypted-office"
RTF, EML, MBOX = "application/rtf", "message/rfc822", "application/mbox"
NOTEBOOK, CHAT = "application/x-ipynb+json", "application/x-chat+json"
ARCHIVES = (
    "application/zip", "application/x-tar", "application/gzip", "application/x-bzip2", "application/x-xz",
    "application/zstd",
)  # fmt: skip
EPUB = "application/epub+zip"

BY_EXTENSION = {
    "txt": "text/plain", "text": "text/plain", "log": "text/plain", "rst": "text/plain", "adoc": "text/plain",
    "asciidoc": "text/plain", "org": "text/plain", "srt": "text/plain", "vtt": "text/plain",
    "po": "text/plain", "diff": "text/plain", "patch": "text/plain", "out": "text/plain", "err": "text/plain",
    "md": "text/markdown", "markdown": "text/markdown", "mdown": "text/markdown", "mkd": "text/markdown",
    "mdx": "text/markdown", "qmd": "text/markdown", "rmd": "text/markdown",
    "html": "text/html", "htm": "text/html", "xhtml": "text/html",
    "csv": "text/csv", "tsv": "text/csv", "tab": "text/csv",
    "json": "application/json", "geojson": "application/json", "ipynb": NOTEBOOK,
    "jsonc": "application/json", "webmanifest": "application/json",
    "jsonl": "application/jsonl", "ndjson": "application/jsonl",
    "pdf": "application/pdf", "rtf": "application/rtf", "ps": "application/postscript",
    "eps": "application/postscript", "epub": "application/epub+zip",
    "docx": f"{_OFFICE}.wordprocessingml.document", "pptx": f"{_OFFICE}.presentationml.presentation",
    "xlsx": XLSX, "xlsm": XLSX, "xltx": XLSX, "docm": DOCX, "dotx": DOCX, "pptm": PPTX, "ppsx": PPTX, "xlsb": XLSB,
    "odt": f"{_OPENDOCUMENT}.text", "ods": f"{_OPENDOCUMENT}.spreadsheet", "odp": f"{_OPENDOCUMENT}.presentation",
    "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
    "msg": "application/vnd.ms-outlook", "eml": "message/rfc822", "mbox": "application/mbox",
    "svg": "image/svg+xml", "bmp": "image/bmp", "ico": "image/x-icon", "psd": "image/vnd.adobe.photoshop",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "mp4": "video/mp4", "mkv": "video/x-matroska",
    "tar": "application/x-tar", "jar": "application/java-archive", "whl": "application/x-wheel+zip",
    "apk": "application/vnd.android.package-archive", "class": "application/java-vm",
    "pyc": "application/x-python-code",
    "parquet": "application/vnd.apache.parquet", "ttf": "font/ttf", "otf": "font/otf",
}  # fmt: skip

OTHER_TEXT = frozenset({RTF, EML, MBOX, NOTEBOOK, "application/postscript", "image/svg+xml"})
"""Text in its bytes, but no text to be read as it stands: encodings, mark-up, drawings."""

_LANGUAGES = {
    "python": "py pyi pyw pyx pxd", "javascript": "js mjs cjs jsx", "typescript": "ts tsx mts cts",
    "c": "c h", "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp inl cu cuh ino", "objectivec": "m mm", "rust": "rs",
    "go": "go", "java": "java", "kotlin": "kt kts", "scala": "scala sc sbt", "groovy": "groovy gradle",
    "swift": "swift", "csharp": "cs", "fsharp": "fs fsi fsx", "vb": "vb bas", "php": "php phtml",
    "ruby": "rb rake gemspec", "perl": "pl pm t", "lua": "lua", "r": "r", "julia": "jl", "dart": "dart",
    "elixir": "ex exs", "erlang": "erl hrl", "haskell": "hs lhs", "ocaml": "ml mli", "clojure": "clj cljs cljc edn",
    "lisp": "lisp lsp el scm rkt", "nim": "nim", "zig": "zig", "d": "d", "verilog": "sv svh vhd vhdl",
    "pascal": "pas dpr",
    "fortran": "f f77 f90 f95 f03", "assembly": "asm s", "shell": "sh bash zsh fish ksh", "powershell": "ps1 psm1",
    "batch": "bat cmd", "sql": "sql ddl pgsql psql", "graphql": "graphql gql", "proto": "proto", "thrift": "thrift",
    "yaml": "yaml yml", "toml": "toml", "ini": "ini cfg conf properties env editorconfig desktop service",
    "xml": "xml xsd xsl xslt rng wsdl plist csproj vcxproj pom", "css": "css scss sass less styl", "vue": "vue",
    "svelte": "svelte", "template": "j2 jinja jinja2 tmpl tpl mustache hbs ejs erb", "terraform": "tf tfvars hcl",
    "nix": "nix", "cmake": "cmake", "make": "mk mak", "docker": "dockerfile", "latex": "tex sty cls bib ltx",
    "json5": "json5", "starlark": "bzl bazel star", "vim": "vim", "awk": "awk", "tcl": "tcl", "solidity": "sol",
    "autoconf": "ac am m4", "gitconfig": "gitignore gitattributes gitmodules dockerignore npmrc",
    "cython": "pxi", "diagram": "dot gv mmd puml", "rest": "http",
}  # fmt: skip
LANGUAGE_BY_EXTENSION = {extension: name for name, row in _LANGUAGES.items() for extension in row.split()}

LANGUAGE_BY_NAME = {
    "makefile": "make", "gnumakefile": "make", "dockerfile": "docker", "containerfile": "docker",
    "jenkinsfile": "groovy", "vagrantfile": "ruby", "gemfile": "ruby", "rakefile": "ruby", "brewfile": "ruby",
    "podfile": "ruby", "procfile": "yaml", "justfile": "make", "build": "starlark", "workspace": "starlark",
    "cmakelists.txt": "cmake", "requirements.txt": "pip", "constraints.txt": "pip", ".bashrc": "shell",
    ".profile": "shell", ".zshrc": "shell", ".vimrc": "vim", "go.mod": "go", "go.sum": "go", "pipfile": "toml",
    ".clang-format": "yaml", ".babelrc": "json5", ".eslintrc": "json5", ".prettierrc": "json5",
}  # fmt: skip

PLAIN_NAMES = frozenset(
    {"readme", "license", "licence", "copying", "notice", "authors", "contributors", "maintainers", "changelog",
     "changes", "news", "history", "install", "todo", "thanks", "credits", "version", "codeowners", "copyright",
     "acknowledgements", "faq", "hacking", "security"}
)  # fmt: skip

LANGUAGE_BY_INTERPRETER = {
    "python": "python", "pypy": "python", "sh": "shell", "bash": "shell", "dash": "shell", "zsh": "shell",
    "ksh": "shell", "fish": "shell", "perl": "perl", "ruby": "ruby", "node": "javascript", "deno": "typescript",
    "php": "php", "lua": "lua", "rscript": "r", "awk": "awk", "make": "make", "tclsh": "tcl", "julia": "julia",
}  # fmt: skip

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"), (0, b"PK\x05\x06", "application/zip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"{\\rtf", "application/rtf"), (0, b"%!PS", "application/postscript"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"), (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"), (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"), (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"), (0, b"8BPS\x00", "image/vnd.adobe.photoshop"),
    (0, b"RIFF", "application/riff"),
    (0, b"ID3\x02", "audio/mpeg"), (0, b"ID3\x03", "audio/mpeg"), (0, b"ID3\x04", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"), (0, b"\xff\xf3", "audio/mpeg"), (0, b"OggS\x00", "audio/ogg"),
    (0, b"fLaC\x00", "audio/flac"), (4, b"ftypM4A", "audio/mp4"), (4, b"ftypheic", "image/heic"),
    (4, b"ftypavif", "image/avif"), (4, b"ftyp", "video/mp4"), (0, b"\x1aE\xdf\xa3", "video/x-matroska"),
    (0, b"\x1f\x8b", "application/gzip"), (0, b"BZh91AY&SY", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"), (0, b"(\xb5/\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"), (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\x7fELF", "application/x-executable"), (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"), (0, b"\x00asm", "application/wasm"),
    (0, b"MZ\x90\x00", "application/x-msdownload"), (0, b"!<arch>\n", "application/x-archive"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"), (0, b"PAR1\x15", "application/vnd.apache.parquet"),
    (0, b"wOFF\x00", "font/woff"), (0, b"wOF2\x00", "font/woff2"), (0, b"\x00\x01\x00\x00\x00", "font/ttf"),
    (0, b"OTTO\x00", "font/otf"),
)  # fmt: skip

RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}

OLE_STREAMS = (
    ("EncryptedPackage", ENCRYPTED_OFFICE),
    ("WordDocument", "application/msword"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("Workbook", XLS),
    ("__substg1.0_", "application/vnd.ms-outlook"),
    ("Book", XLS),
)
"""Names of streams as they stand in an OLE file, in UTF-16, and what has them."""

ZIP_ENTRIES = (
    ("word/", DOCX), ("ppt/", PPTX), ("xl/workbook.bin", XLSB), ("xl/", XLSX), ("META-INF/container.xml", EPUB),
    ("AndroidManifest.xml", "application/vnd.android.package-archive"),
    ("META-INF/MANIFEST.MF", "application/java-archive"),
)  # fmt: skip
"""What the entries of a zip begin with, and what has them; office files also have `[Content_Types].xml`."""

ZIP_PARTS = (
    (b"mimetypeapplication/epub+zip", EPUB),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", ODT),
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", ODS),
    (b"mimetypeapplication/vnd.oasis.opendocument.presentation", ODP),
)
"""The first entry of a zip, by which some formats say what they are."""

CONTAINERS = {
    "application/zip": frozenset(
        {f"{_OFFICE}.wordprocessingml.document", f"{_OFFICE}.presentationml.presentation",
         f"{_OFFICE}.spreadsheetml.sheet", f"{_OPENDOCUMENT}.text", f"{_OPENDOCUMENT}.spreadsheet",
         f"{_OPENDOCUMENT}.presentation", "application/epub+zip", "application/java-archive",
         "application/x-wheel+zip", "application/vnd.android.package-archive"}
    ),
    "application/x-ole-storage": frozenset(
        {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
         "application/vnd.ms-outlook"}
    ),
}  # fmt: skip
