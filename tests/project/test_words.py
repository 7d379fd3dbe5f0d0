"""Measures what people read: sentences of the pages that are too long, or hold more than one semicolon."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

MOST_WORDS, MOST_SEMICOLONS = 30, 1
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

ABBREVIATIONS = re.compile(r"\b(et al|e\.g|i\.e|sec|eq|cf|vs|p)\.")
ITEM = re.compile(r"(\s*)([-*+]|\d+\.)\s+")
END = re.compile(r"(?<=[.!?])[)\"'*_]*\s+")  # of a sentence


class Sentence(NamedTuple):
    """One sentence of a page, with the line that its paragraph begins on."""

    line: int
    text: str

    @property
    def words(self) -> int:
        """How many words it has; a span of code is one."""
        return sum(any(letter.isalnum() for letter in word) for word in self.text.split())

    @property
    def semicolons(self) -> int:
        return self.text.count(";")


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each paragraph and list item of a Markdown page.

    Code blocks, indented blocks, tables, headings, comments and pictures that stand alone are left out.
    """
    gathered: list[str] = []
    began, fence, blank, inside = 0, False, True, False
    for number, line in enumerate([*re.sub(r"<!--.*?-->", commented, text, flags=re.DOTALL).splitlines(), ""], 1):
        stripped = line.strip()
        fenced = stripped.startswith("```")
        item = ITEM.match(line)
        indented = len(line) - len(line.lstrip())
        code = fence or fenced or (blank and indented >= (6 if inside else 4) and not item)
        skipped = code or not stripped or stripped[0] in "|#" or re.fullmatch(r"!\[[^\]]*\]\([^)]*\)", stripped)
        if gathered and (skipped or item):
            yield began, " ".join(gathered)
            gathered = []
        if fenced:
            fence = not fence
        if not skipped:
            if not gathered:
                began = number
            gathered.append(line[item.end() :] if item else stripped)
            inside = bool(item) or (inside and indented > 0)
        blank = not stripped or (blank and code and not fence)


def commented(found: re.Match[str]) -> str:
    """Return what is left of an HTML comment: its line ends, so that lines keep their numbers."""
    return "\n" * found.group().count("\n")


def sentences(text: str) -> list[Sentence]:
    """Return all sentences of a Markdown page, with each span of code and each address as one word."""
    found = []
    for line, paragraph in paragraphs(text):
        plain = re.sub(r"(`+)(.+?)\1", "code", paragraph)
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
        plain = re.sub(r"<https?://[^>]*>", "address", plain)
        plain = ABBREVIATIONS.sub(r"\1", plain.replace("**", ""))
        found += [Sentence(line, part.strip()) for part in END.split(plain) if part.strip()]
    return found


def misses(name: str, text: str) -> list[str]:
    """Return a line for each sentence of a page that is too long or has too many semicolons."""
    found = []
    for sentence in sentences(text):
        said = f"{name}:{sentence.line}: {{}}: {sentence.text}"
        if sentence.words > MOST_WORDS:
            found.append(said.format(f"{sentence.words} words"))
        if sentence.semicolons > MOST_SEMICOLONS:
            found.append(said.format(f"{sentence.semicolons} semicolons"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    found = misses(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


LONG = " ".join(["word"] * (MOST_WORDS + 1)) + "."


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (LONG, [1]),
        (f"Short.\n\n{LONG}", [3]),
        (f"- one\n- {LONG}\n- three", [2]),
        (f"- one\n  {LONG}", [1]),
        (f"<!-- a\ncomment -->\n{LONG}", [3]),
        (f"**Bold.** {LONG}", [1]),
        ("`a` " * (MOST_WORDS + 1), [1]),
        ("One; two; three.", [1]),
        (f"```bash\n{LONG}\n```\n\n{LONG}", [5]),
        (f"    {LONG}\n\n{LONG}", [3]),
        (f"A paragraph that\n    {LONG}", [1]),
        ("word " * MOST_WORDS, []),
        (f"{'word ' * 20}.\n{'word ' * 20}.", []),
        (f"`{LONG}`", []),
        (f"# {LONG}", []),
        (f"| {LONG} | b |", []),
        (f"<!-- {LONG} -->", []),
        (f"![{LONG}](a.png)", []),
        (f"- one\n\n      {LONG}", []),
        (f"See [a page](https://host.invalid/{'a/' * 40}) (Karras et al. 2018).", []),
        ("One; two. Three; four.", []),
    ],
)
def test_what_is_too_long_is_found_where_it_stands(text: str, lines: list[int]) -> None:
    """Try the measure itself: what counts, what does not, and the line that it names."""
    assert [int(miss.split(":")[1]) for miss in misses("page", text)] == lines


# ---- the first words of docstrings are measured below this line ----

# that docstrings begin with; a new one is added once it is seen to be a verb
WORDS = """
Add Answer Append Apply Ask Average Blank Build Call Carry Change Check Choose Collect Compare Complete
Compose Compute Concatenate Constrain Convert Copy Count Cut Decide Decode Delete Describe Detach Divide Do
Download Downscale Draw Encode Enlarge Escape Estimate Exchange Expand Explain Extend Fetch Fill Filter Find
Finish Format Freeze Gather Generate Give Group Hold Import Initialise Interpolate Join Keep Let Limit List
Load Lock Log Make Map Measure Merge Mirror Mix Move Name Open Parse Pass Prepare Print Quote Read Record
Refuse Register Remember Remove Render Repeat Replace Reserve Resize Restore Resume Return Rewrite Round Run
Save Say Scale Score Search Seed Select Set Shrink Split Start Stop Sum Summarize Take Train Translate Update
Wrap Write Yield
"""
VERBS = frozenset(WORDS.split())
SOURCES = sorted([*(ROOT / "gan_cli").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")])


def verbless(tree: ast.AST) -> list[str]:
    """List the functions whose docstring does not begin with a verb, with the line of each."""
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    told = [(node, docstring) for node in functions if (docstring := ast.get_docstring(node))]
    return [f"line {node.lineno}: {node.name}: {text[:40]!r}" for node, text in told if first_word(text) not in VERBS]


def first_word(text: str) -> str:
    return text.split()[0].strip(".,:;")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_a_functions_docstring_begins_with_a_verb(source: Path) -> None:
    assert verbless(ast.parse(source.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("docstring", "count"),
    [("Return it.", 0), ("The sum.", 1), ("Compute, then write.", 0), ("Raises:\n    E: x", 1), ("Whether so.", 1)],
)
def test_a_docstring_without_a_verb_is_found(docstring: str, count: int) -> None:
    inner = f"def f():\n    '''{docstring}'''\n    async def g():\n        '''{docstring}'''\n"
    assert len(verbless(ast.parse(f"'''The module.'''\nclass A:\n    '''A thing.'''\n{inner}"))) == 2 * count
