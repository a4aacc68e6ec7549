# SPDX-License-Identifier: MIT
"""Mutants of a C source: all the places where a small lie can be told, and the lies.

The text is cut into tokens, and the bodies of functions into statements; nothing is changed in
comments, strings, preprocessor lines, declarations of types, sizes of arrays, sizeof, and ASSERT()
(an assertion is a test itself). A mutant keeps the number of lines.

A mutant's id names its file, its function, its operator and a hash of the line's text, so that it
stays the same while other lines come and go."""
import dataclasses
import hashlib
import os
import re
from collections import defaultdict

TOKEN = re.compile(r"""
    (?P<blank>  ^[ \t]*\#(?: \\. | [^\n\\] )* | [ \t]+ | \s | /\*.*?\*/ | //[^\n]* )
  | (?P<string> (?:u8|[uUL])?" (?:\\.|[^"\\])* " | [uUL]?' (?:\\.|[^'\\])* ' )
  | (?P<name>   [A-Za-z_]\w* )
  | (?P<number> \.?\d (?: [eEpP][+-] | [\w.] )* )
  | (?P<mark>   \.\.\. | <<= | >>= | -> | \+\+ | -- | << | >> | <= | >= | == | != | && | \|\|
              | [-+*/%&^|]= | \#\# | . )
""", re.M | re.S | re.X)

OPEN = {"(": ")", "[": "]", "{": "}"}
TYPE_WORDS = frozenset("""static const volatile register extern inline struct enum union unsigned
    signed char short int long float double bool void size_t ssize_t AUTO""".split())
UNTOUCHED = frozenset(("ASSERT", "sizeof", "offsetof", "static_assert", "_Static_assert"))

COMPARISONS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
               "==": ("!=",), "!=": ("==",)}
LOGIC = {"&&": ("||",), "||": ("&&",)}
ARITHMETIC = {"++": ("--",), "--": ("++",), "+=": ("-=",), "-=": ("+=",)}
BITS = {"|=": ("&=",), "&=": ("|=",)}
OF_TWO = {"+": ("arith", "-"), "-": ("arith", "+"), "&": ("bits", "|"), "|": ("bits", "&")}
WORDS = {"true": ("bool", "false"), "false": ("bool", "true"),
         "MIN": ("cmp", "MAX"), "MAX": ("cmp", "MIN")}
# What ends the condition before a `?`, going left.
BEFORE_CONDITION = frozenset("( [ { , ; : ? = += -= *= /= |= &= return".split())


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int


@dataclasses.dataclass
class Mutant:
    path: str       # of the file, in the tree
    function: str
    operator: str
    line: int       # just now
    edits: list     # [(start, end, text)], in their order
    id: str = ""

    def apply(self, text):
        for start, end, new in reversed(self.edits):
            text = text[:start] + new + text[end:]
        return text

    def diff(self, text):
        """What it changes, as lines that begin with - and +."""
        end = text.count("\n", 0, self.edits[-1][1]) + 1
        old = text.splitlines()[self.line - 1:end]
        new = self.apply(text).splitlines()[self.line - 1:end]
        return (["-" + line.expandtabs() for line in old] +
                ["+" + line.expandtabs() for line in new if line.strip()])


class Refused(Exception):
    """The text is not as expected; nothing can be said of its mutants."""


def tokens_of(text):
    """The tokens of a text, without blanks, comments and preprocessor lines."""
    tokens, at = [], 0
    while at < len(text):
        found = TOKEN.match(text, at)
        at = found.end()
        if found.lastgroup != "blank":
            tokens.append(Token(found.lastgroup, found.group(), found.start(), found.end()))
    return tokens


