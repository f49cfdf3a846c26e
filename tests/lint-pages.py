#!/usr/bin/env python3
"""
The templates and the French of the page.  A value stands in text or in a quoted attribute, never in a tag, a script, a
style or a comment; no script and no style is inline; a link stays on the page's own site.  Each sentence of the
templates and of daemon/web/*.c has its French, with the same values, and no French has lost its sentence.  French has
unbreakable spaces before : ; ? ! and inside its quotes.
"""

import gettext
import io
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
WEB = TOP / "daemon" / "web"
TAG = re.compile(r"\{\{(.*?)\}\}", re.S)
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
PLACE = re.compile(r"\{([a-z0-9_]+)(?:\|[a-z]+)?\}")
OWN = re.compile(r'(\{\{prefix\}\}|[?#]|\{\{(css|js)\}\}")')  # how a link of the page begins
LINKS = ("href", "src", "action", "formaction", "data-stream")
failed = False


def complain(*words):
    global failed
    failed = True
    print("lint:", *words, file=sys.stderr)


class Html:
    """Where a piece of HTML is: text, tag (between attributes), quoted (in a value), comment."""

    def __init__(self, place, quotes):
        self.place, self.quotes = place, quotes  # the quotes that an attribute may have
        self.state, self.attribute, self.value, self.tag = "text", "", "", ""

    def feed(self, html):
        while html:
            html = getattr(self, self.state)(html)

    def text(self, html):
        before, found, after = html.partition("<")
        if self.tag == "script" and before.strip():
            complain(self.place, "an inline script:", before.strip()[:60])
        if not found:
            return ""
        if after.startswith("!--"):
            self.state = "comment"
            return after[3:]
        name = re.match(r"/?[a-z0-9!]*", after)[0]
        if name == "style" or name.startswith("!") and name != "!doctype":
            complain(self.place, f"<{name}")
        self.tag, self.state = name, "within"
        return after[len(name):]

    def comment(self, html):
        _, found, after = html.partition("-->")
        self.state = "text" if found else "comment"
        return after

    def within(self, html):
        html = html.lstrip()
        if not html:
            return ""
        if html[0] == ">":
            self.state = "text"
            return html[1:]
        found = re.match(r"([a-z-]+)(=?)", html)
        if not found:
            complain(self.place, "not an attribute:", html[:40])
            return html[1:]
        name = found[1]
        if name == "style" or name.startswith("on"):
            complain(self.place, "an inline script or style:", name)
        html = html[found.end():]
        if found[2]:
            if html[:1] not in self.quotes or not html:
                complain(self.place, "a value that is not quoted by", self.quotes, "in", name)
                return re.sub(r"^[^ >]*", "", html)
            self.attribute, self.value, self.quote, self.state = name, "", html[0], "quoted"
            return html[1:]
        return html

    def quoted(self, html):
        before, found, after = html.partition(self.quote)
        self.value += before
        if found:
            self.state = "within"
            if self.attribute in LINKS and not OWN.match(self.value + '"'):
                complain(self.place, f"{self.attribute} leaves the site:", self.value[:60])
        return after

    def put(self, what):
        """A value or a sentence comes here."""
        if self.state == "quoted":
            self.value += what
        elif self.state != "text" or self.tag in ("script", "style"):
            complain(self.place, what, "stands in a tag or a script")


def check_sentence(place, sentence, in_attribute):
    if in_attribute:
        if re.search(r'[<>"]', sentence):
            complain(place, "HTML in an attribute:", sentence)
        return
    html = Html(f"{place} {sentence!r}", "'")
    end = 0
    for found in PLACE.finditer(sentence):
        html.feed(sentence[end:found.start()])
        html.put("{{" + found[1] + "}}")  # so that OWN knows {prefix}
        end = found.end()
    html.feed(sentence[end:])
    if html.state != "text":
        complain(place, "a tag that does not end:", sentence)


