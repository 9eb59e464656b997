#!/usr/bin/env python3
"""TOML and protobuf's text format against outside readers.

    doc_witness.py DOC_DUMP toml|prototxt [SEED COUNT]

toml: random documents, whole and damaged, against tomllib (Python 3.11): both refuse, or both read the same. What our reader leaves out
on purpose (dates, infinities, NaN, zero characters, integers beyond 64 bits, more than 64 levels, empty files) is passed over.
prototxt: random messages, written by google.protobuf.text_format and by a writer of all other spellings, against what they were made of.
Exit code 77 (meson: skipped) when the outside reader is missing."""
import json
import math
import os
import random
import subprocess
import sys
import tempfile


def ours(dump, texts, suffix):
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for i, text in enumerate(texts):
            names.append(os.path.join(folder, "%d.%s" % (i, suffix)))
            with open(names[-1], "wb") as f:
                f.write(text)
        out = subprocess.run([dump, *names], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8").split("\n")
    return [None if line.startswith("! ") else json.loads(line) for line in out[:len(texts)]], out


def plain(v):
    if isinstance(v, bool) or isinstance(v, int) or isinstance(v, str):
        return v
    if isinstance(v, float):
        return "float:%s" % v.hex()
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    raise Skip("a value that we leave out")


def same(a, b):
    if isinstance(a, str) and isinstance(b, str) and a.startswith("float:") and b.startswith("float:"):
        return float.fromhex(a[6:]) == float.fromhex(b[6:])
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(sorted(a)) == list(sorted(b)) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


class Skip(Exception):
    pass


# ---- TOML ----

class Toml:
    def __init__(self, rng):
        self.r = rng

    def pick(self, *words):
        return self.r.choice(words)

    def key(self):
        bare = self.pick("a", "b", "c", "quant", "x-y", "3", "a_b", "-", "layer_configs")
        return self.pick(bare, bare, bare, '"%s"' % bare, "'%s'" % bare, '"c d"', '"\\u00e9"', "'\"'", '""')

    def dotted(self):
        return self.pick(".", " . ", "\t.").join(self.key() for _ in range(self.pick(1, 1, 1, 2, 3)))

    def digits(self, alphabet):
        text = "".join(self.r.choice(alphabet) for _ in range(self.pick(1, 2, 4, 7)))
        if len(text) > 2 and self.r.random() < 0.4:
            at = self.r.randrange(0, len(text) + 1)
            text = text[:at] + self.pick("_", "_", "__", "e", "x") + text[at:]
        return text

    def number(self):
        whole = self.pick("0", "7", str(self.r.randrange(1, 10 ** 6)), self.digits("0123456789"), "9223372036854775807")
        sign = self.pick("", "", "-", "+", "--")
        radix = self.pick("0x", "0o", "0b", "0X", "0x0x", "0x+")
        return self.pick(
            sign + whole, sign + whole, sign + whole + "." + self.digits("0123456789"),
            sign + whole + self.pick("e", "E") + self.pick("", "+", "-") + self.digits("012"),
            sign + whole + "." + self.digits("059") + "e" + self.digits("01"),
            self.pick("", "", "", "-") + radix + self.digits("0123456789abcdefABCDEF" if radix == "0x" else "01"),
            "." + whole, whole + ".", "1._5", "0xffe_000", "0xe_1", "0b1_0", "0o7_7", "0x_1", "0x1_", "true", "false", "yes")

    def string(self):
        body = self.pick("", "x", "a b", "\u00e9\U0001f600", "#", "[", "=", "it", "tab\there")
        escaped = body + self.pick("", "\\n", "\\\\", "\\\"", "\\u0041", "\\U0001F600", self.pick("", "", "\\q", "\\u12", "\\ud800", "\x01", "\\x41"))
        quotes = self.pick("", '"', '""')
        return self.pick('"%s"' % escaped, "'%s'" % body, '"""%s\n %s"""' % (escaped, body), "'''\n%s'%s'''" % (body, body),
                         '"""a\\\n   \n  b%s"""' % quotes, '"""\\  \n x"""', "'%s" % body, '"""x\r\ny"""', "'''x\r\n'''")

    def value(self, depth=0):
        kind = self.r.random()
        if depth > 3 or kind < 0.45:
            return self.number()
        if kind < 0.7:
            return self.string()
        if kind < 0.87:
            gap = self.pick("", " ", "\n  ", " # c\n")
            items = [gap + self.value(depth + 1) for _ in range(self.r.randrange(0, 4))]
            return "[" + ("," + self.pick("", gap)).join(items) + self.pick("", "", ",", ",,") + gap + "]"
        pairs = ["%s%s=%s%s" % (self.dotted(), self.pick("", " "), self.pick("", " "), self.value(depth + 1)) for _ in range(self.r.randrange(0, 3))]
        return "{" + self.pick("", " ") + self.pick(",", ", ").join(pairs) + self.pick("", "", "", ",", "\n") + "}"

    def document(self):
        lines = []
        for _ in range(self.r.randrange(1, 7)):
            kind = self.r.random()
            end = self.pick("", "", "", " # c", " #\t\u00e9", self.pick("", "", "", "#\x02")) + self.pick("\n", "\n", "\n", "\r\n", "\n\n", self.pick("\n", "\n", "\n", "\r"))
            if kind < 0.2:
                lines.append("[%s%s%s]%s" % (self.pick("", " "), self.dotted(), self.pick("", " "), end))
            elif kind < 0.32:
                lines.append("[[%s]]%s" % (self.dotted(), end))
            elif kind < 0.36:
                lines.append(self.pick("# only", "\ufeff", "  ") + end)
            else:
                lines.append("%s%s=%s%s%s" % (self.dotted(), self.pick("", " "), self.pick("", " "), self.value(), end))
        text = "".join(lines)
        if self.r.random() < 0.15:
            at = self.r.randrange(0, len(text) + 1)
            text = text[:at] + self.pick("", "=", "]", "[", "'", '"', "\n", "_", "\u00e9") + text[at + self.pick(0, 1):]
        data = text.encode("utf-8", "surrogatepass")
        if self.r.random() < 0.03:
            data += b"\xff"
        return data


def toml_reading(text):
    import tomllib
    source = text.decode("utf-8")
    if source.startswith("\ufeff"):
        source = source[1:]  # Python's decoder leaves it, ours takes it as an editor wrote it
    return plain(tomllib.loads(source))


def left_out(v):
    if isinstance(v, dict):
        return any("\0" in k or left_out(x) for k, x in v.items())
    if isinstance(v, list):
        return any(map(left_out, v))
    if isinstance(v, str):
        return "\0" in v or v in ("float:inf", "float:-inf", "float:nan")
    return isinstance(v, int) and not isinstance(v, bool) and not -2 ** 63 <= v < 2 ** 63


def toml(dump, rng, count):
    try:
        import tomllib  # noqa: F401
    except ImportError:
        print("SKIP: tomllib needs Python 3.11")
        sys.exit(77)
    g = Toml(rng)
    texts = [g.document() for _ in range(count)]
    found, lines = ours(dump, texts, "toml")
    bad = read = 0
    for text, mine, line in zip(texts, found, lines):
        try:
            wanted = toml_reading(text)
        except Skip:
            continue
        except (ValueError, UnicodeDecodeError, RecursionError):
            wanted = None
        if not text or (wanted is not None and left_out(wanted)):
            continue
        read += wanted is not None
        if (wanted is None) != (mine is None) or (wanted is not None and not same(wanted, mine)):
            bad += 1
            if bad <= 10:
                print("FAIL %r\n  tomllib %r\n  ours    %s" % (text.decode("utf-8", "replace"), wanted, line))
    print("%d documents, %d of them TOML, %d read otherwise" % (count, read, bad))
    return bad == 0 and read > count // 20


# ---- protobuf's text format ----

def make_type():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    f = descriptor_pb2.FileDescriptorProto(name="witness.proto", package="w", syntax="proto2")
    e = f.enum_type.add(name="Kind")
    for i, n in enumerate(("ZERO", "ONE", "two_2")):
        e.value.add(name=n, number=i)
    m = f.message_type.add(name="M")
    kinds = descriptor_pb2.FieldDescriptorProto
    for i, (n, t) in enumerate((("i", kinds.TYPE_INT64), ("d", kinds.TYPE_DOUBLE), ("s", kinds.TYPE_STRING), ("b", kinds.TYPE_BOOL),
                                ("e", kinds.TYPE_ENUM), ("m", kinds.TYPE_MESSAGE))):
        field = m.field.add(name=n, number=i + 1, type=t, label=kinds.LABEL_REPEATED)
        if t in (kinds.TYPE_ENUM, kinds.TYPE_MESSAGE):
            field.type_name = ".w.Kind" if t == kinds.TYPE_ENUM else ".w.M"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(f) if hasattr(pool, "Add") else pool.AddSerializedFile(f.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("w.M"))


def fill(r, m, depth=0):
    for _ in range(r.randrange(0, 3)):
        m.i.append(r.choice((0, 1, -1, 2 ** 63 - 1, -2 ** 63, r.randrange(-10 ** 9, 10 ** 9))))
    for _ in range(r.randrange(0, 3)):
        m.d.append(r.choice((0.5, -1e-300, 1e300, 3.0, r.random(), -r.random() * 1e9)))
    for _ in range(r.randrange(0, 3)):
        m.s.append(r.choice(("", "x", "a\"b'c\\", "\n\t\r", "\u00e9\U0001f600", "\x07\x7f", "a: 1 # no comment {")))
    for _ in range(r.randrange(0, 3)):
        m.b.append(r.random() < 0.5)
    for _ in range(r.randrange(0, 2)):
        m.e.append(r.randrange(0, 3))
    for _ in range(r.randrange(0, 3) if depth < 3 else 0):
        fill(r, m.m.add(), depth + 1)


def spell(r, m):
    """The same message in other words, which text_format reads but does not write."""
    out = []

    def gap():
        return r.choice((" ", "\n", "  # c\n", "\t"))

    def number(v):
        if isinstance(v, int):
            sign, size = ("-", -v) if v < 0 else ("", v)
            return sign + r.choice((str(size), hex(size), "0%o" % size if size else "0"))
        return r.choice((repr(v), "%.17g" % v, "%.17gf" % v if "." in "%.17g" % v else "%.17g" % v))

    def string(v):
        parts = [v[:len(v) // 2], v[len(v) // 2:]] if r.random() < 0.4 else [v]
        words = []
        for p in parts:
            quote = r.choice("\"'")
            body = "".join({"\n": "\\n", "\\": "\\\\", "\r": "\\r", "\t": r.choice(("\\t", "\\011", "\\x9 "[:3])), "\x07": "\\a", "\x7f": "\\177"}
                           .get(c, "\\" + c if c == quote else c) for c in p)
            words.append(quote + body + quote)
        return gap().join(words)

    for name in "idsbem":
        values = list(getattr(m, name))
        words = [number(v) if name in "id" else string(v) if name == "s" else r.choice(("true", "True", "t", "1") if v else ("false", "False", "f", "0"))
                 if name == "b" else ("ZERO", "ONE", "two_2")[v] if name == "e" else None for v in values]
        if name == "m":
            for v in values:
                brackets = r.choice(("{}", "<>"))
                out.append("m%s%s%s%s" % (r.choice(("", ":", " ", " : ")), brackets[0], spell(r, v), brackets[1]))
        elif words and r.random() < 0.4:
            out.append("%s:%s[%s]" % (name, r.choice(("", " ")), r.choice((",", ", ", " ,")).join(words)))
        else:
            out += ["%s:%s%s" % (name, r.choice(("", " ", "\n")), w) for w in words]
    return gap() + "".join(w + r.choice((" ", "\n", "; ", ", ")) for w in out)


def tree(m):
    out = {}
    for name in "idsbem":
        values = list(getattr(m, name))
        if values:
            words = [("ZERO", "ONE", "two_2")[v] for v in values] if name == "e" else [tree(v) for v in values] if name == "m" else values
            out[name] = plain(words)
    return out


def agrees(wanted, found):
    """Without a schema a list of one is a value, true may be a word or 1, and a float may be whole."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and sorted(wanted) == sorted(found) and all(agrees(wanted[k], found[k]) for k in wanted)
    if isinstance(wanted, list):
        found = found if isinstance(found, list) else [found]
        return len(found) == len(wanted) and all(map(agrees, wanted, found))
    if isinstance(wanted, bool):
        return found in (("true", "True", "t", 1, True) if wanted else ("false", "False", "f", 0, False))
    if isinstance(wanted, str) and wanted.startswith("float:"):
        value = float.fromhex(wanted[6:])
        number = float.fromhex(found[6:]) if isinstance(found, str) and found.startswith("float:") else found
        return isinstance(number, (int, float)) and math.isclose(number, value, rel_tol=1e-15)
    return wanted == found and type(wanted) is type(found)


def prototxt(dump, rng, count):
    try:
        from google.protobuf import text_format
        kind = make_type()
    except ImportError as e:
        print("SKIP: outside witness missing:", e)
        sys.exit(77)
    messages, texts = [], []
    for _ in range(count):
        m = kind()
        fill(rng, m)
        text = rng.choice((lambda: text_format.MessageToString(m), lambda: text_format.MessageToString(m, as_one_line=True),
                           lambda: text_format.MessageToString(m, as_utf8=True, use_short_repeated_primitives=True), lambda: spell(rng, m)))()
        back = kind()
        text_format.Parse(text, back)  # the witness reads it as what it was made of
        assert back == m, text
        if text.strip():
            messages.append(m)
            texts.append(text.encode("utf-8"))
    found, lines = ours(dump, texts, "prototxt")
    bad = 0
    for text, m, mine, line in zip(texts, messages, found, lines):
        if mine is None or not agrees(tree(m), mine):
            bad += 1
            if bad <= 10:
                print("FAIL %s\n  made of %r\n  ours    %s" % (text.decode("utf-8"), tree(m), line))
    print("%d messages, %d read otherwise" % (len(texts), bad))
    return bad == 0


rng_seed, documents = (int(v) for v in sys.argv[3:5]) if len(sys.argv) > 4 else (1, 3000)
good = (toml if sys.argv[2] == "toml" else prototxt)(sys.argv[1], random.Random(rng_seed), documents)
sys.exit(0 if good else 1)
