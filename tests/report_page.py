"""What a report's page is made of, without a browser. Usage: report_page.py PAGE [TEXT...]

Tags are balanced, ids unique and what refers to them finds them; nothing refers outside the page; the
Content-Security-Policy names the page's own script and style; headings skip no level; data are JSON.
Every TEXT stands in the page as text, not as markup.
"""
import base64
import hashlib
import html.parser
import json
import re
import sys

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.used, self.texts = [], [], [], []
        self.scripts, self.styles, self.data, self.policy = [], [], [], ""
        self.tags, self.headings = set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.headings += [int(tag[1])] if tag in ("h1", "h2", "h3", "h4") else []
        named = dict(attributes)
        assert len(named) == len(attributes), f"<{tag}> has an attribute twice"
        if "id" in named:
            self.ids.append(named["id"])
        for name, value in attributes:
            assert not name.startswith("on"), f"<{tag}> has a handler, {name}"
            assert name != "style", f"<{tag}> has a style of its own"
            if name in ("href", "xlink:href", "src"):
                assert value.startswith(("#", "data:image/png")), f"<{tag}> refers to {value[:60]}"
                self.used += [value[1:]] if value.startswith("#") else []
            if name in ("aria-labelledby", "data-copies"):
                self.used += value.split()
            self.used += re.findall(r"url\(#([^)]*)\)", value or "")
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if tag not in VOID:
            self.open.append((tag, named))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> ends {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        tag, named = self.open[-1] if self.open else ("", {})
        if tag == "script" and named.get("type") == "application/json":
            self.data.append(data)
        elif tag == "script":
            self.scripts.append(data)
        elif tag == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def main():
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    page.close()

    assert not page.open, f"not ended: {page.open}"
    assert len(set(page.ids)) == len(page.ids), "ids that are not unique"
    missing = set(page.used) - set(page.ids)
    assert not missing, f"nothing has the ids {sorted(missing)}"
    assert len(page.scripts) == 1 and len(page.styles) == 1, "one script and one style"
    rules = dict(rule.split(None, 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == "'none'", page.policy
    assert rules["script-src"] == digest(page.scripts[0]), "the script's digest"
    assert rules["style-src"] == digest(page.styles[0]), "the style's digest"
    assert not page.tags & {"iframe", "object", "embed", "form", "link", "base"}, page.tags
    steps = [b - a for a, b in zip(page.headings, page.headings[1:])]
    assert page.headings[0] == 1 and page.headings.count(1) == 1 and max(steps) == 1, page.headings
    assert page.data, "no figures"
    for data in page.data:
        table = json.loads(data)
        assert table["rows"] and all(len(row) == len(table["columns"]) for row in table["rows"])
    shown = "".join(page.texts)
    for wanted in sys.argv[2:]:
        assert wanted in shown, f"not in the page: {wanted}"


main()