def places(sentence):
    return set(PLACE.findall(sentence))


sentences = {}  # English: (where, in an attribute); of a plural the key is both forms


def add(place, forms, in_attribute):
    old = sentences.get(forms, (place, False))
    sentences[forms] = (old[0], old[1] or in_attribute)
    for form in forms:
        check_sentence(place, form, in_attribute)


def read_template(path):
    text = path.read_text()
    html, sections, end = Html(path.name, '"'), [], 0
    for found in TAG.finditer(text):
        html.place = f"{path.name}:{text.count(chr(10), 0, found.start()) + 1}:"
        html.feed(text[end:found.start()])
        end = found.end()
        tag = found[1]
        if tag[0] in "#?^":
            sections.append((tag[1:], html.state, html.tag))
        elif tag[0] == "/":
            name, state, _ = sections.pop() if sections else ("", "", "")
            if (name, state) != (tag[1:], html.state):
                complain(html.place, "the section", tag[1:], "begins and ends at different places")
        elif tag[0] == ">":
            if html.state != "text":
                complain(html.place, "a template within a tag")
        elif tag[0] == "_":
            html.put(found[0])
            forms = tuple(form.replace('\\"', '"') for form in QUOTED.findall(tag))
            add(html.place, forms, html.state == "quoted")
        else:
            html.put(found[0])
    html.feed(text[end:])
    if html.state != "text":
        complain(path.name, "ends within a tag")


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


for template in sorted((WEB / "pages").glob("*.html")):
    read_template(template)


def catalogue(*paths):
    """English: its French; of a plural the list of both forms."""
    merged = subprocess.run(["msgcat", "--use-first", *paths], stdout=subprocess.PIPE, check=True).stdout
    compiled = subprocess.run(["msgfmt", "-o", "-", "-"], input=merged, stdout=subprocess.PIPE, check=True).stdout
    texts = {}
    for key, text in gettext.GNUTranslations(io.BytesIO(compiled))._catalog.items():  # no public way to list it
        texts.setdefault(key[0] if isinstance(key, tuple) else key, []).append(text)
    texts.pop("", None)
    return texts


found = subprocess.run(["xgettext", "-k_", "-klanguage_plural:2,3", "--from-code=UTF-8", "--omit-header", "-o", "-",
                        *sorted(WEB.glob("*.c"))], stdout=subprocess.PIPE, check=True).stdout.decode()
string = r'((?:\s*"(?:[^"\\]|\\.)*")+)'
for one, many in re.findall(rf"^msgid{string}(?:\nmsgid_plural{string})?", found, re.M):
    add("daemon/web/*.c:", tuple(eval(f"({text})") for text in (one, many) if text), False)

own = catalogue(WEB / "fr.po")
both = catalogue(WEB / "fr.po", TOP / "daemon" / "po" / "fr.po")
for forms, (place, in_attribute) in sentences.items():
    french = both.get(forms[0])
    if not french or len(french) != len(forms):
        complain(place, "no French in daemon/web/fr.po for", quote(forms[0]))
        continue
    for text in french:
        check_sentence(f"{place} French:", text, in_attribute)
    if places(forms[-1]) != places(french[-1]):
        complain(place, "the French has other values than", quote(forms[-1]))
for english, french in own.items():
    if all(english != forms[0] for forms in sentences):
        complain("daemon/web/fr.po: no page says", quote(english))
    for text in french:
        plain = re.sub(r"<[^>]*>|&[a-z]+;|\{[^}]*\}", "x", text)
        if re.search(r" [:;?!»]|« |\u202f:|[^\W\d_][?!;](?=\s|$)|[^\W\d_]:(?=\s)", plain):
            complain("daemon/web/fr.po: a space that is missing or breaks:", quote(text))
        if re.search(r"\w'\w", plain):
            complain("daemon/web/fr.po: an apostrophe that is not ’:", quote(text))
sys.exit(failed)
