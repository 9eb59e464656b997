#!/usr/bin/env python3
"""The dependency rule of the house, checked on what was really linked.

    check_links.py NM FOLDERS_TSV NAME=ARCHIVE ...

Archives alone reject nothing: any folder may call any other as long as the program links. So nm lists
what each folder's archive defines and what it leaves open, and an open symbol that another folder
defines must be in a folder of the "may use" column of src/folders.tsv. Two rules are stricter:
kernels leave nothing open but memcpy and memset (and what the compiler itself inserts), and the
runtime, with all that it reaches, never touches a folder of the compiler.
"""
import subprocess
import sys

KERNELS_MAY = {'memcpy', 'memset'}
# What compilers insert by themselves: stack protector, sanitizers, coverage, position independence.
COMPILER = ('__stack_chk', '__asan_', '__ubsan_', '__tsan_', '__msan_', '__sanitizer_', '__gcov',
            '_GLOBAL_OFFSET_TABLE_', '__llvm', '__sancov', 'llvm_', '__gcc', '__mulodi4', '__muloti4')
RUNTIME = 'rt'


def read_folders(path):
    may = {}
    with open(path, encoding='utf-8') as f:
        for line in f:
            if line.startswith('#') or not line.strip('\n'):
                continue
            columns = line.rstrip('\n').split('\t')
            may[columns[0]] = set(columns[1].split())
    return may


def symbols(nm, archive):
    """Global symbols that the archive defines, and those that it leaves open."""
    out = subprocess.run([nm, '-g', '-P', archive], check=True, capture_output=True, text=True).stdout
    defined, open_, where = set(), set(), {}
    member = ''
    for line in out.splitlines():
        if line.endswith(':'):
            member = line[:-1]
            continue
        parts = line.split()
        if len(parts) < 2:
            continue
        name, kind = parts[0], parts[1]
        if kind in 'Uwv':
            open_.add(name)
            where.setdefault(name, member)
        else:
            defined.add(name)
    return defined, open_ - defined, where


def reach(may, folder):
    seen, todo = set(), [folder]
    while todo:
        for other in may.get(todo.pop(), ()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


def main():
    nm, table, archives = sys.argv[1], sys.argv[2], sys.argv[3:]
    may = read_folders(table)
    found = {}
    for item in archives:
        name, archive = item.split('=', 1)
        found[name] = symbols(nm, archive)
    owner, problems = {}, []
    for name, (defined, _, _) in found.items():
        if name not in may:
            problems.append(f'{name}: not in {table}')
        for symbol in defined:
            if symbol in owner and symbol.startswith('cyg_'):
                problems.append(f'{symbol}: defined in {owner[symbol]} and in {name}')
            owner[symbol] = name
    order = list(may)
    for name, (_, open_, where) in sorted(found.items()):
        for other in may.get(name, ()):
            if other not in may or order.index(other) >= order.index(name):
                problems.append(f'{table}: {name} may use {other}, which does not come before it')
        for symbol in sorted(open_):
            other = owner.get(symbol)
            if other is not None and other != name and other not in may.get(name, set()):
                problems.append(f'{where[symbol]}: {name} uses {symbol} of {other}, which is not in its '
                                f'"may use" column')
            elif other is None and symbol.startswith('cyg_'):
                problems.append(f'{where[symbol]}: {name} uses {symbol}, which no folder defines')
            if name == 'kernels' and symbol not in KERNELS_MAY and not symbol.startswith(COMPILER):
                problems.append(f'{where[symbol]}: kernels use {symbol}; only {" ".join(sorted(KERNELS_MAY))} '
                                f'are allowed')
    allowed = {'base', 'kernels', 'plan', 'format'}
    for other in sorted(reach(may, RUNTIME) - allowed):
        problems.append(f'{table}: the runtime reaches {other}, a folder of the compiler')
    for problem in problems:
        print(problem)
    print(f'{len(found)} folders, {sum(len(f[0]) for f in found.values())} symbols, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