class Source:
    """A file, cut into functions and tables."""

    def __init__(self, path, text, families):
        self.path, self.text, self.families = path, text, families
        self.tokens = tokens_of(text)
        self.pairs = self.match()
        self.mutants = []
        self.seen = defaultdict(int)

    def is_(self, i, *texts):
        return i < len(self.tokens) and self.tokens[i].text in texts

    def kind(self, i):
        return self.tokens[i].kind if i < len(self.tokens) else ""

    def match(self):
        pairs, stack = {}, []
        for i, token in enumerate(self.tokens):
            if token.kind != "mark":
                continue
            if token.text in OPEN:
                stack.append(i)
            elif token.text in OPEN.values():
                if not stack or OPEN[self.tokens[stack[-1]].text] != token.text:
                    raise Refused("%s: brackets do not match" % self.path)
                pairs[stack[-1]] = i
                pairs[i] = stack.pop()
        return pairs

    # --- adding ---

    def add(self, function, operator, first, edits):
        """`first`: the token by whose line the mutant is known."""
        start = self.tokens[first].start
        number = self.text.count("\n", 0, start)
        begin = self.text.rfind("\n", 0, start) + 1
        line = " ".join(self.text.splitlines()[number].split())
        before = " ".join(self.text[begin:start].split())
        what = "\0".join([self.path, function, operator, line, before, edits[-1][2], edits[0][2]])
        count = self.seen[what]
        self.seen[what] += 1
        digest = hashlib.sha256(("%s\0%d" % (what, count)).encode()).hexdigest()[:8]
        self.mutants.append(Mutant(self.path, function, operator, number + 1, edits,
                                   "%s:%s:%s-%s" % (os.path.basename(self.path), function,
                                                    operator, digest)))

    def swap(self, function, operator, i, text):
        t = self.tokens[i]
        self.add(function, operator, i, [(t.start, t.end, text)])

    def wrap(self, function, operator, first, last, before, after):
        start, end = self.tokens[first].start, self.tokens[last].end
        self.add(function, operator, first, [(start, start, before), (end, end, after)])

    def replace(self, function, operator, first, last, text):
        start, end = self.tokens[first].start, self.tokens[last].end
        text += "\n" * self.text.count("\n", start, end)
        self.add(function, operator, first, [(start, end, text)])

    # --- the file ---

    def find(self):
        """All mutants of the file, in the order of its text."""
        i = begin = 0
        while i < len(self.tokens):
            if self.is_(i, ";"):
                begin = i + 1
            if not self.is_(i, "{"):
                i += 1
                continue
            end = self.pairs[i]
            if self.is_(i - 1, ")"):
                name = self.pairs[i - 1] - 1
                Function(self, self.tokens[name].text,
                         [t.text for t in self.tokens[begin:name]]).block(i)
                begin = end + 1
            elif self.is_(i - 1, "="):
                name = i - 2
                while self.is_(name, "]"):
                    name = self.pairs[name] - 1
                for k in range(i + 1, end):
                    self.word(self.tokens[name].text, k)
            i = end + 1
        self.mutants.sort(key=lambda m: (m.edits[0][0], m.operator))
        return self.mutants

    # --- operators on one token ---

    def word(self, function, i):
        """Constants, states, truth."""
        token = self.tokens[i]
        if token.kind == "number":
            self.number(function, i)
        elif token.kind != "name" or self.is_(i - 1, ".", "->"):
            return
        elif token.text in WORDS:
            self.swap(function, WORDS[token.text][0], i, WORDS[token.text][1])
        elif token.text in self.families:
            for other in self.families[token.text]:
                self.swap(function, "state", i, other)

    def number(self, function, i):
        text = self.tokens[i].text
        if re.match(r"[01][uUlL]*$", text):
            self.swap(function, "const", i, "1" if text[0] == "0" else "0")
        else:
            self.swap(function, "const", i, "(%s + 1)" % text)

    def mark(self, function, i):
        """Comparisons, logic, arithmetic."""
        text = self.tokens[i].text
        for operator, table in (("cmp", COMPARISONS), ("logic", LOGIC), ("arith", ARITHMETIC),
                                ("bits", BITS)):
            for other in table.get(text, ()):
                self.swap(function, operator, i, other)
        if text in OF_TWO and self.is_value_end(i - 1):
            self.swap(function, OF_TWO[text][0], i, OF_TWO[text][1])
        elif text == "!":
            self.swap(function, "not", i, "")
        elif text == "?":
            self.choice(function, i)

    def is_value_end(self, i):
        """Does a value end here, so that what follows is an operator of two?"""
        token = self.tokens[i]
        if token.text == ")":  # of a cast, or of a value: a cast names a type
            inner = self.tokens[self.pairs[i] + 1:i]
            return not all(t.text == "*" or t.kind == "name" and
                           (t.text in TYPE_WORDS or re.match(r"\w+_t$|[A-Z]\w*[a-z]", t.text))
                           for t in inner) or self.kind(self.pairs[i] - 1) == "name"
        return token.text == "]" or (token.kind in ("name", "number") and
                                     token.text not in ("return", "case", "else"))

    def choice(self, function, i):
        first = i
        while not self.is_(first - 1, *BEFORE_CONDITION):
            first -= 1
            if self.is_(first, ")", "]"):
                first = self.pairs[first]
        self.negate(function, first, i - 1)

    def negate(self, function, first, last):
        """A condition; one that is a comparison, or begins with `!`, is negated by other means."""
        i, plain = first, True
        simple = self.is_(first, "!")
        while i <= last:
            if self.is_(i, "(", "[", "{"):
                i = self.pairs[i]
            elif self.is_(i, *LOGIC, "?"):
                plain = False
            elif self.is_(i, *COMPARISONS):
                simple = True
            i += 1
        if not (plain and simple):
            self.wrap(function, "cond", first, last, "!(", ")")


