"""The derivations, the code and the tests in step: labels, places, table, figures, command line."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecprune_np import equations

ROOT = Path(__file__).resolve().parent.parent
DERIVATIONS = ROOT / "derivations"


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"derivations_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


update = load(DERIVATIONS / "update.py")
ENTRIES = update.equations()
LABELS = [e["label"] for e in ENTRIES]
PAGES = update.pages()
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\\w$])\$(?!\s)([^$]+?)(?<!\s)\$(?!\w)", re.DOTALL)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def test_there_are_at_least_forty_equations():
    assert len(ENTRIES) >= 40


def test_no_label_is_defined_twice():
    tags = [tag for page in PAGES for tag in re.findall(r"\\tag\{(.*?)\}", page.read_text(encoding="utf-8"))]
    assert [t for t in dict.fromkeys(tags) if tags.count(t) > 1] == []
    assert sorted(tags) == sorted(LABELS), "a \\tag without its comment, or a comment without its \\tag"


def test_each_equation_is_tagged_as_its_comment_says_and_stands_on_the_page_of_its_number():
    for e in update.defined():
        page = int(Path(e["page"]).name.split("-")[0])
        assert (e["tag"], e["label"].split(".")[0]) == (e["label"], f"EC-{page}")


def test_each_equation_says_of_which_kind_it_is():
    kinds = re.findall(r"^\| ([a-z ]+) \|", (DERIVATIONS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(k for k in kinds if k not in ("symbol", "page", "kind", "equation")) == equations.KINDS
    assert {e["kind"] for e in ENTRIES} == set(equations.KINDS)


@pytest.mark.parametrize(
    "head", ["importance", "theorem, importance", "exact, ", "exact importance", "Exact, importance"]
)
def test_an_equation_of_no_kind_is_an_error_that_names_it(head):
    text = f"<!-- EC-3.5 {head}: I = w² v -->\n$$\nI\n\\tag{{EC-3.5}}\n$$\n"
    with pytest.raises(ValueError, match=r"^page.md: EC-3.5: expected kind, name, the kind one of 'definition', "):
        list(update.defined_in(text, "page.md"))
    (good,) = update.defined_in(text.replace(head, "first order, loss, if any"), "page.md")
    assert (good["kind"], good["name"]) == ("first order", "loss, if any")


def test_a_long_comment_has_several_lines_and_says_the_same(tmp_path):
    """Broken at any space, before and behind its bar as well."""
    comment = "<!-- EC-3.5 exact, importance: I = w² v or so | in scores.uncompensated, mlp.forward -->"
    parts = comment.split(" ")
    for k in range(5, len(parts)):
        broken = " ".join(parts[:k]) + "\n" + " ".join(parts[k:])
        text = f"<!-- EC-3.4 exact, shift: d -->\n$$\nd\n\\tag{{EC-3.4}}\n$$\n{broken}\n$$\nI\n\\tag{{EC-3.5}}\n$$\n"
        first, entry = update.defined_in(text, "page.md")
        assert (first["statement"], first["places"]) == ("d", None)
        assert entry["statement"] == "I = w² v or so" and entry["places"].split() == parts[-3:-1]
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        named = equations._named(tmp_path / "page.md", "EC-3.5")
        assert named == ["ecprune_np.scores.uncompensated", "ecprune_np.mlp.forward"]
        assert [equations._named(tmp_path / "page.md", label) for label in ("EC-3.4", "EC-9.7")] == [[], []]


@pytest.mark.parametrize("page", ["README.md", *(p.name for p in PAGES)])
def test_no_line_of_a_page_is_wider_than_it_may_be(page):
    lines = (DERIVATIONS / page).read_text(encoding="utf-8").splitlines()
    assert [f"{page}:{n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > update.WIDTH] == []


@given(st.lists(st.sampled_from(["a", "bcd" * 9, "+", "-", "*", "=", "#", "> 0", "−"]), min_size=30, max_size=60))
def test_an_item_of_the_index_is_one_item_in_lines_that_fit(words):
    """No line begins with what Markdown takes for the beginning of something else."""
    lines = update.item("x " + " ".join(words), "  - ").splitlines()
    assert " ".join(line.strip() for line in lines) == "- x " + " ".join(words)
    assert all(len(line) <= update.WIDTH and not re.match(r" +[-+*=#>]", line) for line in lines[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_numbers_of_a_page_are_in_reading_order_without_a_gap(page):
    tags = re.findall(r"\\tag\{(EC-[\d.]+)\}", page.read_text(encoding="utf-8"))
    assert tags == [f"EC-{int(page.name[:2])}.{n}" for n in range(1, len(tags) + 1)]


def test_every_cited_label_is_defined():
    known = {*LABELS, *(label.split(".")[0] for label in LABELS)}
    assert {label: files for label, files in update.citations().items() if label not in known} == {}


def test_every_equation_is_implemented():
    assert [e["label"] for e in ENTRIES if not e["implemented"]] == []


def test_every_equation_is_tested():
    assert [e["label"] for e in ENTRIES if not e["tested"]] == []


def test_every_place_exists():
    for place in sorted({place for e in ENTRIES for place in e["implemented"]}):
        parts = place.split(".")
        for n in range(len(parts) - 1, 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:n]))
            except ModuleNotFoundError:
                continue
            for part in parts[n:]:
                found = getattr(found, part)
            break
        assert callable(found) or isinstance(found, property), place


def test_the_table_and_the_json_are_in_step():
    advice = "run: python derivations/update.py"
    stored = (ROOT / "ecprune_np" / "equations.json").read_text(encoding="utf-8")
    assert stored == update.json_text(ENTRIES), advice
    readme = (DERIVATIONS / "README.md").read_text(encoding="utf-8")
    assert readme == update.readme_text(ENTRIES), advice


def test_the_index_links_every_page_and_every_link_has_a_target():
    for page in [DERIVATIONS / "README.md", *PAGES]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)\)", CODE.sub("", text)):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    readme = (DERIVATIONS / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in PAGES if f"]({p.name})" not in readme] == []


@pytest.mark.parametrize("page", ["README.md", *(p.name for p in PAGES)])
def test_math_survives_a_code_host(page):
    """Markdown eats a backslash before punctuation, so `\\\\`, `\\,` or `\\{` reach the renderer as something else."""
    text = CODE.sub("", (DERIVATIONS / page).read_text(encoding="utf-8"))
    for match in MATH.finditer(text):
        math = match[1] or match[2]
        assert not re.search(r"\\[^A-Za-z]|(?<!\\)[<>*]", math), math
        assert match[1] or "\n" not in math, math
        assert math.count("{") == math.count("}"), math
        for opening, closing in (("begin", "end"), ("left", "right")):
            assert len(re.findall(rf"\\{opening}\b", math)) == len(re.findall(rf"\\{closing}\b", math)), math
    assert "$" not in MATH.sub("", text)


@pytest.mark.parametrize("page", [p.name for p in PAGES])
def test_each_page_has_an_executed_example(page):
    assert ">>> " in (DERIVATIONS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [p.name for p in PAGES])
def test_each_page_says_at_its_head_what_it_assumes(page):
    """Before the first section."""
    head = (DERIVATIONS / page).read_text(encoding="utf-8").split("\n## ")[0]
    assert head.count("\n**Assumptions.**") == 1
    assert len(head.split("**Assumptions.**")[1].split()) >= 10


def test_figures_were_drawn_by_the_script_as_it_is():
    pytest.importorskip("matplotlib", reason="the figures are drawn with matplotlib (extra `examples`)")
    draw = load(DERIVATIONS / "figures" / "draw.py")
    names = {f"{f.__name__}.svg" for f in draw.FIGURES}
    assert {f.name for f in (DERIVATIONS / "figures").glob("*.svg")} == names
    for name in names:
        text = (DERIVATIONS / "figures" / name).read_text(encoding="utf-8")
        assert f"draw.py {draw.digest()}" in text, f"{name}: run python derivations/figures/draw.py"
    used = "".join(p.read_text(encoding="utf-8") for p in PAGES)
    assert [n for n in names if f"(figures/{n})" not in used] == []


def test_ranges_and_names_are_read():
    assert update.labels("EC-4.1 to EC-4.3, EC-5, (EC-3.4).") == ["EC-4.1", "EC-4.3", "EC-5", "EC-3.4", "EC-4.2"]
    assert equations.LABEL_IN_NAME.findall("test_ec_3_5_and_ec_10_1_hold") == [("3", "5"), ("10", "1")]


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    equations.add_arguments(parser.add_subparsers())
    options = parser.parse_args(["equations", *arguments])
    return options.run(options)


def squeezed(text: str) -> str:
    """Without white space: long lines are folded."""
    return "".join(text.split())


def test_the_command_prints_every_equation(capsys):
    assert command() == 0
    printed = capsys.readouterr().out
    missing = [e["label"] for e in ENTRIES if squeezed(e["statement"]) not in squeezed(printed)]
    missing += [e["label"] for e in ENTRIES if f"{e['label']}  {e['name']} ({e['kind']})\n" not in printed]
    assert [*missing, *(label for label in LABELS if f"  {label} " not in printed)] == []
    assert sorted({e["page"] for e in ENTRIES if Path(e["page"]).name not in printed}) == []


@pytest.mark.parametrize("label", ["EC-3.5", "ec-3.5", "3.5"])
def test_the_command_prints_one_equation_with_its_places(capsys, label):
    assert command(label) == 0
    entry = ENTRIES[LABELS.index("EC-3.5")]
    printed = capsys.readouterr().out
    places = [entry["page"], *entry["implemented"], *entry["tested"]]
    wanted = (f"importance ({entry['kind']})", entry["statement"], *places, *entry["latex"].splitlines())
    assert [text for text in wanted if squeezed(text) not in squeezed(printed)] == []


def test_the_command_prints_one_page(capsys):
    assert command("EC-6") == 0
    printed = capsys.readouterr().out
    shown = [label for label in LABELS if f"  {label} " in printed]
    assert shown == [label for label in LABELS if label.startswith("EC-6.")]


@pytest.mark.parametrize("label", ["EC-3.99", "EC-0", "parabola", ""])
def test_an_unknown_label_is_an_error_that_names_the_range(label):
    with pytest.raises(ValueError, match=r"^label: expected EC-n or EC-n.m from EC-1.1 to EC-14.7, got "):
        command(label)
