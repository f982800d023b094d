#!/usr/bin/env python3
"""Checks that the key tables of docs/protocol-bodies.md say what protocol/describe.h does.

Each table stands under a heading "#### Name", with | key | field | type | default | limit |.
Usage: protocol_tables.py SOURCE_FOLDER [--print]   (--print: the tables as they should be)
"""
import pathlib
import re
import sys

TYPES = {
    "uint8_t": "uint8", "uint16_t": "uint16", "uint32_t": "uint32", "uint64_t": "uint64",
    "int32_t": "int32", "bool": "bool", "double": "float64", "std::string": "text",
    "Millis": "ms", "Micros": "µs", "WallTime": "time", "SpecRef": "JobSpec",
    "WorkerFactsRef": "WorkerFacts", "JobId": "id", "WorkerId": "id", "BootId": "id",
    "StoreId": "id", "Nonce": "id", "State": "InHand.State", "What": "Query.What",
    "Op": "Control.Op", "Verdict": "FinalAck.Verdict", "Reason": "Abort.Reason",
    "Mode": "Target.Mode", "std::pair<std::string,std::string>": "pair",
}


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


def structs(text):
    """{struct: {member: type}}, nested structs as Outer::Inner."""
    found = {}
    stack = []
    # An enum may be several lines long, and its end looks like a struct's.
    text = re.sub(r"enum class \w+[^{;]*\{[^}]*\};", "", without_comments(text))
    for line in text.splitlines():
        opened = re.match(r"\s*struct (\w+) \{", line)
        if opened:
            stack.append(opened.group(1))
            found["::".join(stack)] = {}
            if line.rstrip().endswith("};"):
                stack.pop()
            continue
        if re.match(r"\s*\};", line) and stack:
            stack.pop()
            continue
        member = re.match(r"\s*([\w:]+(?:<.*>)?) (\w[^()]*);", line)
        if stack and member and member.group(1) not in ("enum", "friend", "using"):
            for name in re.findall(r"(\w+)(?:\{[^}]*\}| = [^,]*)?(?:,|$)", member.group(2)):
                found["::".join(stack)][name] = member.group(1)
    return found


def type_name(cpp, owner):
    cpp = cpp.replace(" ", "")
    wrapped = re.match(r"(?:std::)?(vector|optional|Rare)<(.*)>$", cpp)
    if wrapped:
        inner = type_name(wrapped.group(2), owner)
        return f"list of {inner}" if wrapped.group(1) == "vector" else f"optional {inner}"
    if cpp == "Item":
        return f"{owner}.Item"
    return TYPES.get(cpp, cpp)


def numbers(texts):
    """The constants that limits and defaults refer to."""
    values = {}
    for text in texts:
        for name, value in re.findall(r"constexpr \w+ (k\w+)(?: = |\{)([^;}]+)\}?;", text):
            value = value.replace("'", "").replace("UINT32_MAX", "4294967295")
            value = re.sub(r"(\d)u\b", r"\1", value)
            if re.fullmatch(r"[\d <*+]+", value):
                values[name] = eval(value)  # digits and shifts only
    return values


def expected(source):
    protocol = source / "protocol"
    texts = {name: (protocol / name).read_text() for name in
             ("describe.h", "messages.h", "job.h", "base/limits.h", "base/result.h", "codec.h")}
    members = {}
    for name in ("messages.h", "job.h", "base/result.h"):
        members.update(structs(texts[name]))
    values = numbers(texts.values())

    def value_of(word):
        word = word.strip().replace("lim::", "")
        word = re.sub(r"^Millis\{(.*)\}$", r"\1", word)
        word = re.sub(r"^(\d+)u$", r"\1", word)
        if "::" in word:
            return word.split("::")[-1]
        return str(values.get(word, word)).strip('"')

    tables = {}
    for struct, body in re.findall(r"describe\(Ar& ar, ([\w:]+)& m\) \{\n(.*?)\n\}",
                                   texts["describe.h"], re.S):
        rows = []
        for op, key, field, rest in re.findall(
                r"ar\.(field|text|list)\((\d+), m\.(\w+)(?:, ([^;]*))?\);", body):
            args = [value_of(word) for word in rest.split(",")] if rest else []
            owner = struct.split("::")[0]
            kind = type_name(members[struct][field], owner)
            limit = args.pop(0) if op != "field" else ""
            default = args[0] if args else {"list": "[]", "text": '""'}.get(op, "")
            if op == "text":
                limit += " bytes"
                default = f'"{args[0]}"' if args else '""'
            if op == "field" and not args:
                default = {"bool": "false", "id": "nil", "float64": "0", "ms": "0", "µs": "0",
                           "time": "0", "uint8": "0", "uint32": "0", "uint64": "0"}.get(kind, "")
                if kind.startswith("optional"):
                    default = "none"
                elif default == "":
                    default = first_enumerator(kind, texts) or "its defaults"
            rows.append((key, field, kind, default, limit))
        tables[struct.replace("::", ".")] = rows
    return tables


def first_enumerator(kind, texts):
    name = kind.split(".")[-1]
    for text in texts.values():
        found = re.search(r"enum class %s : uint8_t \{\s*(\w+) = 0" % name, text)
        if found:
            return found.group(1)
    return None


def written(document):
    tables = {}
    title = None
    for line in document.splitlines():
        heading = re.match(r"#### ([\w.]+)", line)
        if heading:
            title = heading.group(1)
            tables[title] = []
        elif line.startswith("#"):
            title = None
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if title and line.startswith("|") and cells[0].isdigit():
            tables[title].append(tuple(cells[:5]))
    return tables


def main():
    source = pathlib.Path(sys.argv[1])
    tables = expected(source)
    if "--print" in sys.argv:
        for title, rows in tables.items():
            print(f"#### {title}\n\n| key | field | type | default | limit |")
            print("| --- | --- | --- | --- | --- |")
            for row in rows:
                print("| " + " | ".join(row) + " |")
            print()
        return 0
    document = written((source / "docs" / "protocol-bodies.md").read_text())
    problems = [f"no table of {title}" for title in tables if title not in document]
    for title, rows in document.items():
        if title not in tables:
            problems.append(f"{title} is not in describe.h")
        elif rows != tables[title]:
            for have, want in zip(rows + [None] * 30, tables[title] + [None] * 30):
                if have != want:
                    problems.append(f"{title}: it says {have}, the code {want}")
    print("\n".join(problems) or f"{len(tables)} tables agree")
    return 1 if problems or not tables else 0


if __name__ == "__main__":
    sys.exit(main())