class Function:
    """A function's body, cut into statements; its mutants go to the source."""

    def __init__(self, source, name, before):
        self.s, self.name = source, name
        self.returns = ("NULL" if "*" in before else "bool" if "bool" in before else
                        None if "void" in before else "0")

    def block(self, i):
        end = self.s.pairs[i]
        i += 1
        while i < end:
            i = self.statement(i)

    def statement(self, i):
        """Looks at the statement that begins at i; returns where the next one does."""
        s, word = self.s, self.s.tokens[i].text
        if word == "{":
            self.block(i)
            return s.pairs[i] + 1
        if word in ("if", "while", "switch"):
            return self.conditional(i)
        if word == "for":
            return self.loop(i)
        if word == "do":
            i = self.statement(i + 1)
            s.negate(self.name, i + 2, s.pairs[i + 1] - 1)
            return self.expression(i + 1, self.end_of(i)) + 1
        if word in ("case", "default"):
            return self.expression(i + 1, self.find(i, ":")) + 1
        if word in ("return", "break", "continue", "goto"):
            return self.leave(i)
        if self.is_declaration(i):
            return self.declaration(i)
        if s.kind(i) == "name" and s.is_(i + 1, ":"):
            return i + 2
        if s.kind(i) == "name" and s.is_(i + 1, "(") and s.pairs[i + 1] + 1 < len(s.tokens):
            after = s.pairs[i + 1] + 1
            if s.is_(after, "{") or s.kind(after) == "name":  # LIST_FOREACH(…) and such
                self.expression(i + 1, after)
                return self.statement(after)
        return self.plain(i)

    def plain(self, i):
        end = self.end_of(i)
        if end > i and not self.s.is_(i, *UNTOUCHED):
            self.s.replace(self.name, "drop", i, end, ";")
        return self.expression(i, end) + 1

    def find(self, i, text):
        """The next token of this text that stands in no bracket."""
        while not self.s.is_(i, text):
            i = self.s.pairs[i] if self.s.is_(i, *OPEN) else i
            i += 1
            if i >= len(self.s.tokens):
                raise Refused("%s: %s(): no %s" % (self.s.path, self.name, text))
        return i

    def end_of(self, i):
        return self.find(i, ";")

    def conditional(self, i):
        s, close = self.s, self.s.pairs[i + 1]
        if not s.is_(i, "switch"):
            s.negate(self.name, i + 2, close - 1)
        self.expression(i + 2, close)
        after = self.statement(close + 1)
        return self.statement(after + 1) if s.is_(i, "if") and s.is_(after, "else") else after

    def loop(self, i):
        close = self.s.pairs[i + 1]
        first = self.end_of(i + 2)
        second = self.end_of(first + 1)
        if self.is_declaration(i + 2):
            self.declaration(i + 2)
        else:
            self.expression(i + 2, first)
        if second > first + 1:
            self.s.negate(self.name, first + 1, second - 1)
        self.expression(first + 1, second)
        self.expression(second + 1, close)
        return self.statement(close + 1)

    def leave(self, i):
        s, end = self.s, self.end_of(i)
        if not s.is_(i, "return") or end == i + 1:
            s.replace(self.name, "drop", i, end, ";")
            return end + 1
        if self.returns == "bool":
            if not s.is_(i + 1, "true", "false"):
                s.negate(self.name, i + 1, end - 1)
        elif self.returns and not s.is_(i + 1, "NULL", "0", "1") and \
                s.tokens[i + 1].text not in s.families and \
                not (s.is_(i + 1, "(") and s.is_(s.pairs[i + 1] + 1, "{")):  # a struct
            s.replace(self.name, "return", i + 1, end - 1, self.returns)
        return self.expression(i + 1, end) + 1

    def is_declaration(self, i):
        s = self.s
        if s.kind(i) != "name":
            return False
        if s.tokens[i].text in TYPE_WORDS or s.kind(i + 1) == "name":
            return True
        k = i + 1
        while s.is_(k, "*", "const"):
            k += 1
        return k > i + 1 and s.kind(k) == "name" and s.is_(k + 1, "=", ";", ",", "[")

    def declaration(self, i):
        """Only what initialises is code."""
        s, end, value = self.s, self.end_of(i), False
        while i < end:
            if s.is_(i, "="):
                value = True
            elif s.is_(i, ","):
                value = False
            close = s.pairs[i] if s.is_(i, *OPEN) else i
            if value:
                self.expression(i, close + 1)
            i = close + 1
        return end + 1

    def expression(self, i, end):
        """Mutants of the tokens from i up to end; returns end."""
        s = self.s
        while i < end:
            if s.is_(i, *UNTOUCHED) and s.is_(i + 1, "("):
                i = s.pairs[i + 1]
            elif s.kind(i) == "mark":
                s.mark(self.name, i)
            else:
                s.word(self.name, i)
            i += 1
        return end


def families_of(preprocessed, folder):
    """{enumerator: [its neighbours]} of the enums that the headers of a folder define, by what the
    preprocessor (with line markers) made of them."""
    ours, text = False, []
    for line in preprocessed.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            ours = (os.path.dirname(marker.group(1)) + "/").endswith("/" + folder + "/") or \
                os.path.dirname(marker.group(1)) == folder
        elif ours:
            text.append(line)
    families = {}
    for body in re.findall(r"\benum\b\s*\w*\s*\{([^}]*)\}", "\n".join(text)):
        names = re.findall(r"(?:^|,)\s*([A-Z][A-Z0-9_]*)", body)
        names = [name for name in names if not re.search(r"_N_|_MAX$", name)]
        if len(names) < 2 or len({name.split("_")[0] for name in names}) > 1:
            continue
        for i, name in enumerate(names):
            around = [names[(i + 1) % len(names)], names[i - 1]]
            families[name] = list(dict.fromkeys(around))
    return families
